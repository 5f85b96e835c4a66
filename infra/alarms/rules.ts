// The alarms as data: what is watched, when it is too much, whom it wakes, what it means and what to do first.

import { METRIC_DIMENSION, METRIC_NAMESPACE, type PublishedMetricName } from "../../shared/metrics.ts";
import type { Severity } from "../paging.ts";
import type { TaskEventName } from "../taskEvents.ts";

/** A metric's place in CloudWatch. `Text` is a value known now, or an output of another resource. */
export interface MetricSource<Text> {
  readonly namespace: string;
  readonly metric: string;
  readonly dimensions: Readonly<Record<string, Text>>;
}

/** When a datapoint breaches, and how many of them make an alarm. */
export interface Condition {
  readonly statistic: "Sum" | "Maximum" | "Minimum" | "Average" | "p99";
  readonly comparison:
    | "GreaterThanOrEqualToThreshold"
    | "GreaterThanThreshold"
    | "LessThanOrEqualToThreshold"
    | "LessThanThreshold";
  readonly threshold: number;
  /** Seconds. */
  readonly period: number;
  readonly breaching: number;
  readonly of: number;
  readonly missing: "breaching" | "notBreaching" | "ignore";
  /** Minutes after its creation in which the alarm keeps quiet. */
  readonly warmUp?: number;
}

/** Where an alarm's change of state goes: to a topic, or into composite alarms that judge it with others. */
export type Reaction = Severity | "part";

export interface AlarmRule<Text = string> {
  /** Also the heading of its section in RUNBOOKS.md. */
  readonly name: string;
  readonly source: MetricSource<Text>;
  readonly when: Condition;
  readonly reaction: Reaction;
  readonly meaning: string;
  readonly firstAction: string;
}

export interface CompositeRule {
  readonly name: string;
  /** The rule expression over other rules' names, each written as `ALARM(Name)`. */
  readonly expression: string;
  readonly reaction: Severity;
  readonly meaning: string;
  readonly firstAction: string;
}

export interface BotRuleArgs {
  /** `<project>-<stack>`. */
  readonly name: string;
  /** Shards that one start identifies; `auto` is one until Discord says otherwise, at 2,500 servers. */
  readonly shardCount: string;
}

type When = Omit<Condition, "comparison"> & { readonly comparison?: Condition["comparison"] };

// A page on a condition that may pass by itself waits for three bad minutes of five; late datapoints then change nothing.
const SUSTAINED = { period: 60, breaching: 3, of: 5 } as const;
// A level is sent again every 10 s: silence says nothing about it, the dead man does.
const LEVEL = { statistic: "Maximum", missing: "ignore", ...SUSTAINED } as const;
const COUNTER = { statistic: "Sum", missing: "notBreaching", ...SUSTAINED } as const;
// A consequence is slower to start and quicker to end than the causes that hold its page back, so that no page slips
// through between the two.
const CONSEQUENCE = { breaching: 4, of: 5 } as const;

/** Discord bans an address at 10,000 invalid requests in 10 min (topics/rate-limits#invalid-request-limit). */
const INVALID_REQUEST_LIMIT = 10_000;
/** A bot's IDENTIFYs a day; Discord resets the token when they are gone (events/gateway#session-start-limit-object). */
const IDENTIFIES_A_DAY = 1_000;

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
      { ...COUNTER, ...CONSEQUENCE, threshold: 1 },
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
    rule(
      "LedgerUnreachable",
      "LedgerUnreachable",
      "page",
      { ...LEVEL, threshold: 1 },
      "The ledger cannot be written: the next start could not resume and would spend IDENTIFYs.",
      "Read ledger.unreachable in the log; make no deploy before it clears.",
    ),
    rule(
      "DeadMan",
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

/** One fault, one page: what is a consequence of a known cause waits behind it. */
export const COMPOSITE_RULES: readonly CompositeRule[] = [
  {
    name: "GatewayDown",
    expression:
      "(ALARM(ShardsNotReady) OR ALARM(MissedHeartbeatAcks)) AND NOT (ALARM(EdgeBannedLately) OR ALARM(Fatal) OR ALARM(TokenDanger) OR ALARM(DeadMan) OR ALARM(DeployRunning))",
    reaction: "page",
    meaning: "Shards are not ready or lose their connections, and no known cause explains it.",
    firstAction: "Read shard.state in the log for close codes, and Discord's status page.",
  },
  {
    name: "UnexplainedErrors",
    expression:
      "ALARM(LogErrors) AND NOT (ALARM(EdgeBannedLately) OR ALARM(EdgeBannedRoutes) OR ALARM(Fatal) OR ALARM(HandlersShed) OR ALARM(LedgerUnreachable) OR ALARM(DeployRunning))",
    reaction: "page",
    meaning: "The bot logs errors minute after minute, and no other alarm explains them.",
    firstAction: "Read the log at level error; roll back if it began with a deploy.",
  },
];

export interface PlatformRuleArgs<Text> {
  /** `<project>-<stack>`, also the cluster's and the service's name. */
  readonly name: string;
  readonly logGroup: string;
  readonly nats: readonly {
    readonly kind: "gateway" | "instance";
    readonly zone: string;
    readonly id: Text;
  }[];
}

/** The alarms on what AWS publishes about the task and its way out; no log line can set these off. */
export function platformRules<Text>(args: PlatformRuleArgs<Text | string>): readonly AlarmRule<Text | string>[] {
  const service = { ClusterName: args.name, ServiceName: args.name };
  const counted = { ...COUNTER, comparison: "GreaterThanOrEqualToThreshold", threshold: 1 } as const;
  return [
    {
      name: "Memory",
      source: { namespace: "AWS/ECS", metric: "MemoryUtilization", dimensions: service },
      when: { ...counted, statistic: "Maximum", threshold: 85 },
      reaction: "page",
      meaning: "The task uses most of its memory; at 100 % it is killed.",
      firstAction: "Raise memory in the stack's configuration, and look for a leak since the last deploy.",
    },
    {
      name: "Processor",
      source: { namespace: "AWS/ECS", metric: "CPUUtilization", dimensions: service },
      // A quarter of a processor is busy while it starts; a quarter of an hour is not a start.
      when: { ...counted, statistic: "Average", threshold: 90, period: 300, breaching: 3, of: 3 },
      reaction: "notify",
      meaning: "The task has used nearly all of its processor for 15 minutes: heartbeats will be late.",
      firstAction: "Raise cpu in the stack's configuration.",
    },
    {
      name: "MetricLinesBroken",
      source: {
        namespace: "AWS/Logs",
        metric: "EMFParsingErrors",
        dimensions: { LogGroupName: args.logGroup },
      },
      when: { ...counted },
      reaction: "notify",
      meaning: "CloudWatch cannot read the bot's metric lines: alarms built on them are blind.",
      firstAction: "Roll back to the last good image; the line's own text says what is wrong with it.",
    },
    ...args.nats.flatMap(({ kind, zone, id }): readonly AlarmRule<Text | string>[] => {
      const suffix = `-${zone}`;
      if (kind === "gateway") {
        const dimensions = { NatGatewayId: id };
        return [
          {
            name: `NatPortErrors${suffix}`,
            source: { namespace: "AWS/NATGateway", metric: "ErrorPortAllocation", dimensions },
            when: counted,
            reaction: "page",
            meaning: "The NAT gateway has no port left for another connection to one destination.",
            firstAction: "Look for connections that are opened and not kept: 55,000 to one address are the limit.",
          },
          {
            name: `NatPacketDrops${suffix}`,
            source: { namespace: "AWS/NATGateway", metric: "PacketsDropCount", dimensions },
            // AWS: some drops are normal; a sustained rise points to the gateway itself.
            when: { ...counted, threshold: 100 },
            reaction: "notify",
            meaning: "The NAT gateway drops packets.",
            firstAction: "Look at AWS Health for the zone; switch natZones if it lasts.",
          },
        ];
      }
      const dimensions = { InstanceId: id };
      return [
        {
          name: `NatStatus${suffix}`,
          source: { namespace: "AWS/EC2", metric: "StatusCheckFailed", dimensions },
          when: { ...counted, statistic: "Maximum", missing: "breaching", warmUp: 15 },
          reaction: "page",
          meaning: "The NAT instance is gone or does not answer: nothing gets out.",
          firstAction: "Look at the instance in EC2; pulumi up --replace makes a new one with the same address.",
        },
        {
          name: `NatProcessor${suffix}`,
          source: { namespace: "AWS/EC2", metric: "CPUUtilization", dimensions },
          when: { ...counted, statistic: "Average", threshold: 80, period: 300, breaching: 3, of: 3 },
          reaction: "notify",
          meaning: "The NAT instance's processor is nearly full: traffic will be slow.",
          firstAction: "Choose a larger natInstanceType, or natMode gateway.",
        },
      ];
    }),
  ];
}

/** The alarms on what ECS reports; one event is one fault, so the first one counts. */
export function eventRules(name: string): readonly AlarmRule[] {
  const triggered = (
    alarm: string,
    event: TaskEventName,
    reaction: Severity,
    when: Partial<Condition>,
    meaning: string,
    firstAction: string,
  ): AlarmRule => ({
    name: alarm,
    source: { namespace: "AWS/Events", metric: "TriggeredRules", dimensions: { RuleName: `${name}-${event}` } },
    when: {
      ...COUNTER,
      comparison: "GreaterThanOrEqualToThreshold",
      threshold: 1,
      breaching: 1,
      of: 1,
      ...when,
    },
    reaction,
    meaning,
    firstAction,
  });
  return [
    triggered(
      "TaskCrashed",
      "TaskCrashed",
      "page",
      {},
      "The bot ended by itself with an error; ECS starts it again.",
      "Read the last lines of the stopped task's log stream; exit code 70 is a fault, 78 the configuration.",
    ),
    triggered(
      "CrashLoop",
      "TaskCrashed",
      "page",
      // Each start may spend an IDENTIFY for every shard; three in a quarter of an hour are 288 a day.
      { period: 900, threshold: 3 },
      "The bot crashes again and again; every start may spend IDENTIFYs, and with the last one the token.",
      "Put back the last good image, or scale the service to 0.",
    ),
    triggered(
      "OutOfMemory",
      "OutOfMemory",
      "page",
      {},
      "The task was killed: out of memory, or deaf to SIGTERM.",
      "Raise memory in the stack's configuration, and look for a leak since the last deploy.",
    ),
    triggered(
      "TaskFailedToStart",
      "TaskFailedToStart",
      "page",
      {},
      "ECS cannot start the task: image, secret, log group or network.",
      "Read the stopped task's reason in ECS.",
    ),
    triggered(
      "DeployFailed",
      "DeployFailed",
      "page",
      {},
      "A deploy failed; ECS goes back to the one before, if there is one.",
      "Read the service's events in ECS, then the log of the new task.",
    ),
    triggered(
      "TaskInterrupted",
      "TaskInterrupted",
      "notify",
      {},
      "AWS takes the task's machine back; another task starts.",
      "Nothing; set spot to false if it happens too often.",
    ),
  ];
}

/** A rule's section in RUNBOOKS.md; the rules of all zones share one. */
export function runbookSection(ruleName: string): string {
  return ruleName.replace(/-[a-z]$/, "");
}
