// The metrics, named once: the bot emits from this table, alarms and dashboard are built on it.

/** CloudWatch namespace of everything the bot publishes. */
export const METRIC_NAMESPACE = "Mooring";

/**
 * The one dimension. CloudWatch never adds up custom metrics across dimensions, and each further value is a metric
 * to pay for; shard, route and guild are plain fields of log lines instead.
 */
export const METRIC_DIMENSION = "Stack";

/**
 * counter: happenings since the last line, 0 included. level: a condition or amount as it is now, sent again with every
 * line. distribution: every sample since the last line, absent when there was none.
 */
export type MetricKind = "counter" | "level" | "distribution";

export interface Metric {
  readonly kind: MetricKind;
  /** A CloudWatch unit. */
  readonly unit: "Count" | "Milliseconds" | "None";
  /** published: a CloudWatch metric ($0.30 a month each, at most 20). logged: a plain field of the same line, free. */
  readonly reach: "published" | "logged";
  readonly meaning: string;
}

type Reach = Metric["reach"];

const counter = <Where extends Reach>(reach: Where, meaning: string) =>
  ({ kind: "counter", unit: "Count", reach, meaning }) as const;
const level = <Where extends Reach>(reach: Where, meaning: string) =>
  ({ kind: "level", unit: "None", reach, meaning }) as const;
const milliseconds = <Where extends Reach>(reach: Where, meaning: string) =>
  ({ kind: "distribution", unit: "Milliseconds", reach, meaning }) as const;
const amounts = <Where extends Reach>(reach: Where, meaning: string) =>
  ({ kind: "distribution", unit: "Count", reach, meaning }) as const;

export const METRICS = {
  Heartbeat: counter("published", "1 with every line: the bot runs and its lines reach CloudWatch"),
  Fatal: level("published", "1 while Discord refuses the bot and a person must act"),
  IntentsDropped: level("published", "intents that Discord does not grant and the bot does without"),
  LogErrors: counter("published", "log lines at error or above"),

  EdgeBanned: level("published", "1 while Discord's edge blocks this address for REST or the gateway"),
  EdgeBannedRoutes: level("published", "routes that the edge blocks while others pass"),
  EgressMismatch: level("published", "1 while the bot is seen from an address that is not among its deployment's own"),
  RateLimited: counter("published", "API 429s about one bucket (scope user, hidden sub-limits included)"),
  RateLimitedGlobal: counter("published", "API 429s with scope global"),
  RetryAfterViolations: counter("published", "requests sent before a Retry-After had passed; must stay 0"),
  InvalidRequests: level(
    "published",
    "401, 403 and 429 (not shared) answers in the last 10 min; at 10,000 the edge bans",
  ),
  RateLimitedShared: counter("logged", "API 429s with scope shared: others used the resource up, no fault of ours"),
  Requests: counter("logged", "REST requests sent"),
  RequestRetries: counter("logged", "REST requests sent again after a fault"),
  RequestFailures: counter("logged", "REST calls that ended in an error"),
  RequestsQueued: level("logged", "REST calls waiting for their turn"),
  RequestMilliseconds: milliseconds("logged", "time from sending a REST request to its answer"),
  RequestWaitMilliseconds: milliseconds("logged", "time that REST calls waited which could not be sent at once"),
  RetryAfterMarginMilliseconds: milliseconds(
    "logged",
    "time from the end of a Retry-After to the first requests after it",
  ),

  ShardsNotReady: level("published", "shards of this process that are not ready"),
  MissedHeartbeatAcks: counter("published", "heartbeats that were not acknowledged when the next was due"),
  HeartbeatAckMilliseconds: milliseconds("published", "time from a heartbeat to its acknowledgement"),
  IdentifiesRemaining: level("published", "IDENTIFYs left of the daily budget, as last known"),
  WaitingForBudget: level("logged", "1 while shards wait because the IDENTIFY budget is at its reserve"),
  Identifies: counter("logged", "IDENTIFYs sent"),
  ResumesTried: counter("logged", "RESUMEs sent"),
  ResumesSucceeded: counter("logged", "RESUMEs answered by RESUMED"),
  EventsReplayed: counter("logged", "dispatches replayed by RESUMEs"),
  Dials: counter("logged", "gateway connections tried"),
  PayloadsSent: counter("logged", "gateway payloads sent, heartbeats included"),
  PayloadsPerMinute: amounts("logged", "payloads that a connection has sent in 61 s, as of each heartbeat; 120 end it"),
  PresenceUpdates: counter("logged", "presence updates sent"),
  Events: counter("logged", "dispatches received"),
  ReshardAdvised: level("logged", "1 while Discord recommends another shard count than the one in use"),

  HandlersShed: counter("published", "events dropped because handlers were too slow for too long"),
  HandlerErrors: counter("logged", "handlers that threw or overran their deadline"),
  HandlersRunning: level("logged", "event handlers running"),
  HandlersWaiting: level("logged", "events waiting for a handler"),
  LoopLagMilliseconds: milliseconds("logged", "how late the process's timers ran"),

  UpstreamKeysSpent: level(
    "published",
    "share of the keys of the model's provider that are spent or refused now; at 1 questions get no answer",
  ),
  UpstreamDown: level("published", "1 while the model's provider fails and is only probed"),
  UpstreamRequests: counter("logged", "requests sent to the model's provider"),
  UpstreamFailures: counter("logged", "requests to the model's provider that failed"),
  UpstreamTokens: counter("logged", "tokens that the model's provider counted"),
  UpstreamMilliseconds: milliseconds("logged", "time from sending a request to the model's provider to its answer"),
  Questions: counter("logged", "questions that the bundled bot took in"),
  QuestionsAnswered: counter("logged", "questions that got an answer"),
  QuestionsRefused: counter("logged", "questions that got none: no key, no room, no provider"),
  QuestionsWaiting: level("logged", "questions that wait for the model"),

  LedgerUnreachable: level("published", "1 while the ledger cannot be written"),
  TasksHeard: level(
    "logged",
    "tasks that run shards, or wait for some, as this one hears them; of TASKS there should be",
  ),
  LeasesHeld: level("logged", "shards that are this task's by the ledger"),
  LeasesLost: counter(
    "logged",
    "shards that another task has taken from this one, or that it let go without the ledger",
  ),
  DeployRunning: level("published", "1 from SIGTERM to exit, and for 5 min after a start that took over sessions"),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

type NameOfKind<Kind extends MetricKind> = {
  [Name in MetricName]: (typeof METRICS)[Name]["kind"] extends Kind ? Name : never;
}[MetricName];

export type CounterName = NameOfKind<"counter">;
export type LevelName = NameOfKind<"level">;
export type DistributionName = NameOfKind<"distribution">;

/** A metric that exists in CloudWatch: the only names an alarm or a graph can be built on. */
export type PublishedMetricName = {
  [Name in MetricName]: (typeof METRICS)[Name]["reach"] extends "published" ? Name : never;
}[MetricName];

/** Every metric's name, in the table's order. */
export function metricNames(): readonly MetricName[] {
  return Object.keys(METRICS).filter((name): name is MetricName => name in METRICS);
}
