// The alarms on what the bot itself publishes, and the composites that make one fault one page.

import { VARIABLES } from "../../shared/environment.ts";
import { METRIC_DIMENSION, METRIC_NAMESPACE, type PublishedMetricName } from "../../shared/metrics.ts";
import { type AlarmRule, COUNTER, type CompositeRule, type Condition, type Reaction, SUSTAINED } from "./rule.ts";

export interface BotRuleArgs {
  /** `<project>-<stack>`. */
  readonly name: string;
  /** Shards that one start identifies; `auto` is one until Discord says otherwise, at 2,500 servers. */
  readonly shardCount: string;
  /** Whether the chat bot has keys of a model's provider. */
  readonly hasUpstream: boolean;
  /** Whether the chat bot asks for an intent that it goes on without. */
  readonly asksForContent: boolean;
  readonly tasks: number;
  /** METRICS_INTERVAL_MS, as set for the bot. */
  readonly metricsIntervalMs: number;
}

type When = Omit<Condition, "comparison"> & { readonly comparison?: Condition["comparison"] };

// A level is sent again every 10 s: silence says nothing about it, the dead man does.
const LEVEL = { statistic: "Maximum", missing: "ignore", ...SUSTAINED } as const;
// A consequence is slower to start and quicker to end than the causes that hold its page back, so that no page slips
// through between the two.
const CONSEQUENCE = { breaching: 4, of: 5 } as const;

/** Discord bans an address at 10,000 invalid requests in 10 min (topics/rate-limits#invalid-request-limit). */
const INVALID_REQUEST_LIMIT = 10_000;
/** A bot's IDENTIFYs a day; Discord resets the token when they are gone (events/gateway#session-start-limit-object). */
const IDENTIFIES_A_DAY = 1_000;

const MINUTE_MS = 60_000;

/** The alarms on what the bot itself publishes. */
export function botRules(args: BotRuleArgs): readonly AlarmRule[] {
  const rule = (
    name: string,
    metric: PublishedMetricName,
    reaction: Reaction,
    when: When,
    meaning: string,
    firstAction: string,
  ): AlarmRule => ({
    name,
    source: { namespace: METRIC_NAMESPACE, metric, dimensions: { [METRIC_DIMENSION]: args.name } },
    when: { comparison: "GreaterThanOrEqualToThreshold", ...when },
    reaction,
    meaning,
    firstAction,
  });
  const shards = args.shardCount === "auto" ? 1 : Number(args.shardCount);
  // The bot itself stops at a tenth, or at one start of every shard; a fifth, or three starts, leaves time to act.
  const reserve = Math.max(IDENTIFIES_A_DAY / 10, shards);
  const low = Math.max(IDENTIFIES_A_DAY / 5, 3 * shards);
  const linesAMinute = MINUTE_MS / args.metricsIntervalMs;
  return [
    rule(
      "EdgeBanned",
      "EdgeBanned",
      "page",
      { ...LEVEL, threshold: 1, breaching: 1, of: 1 },
      "Discord's edge blocks the address that this bot leaves by. REST has stopped; live sessions go on.",
      "Read edge.banned in the log for the address and the end of the ban; a long one is left by switching egressSlot.",
    ),
    rule(
      "EdgeBannedLately",
      "EdgeBanned",
      "part",
      // After a ban every shard may have to identify, 5 s apart; their page waits for ten clean minutes.
      { ...LEVEL, threshold: 1, breaching: 1, of: 10 },
      "An edge ban is on, or ended in the last ten minutes.",
      "Nothing; it holds back the alarms that a ban sets off.",
    ),
    rule(
      "EdgeBannedRoutes",
      "EdgeBannedRoutes",
      "notify",
      { ...LEVEL, threshold: 1 },
      "The edge blocks one route while others pass.",
      "Read edge.banned in the log for the route, and look for what calls it so often.",
    ),
    rule(
      "EgressMismatch",
      "EgressMismatch",
      "page",
      { ...LEVEL, threshold: 1 },
      "The bot is seen from an address that is not this stack's: traffic goes around the NAT, by an address others may share.",
      "Read egress.mismatch in the log for the address; compare routes and the service's network settings with pulumi preview --refresh.",
    ),
    rule(
      "RateLimited",
      "RateLimited",
      "page",
      // Hidden sub-limits make single 429s normal; ten a minute for three minutes is a loop.
      { ...COUNTER, threshold: 10 },
      "The API answers many requests with 429 on single buckets.",
      "Read rest.limited in the log for the route, and stop or slow what calls it.",
    ),
    rule(
      "RateLimitedGlobal",
      "RateLimitedGlobal",
      "page",
      { ...COUNTER, threshold: 1 },
      "The bot passes Discord's global limit of requests a second, minute after minute.",
      "Find what sends so much, or ask Discord for a higher limit and set REST_GLOBAL_PER_SECOND to it.",
    ),
    rule(
      "RetryAfterViolations",
      "RetryAfterViolations",
      "page",
      { ...COUNTER, threshold: 1 },
      "Requests leave before a Retry-After has passed: a fault of this bot that ends in a ban.",
      "Roll back to the last good image; then read rest.limited in the log.",
    ),
    rule(
      "InvalidRequestsRising",
      "InvalidRequests",
      "notify",
      { ...LEVEL, threshold: INVALID_REQUEST_LIMIT / 10 },
      "A tenth of the invalid requests that lead to a ban of the address are used up.",
      "Look in the log for routes that answer 401, 403 or 429, and stop calling them.",
    ),
    rule(
      "InvalidRequests",
      "InvalidRequests",
      "page",
      { ...LEVEL, threshold: (INVALID_REQUEST_LIMIT * 4) / 10 },
      "Four tenths of the invalid requests that lead to a ban of the address are used up.",
      "Stop what sends them now; scaling the service to 0 stops everything.",
    ),
    rule(
      "ShardsNotReady",
      "ShardsNotReady",
      "part",
      { ...LEVEL, ...CONSEQUENCE, threshold: 1 },
      "Shards have not been ready for minutes: their servers get no answers.",
      "Read shard.state in the log for the last close code, and Discord's status page.",
    ),
    rule(
      "MissedHeartbeatAcks",
      "MissedHeartbeatAcks",
      "part",
      // A dead connection misses one each heartbeat interval, 41 s, and as much again until the next is up: one in every
      // two minutes. Twice that is slower to start and quicker to end than what holds its page back.
      { ...COUNTER, period: 120, breaching: 2, of: 2, threshold: 1 },
      "Discord does not acknowledge heartbeats, minute after minute: connections die and are dialled again.",
      "Look at Discord's status page, then at the NAT alarms and the processor's load.",
    ),
    rule(
      "HeartbeatAckSlow",
      "HeartbeatAckMilliseconds",
      "page",
      // Discord: a heartbeat that is not acknowledged by the next, 41 s on, is a dead connection; a tenth of it is slow.
      { statistic: "p99", threshold: 4_000, period: 300, breaching: 3, of: 3, missing: "notBreaching" },
      "Discord takes seconds to acknowledge heartbeats: the network or the process is overloaded.",
      "Compare with the processor alarm and process.stalled in the log; else look at Discord's status page.",
    ),
    rule(
      "IdentifyBudgetLow",
      "IdentifiesRemaining",
      "notify",
      { ...LEVEL, statistic: "Minimum", comparison: "LessThanThreshold", threshold: low },
      "Few IDENTIFYs of the day are left; when they are gone, Discord resets the token.",
      "Look for restarts in the log, and make no deploys that need fresh sessions until the reset.",
    ),
    rule(
      "TokenDanger",
      "IdentifiesRemaining",
      "page",
      { ...LEVEL, statistic: "Minimum", comparison: "LessThanOrEqualToThreshold", threshold: reserve },
      "The day's IDENTIFYs are down to the reserve. The bot spends no more; shards that need one wait for the reset.",
      "Stop any crash loop (scale the service to 0); identify.waiting in the log says when the budget returns.",
    ),
    rule(
      "Fatal",
      "Fatal",
      "page",
      { ...LEVEL, threshold: 1 },
      "Discord refuses this bot until a person acts: token, intents or shard count.",
      "Read fatal in the log: its fix says what to change.",
    ),
    rule(
      "LogErrors",
      "LogErrors",
      "part",
      { ...COUNTER, ...CONSEQUENCE, threshold: 5 },
      "The bot logs errors, minute after minute.",
      "Read the log at level error.",
    ),
    rule(
      "HandlersShed",
      "HandlersShed",
      "page",
      { ...COUNTER, threshold: 1 },
      "Events are dropped: handlers have been too slow for too long.",
      "Read dispatch.shed in the log for the event's type, and look at what its handler waits for.",
    ),
    ...(args.asksForContent
      ? [
          rule(
            "IntentDropped",
            "IntentsDropped",
            "notify",
            { ...LEVEL, threshold: 1 },
            "Discord does not grant the Message Content Intent: the bot answers mentions alone, also in CHAT_CHANNELS.",
            "Switch the Message Content Intent on in the developer portal, Bot, then start a new task.",
          ),
        ]
      : []),
    ...(args.hasUpstream
      ? [
          rule(
            "UpstreamKeysExhausted",
            "UpstreamKeysSpent",
            "page",
            { ...LEVEL, threshold: 1 },
            "Every key of the model's provider is spent: questions get no answer.",
            "Add a key (pulumi config set --secret upstreamKeys), or wait for the quota's next hour or month.",
          ),
          rule(
            "UpstreamKeySpent",
            "UpstreamKeysSpent",
            "notify",
            // Any share at all.
            { ...LEVEL, comparison: "GreaterThanThreshold", threshold: 0 },
            "A key of the model's provider is spent or refused; the bot goes on with the next one, if there is one.",
            "Read upstream.key in the log for the reason and the time from which on it is used again.",
          ),
          rule(
            "UpstreamDown",
            "UpstreamDown",
            "notify",
            { ...LEVEL, threshold: 1 },
            "The model's provider fails and is only probed: questions get a friendly message instead of an answer.",
            "Read upstream.state in the log for the error, then the provider's status page.",
          ),
        ]
      : []),
    rule(
      "LedgerUnreachable",
      "LedgerUnreachable",
      "page",
      { ...LEVEL, threshold: 1 },
      "The ledger cannot be written: the next start could not resume and would spend IDENTIFYs.",
      "Read ledger.unreachable in the log; make no deploy before it clears.",
    ),
    rule(
      "BotSilent",
      "Heartbeat",
      "page",
      {
        statistic: "Sum",
        comparison: "LessThanThreshold",
        threshold: 1,
        period: 60,
        breaching: 3,
        of: 3,
        missing: "breaching",
        warmUp: 15,
      },
      "No line of the bot has reached CloudWatch for three minutes: it is gone, hangs, or its log is lost.",
      "Look at the service's events and stopped tasks in ECS.",
    ),
    ...(args.tasks > 1
      ? [
          rule(
            "TasksMissing",
            "Heartbeat",
            "notify",
            // Each task adds 1 with each line, and half a task's is more than what falls into the next minute. ECS replaces
            // a dead task within a minute or two; five are another matter. Silence of all of them is BotSilent's.
            {
              ...COUNTER,
              comparison: "LessThanThreshold",
              threshold: (args.tasks - 0.5) * linesAMinute,
              breaching: 5,
              of: 5,
              warmUp: 15,
            },
            `Fewer than ${args.tasks} tasks are heard: the others run the shards, and one more loss leaves less for all.`,
            "Look at the service's events and stopped tasks in ECS.",
          ),
        ]
      : []),
    rule(
      "DeployRunning",
      "DeployRunning",
      "part",
      // Silence must end it: a bot that died in a deploy would otherwise hold its own page back for ever.
      { ...LEVEL, threshold: 1, breaching: 1, of: 1, missing: "notBreaching" },
      "A task is being replaced, or has just been.",
      "Nothing; it holds back the alarms that a restart sets off.",
    ),
  ];
}

/** What METRICS_INTERVAL_MS will be, by the stack's `variables`. */
export function metricsIntervalMs(variables: { readonly METRICS_INTERVAL_MS?: string }): number {
  return Number(variables.METRICS_INTERVAL_MS ?? VARIABLES.METRICS_INTERVAL_MS.fallback);
}

/** One fault, one page: what is a consequence of a known cause waits behind it. */
export const COMPOSITE_RULES: readonly CompositeRule[] = [
  {
    // One and not two: an outage at Discord both closes connections and makes errors, and a composite costs $0.50 a month.
    name: "UnexplainedFault",
    expression: [
      "(((ALARM(ShardsNotReady) OR ALARM(MissedHeartbeatAcks)) AND NOT (ALARM(TokenDanger) OR ALARM(BotSilent)))",
      "OR (ALARM(LogErrors) AND NOT (ALARM(EdgeBannedRoutes) OR ALARM(EgressMismatch) OR ALARM(HandlersShed) OR ALARM(LedgerUnreachable))))",
      "AND NOT (ALARM(EdgeBannedLately) OR ALARM(Fatal) OR ALARM(DeployRunning))",
    ].join(" "),
    reaction: "page",
    meaning:
      "Shards are not ready, connections die, or errors pour out, and no known cause explains it. The triggering alarm says which.",
    firstAction: "Read shard.state for close codes and the log at level error; then Discord's status page.",
  },
];
