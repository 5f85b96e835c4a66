// The structured log events, named once: a line of stdout carries `event` and exactly the fields listed here.

type FieldKind = "text" | "number" | "text?" | "number?" | "texts";

/** How loud a line is, in pino's words. */
export type EventLevel = "info" | "warn" | "error" | "fatal";

export interface LogEvent {
  readonly level: EventLevel;
  readonly fields: Readonly<Record<string, FieldKind>>;
  readonly meaning: string;
}

export const EVENTS = {
  "bot.started": {
    level: "info",
    fields: { pid: "number", statusPort: "number", module: "text" },
    meaning: "configuration and module are good, the status port listens",
  },
  "bot.ready": { level: "info", fields: { shards: "number", tookMs: "number" }, meaning: "every shard is ready" },
  "bot.draining": {
    level: "info",
    fields: { signal: "text", keepSessions: "text" },
    meaning: "asked to stop: takes no new work, finishes what runs",
  },
  "bot.stopped": {
    level: "info",
    fields: { tookMs: "number", exitCode: "number" },
    meaning: "the last line of a run that had begun",
  },
  "configuration.invalid": {
    level: "fatal",
    fields: { problems: "texts" },
    meaning: "variables that are missing or wrong, all at once; exit 78",
  },
  "shard.state": {
    level: "info",
    fields: { shard: "number", from: "text", to: "text", closeCode: "number?", closedBy: "text?" },
    meaning: "a shard changed state; closedBy is us, discord or network",
  },
  "session.resumed": {
    level: "info",
    fields: { shard: "number", replayed: "number" },
    meaning: "RESUMED arrived after so many replayed dispatches",
  },
  "identify.spent": {
    level: "info",
    fields: { shard: "number", left: "number?" },
    meaning: "an IDENTIFY was sent; left is what the daily budget still has",
  },
  "identify.waiting": {
    level: "warn",
    fields: { until: "text", left: "number", reserve: "number", fix: "text" },
    meaning: "the daily budget is at its reserve; the fleet goes on by itself after the reset",
  },
  "rest.limited": {
    level: "warn",
    fields: { kind: "text", scope: "text?", route: "text", retryAfterMs: "number" },
    meaning: "an API 429; kind is user, global, shared or sublimit",
  },
  "rest.unauthorized": {
    level: "error",
    fields: { route: "text", fix: "text" },
    meaning: "the token was refused: all authenticated requests stop",
  },
  "edge.banned": {
    level: "error",
    fields: {
      via: "text",
      route: "text?",
      address: "text?",
      status: "number?",
      until: "text",
      retryAfterMs: "number?",
    },
    meaning: "Discord's edge blocks the address (or one route); via is rest or gateway",
  },
  "edge.cleared": {
    level: "info",
    fields: { via: "text", route: "text?", address: "text?", bannedForMs: "number" },
    meaning: "the edge lets the address through again",
  },
  "egress.proven": {
    level: "info",
    fields: { address: "text" },
    meaning: "the bot is seen from an address of its deployment; said when it was not known before",
  },
  "egress.mismatch": {
    level: "error",
    fields: { address: "text", expected: "text" },
    meaning: "the bot is seen from another address than its deployment's: traffic goes around the NAT",
  },
  "dispatch.poison": {
    level: "error",
    fields: { shard: "number", seq: "number", type: "text", deaths: "number" },
    meaning: "an event that two processes died on is skipped",
  },
  "dispatch.shed": {
    level: "error",
    fields: { shard: "number", seq: "number", type: "text", reason: "text" },
    meaning: "an event was dropped: too many wait, or it waited too long",
  },
  "handler.failed": {
    level: "error",
    fields: { shard: "number", seq: "number", type: "text", error: "text" },
    meaning: "a handler threw, or overran its deadline",
  },
  "ledger.unreachable": {
    level: "error",
    fields: { error: "text" },
    meaning: "the ledger could not be read or written",
  },
  "intent.dropped": {
    level: "error",
    fields: { intent: "text", fix: "text" },
    meaning: "Discord does not grant an intent that the bot can do without; it goes on without it",
  },
  "chat.answered": {
    level: "info",
    fields: {
      correlation: "text",
      guild: "text",
      channel: "text",
      message: "text",
      chunks: "number",
      tookMs: "number",
      source: "text",
    },
    meaning: "a question got its answer; source is model, stored or builtin; replies carry the nonce <message>.<chunk>",
  },
  "chat.refused": {
    level: "warn",
    fields: { correlation: "text", guild: "text", channel: "text", message: "text", reason: "text" },
    meaning: "a question got no answer; reason is exhausted, down, busy or failed",
  },
  "chat.failed": {
    level: "error",
    fields: {
      correlation: "text",
      guild: "text",
      channel: "text",
      message: "text",
      stage: "text",
      error: "text",
      input: "text?",
      answer: "text?",
    },
    meaning: "a question failed; stage is model or send",
  },
  "chat.command": {
    level: "info",
    fields: { command: "text", guild: "text", channel: "text", user: "text", outcome: "text" },
    meaning: "someone used a command; outcome is done, refused or failed",
  },
  "upstream.key": {
    level: "warn",
    fields: { from: "number?", to: "number?", reason: "text", until: "text?" },
    meaning: "requests go out with another key, counted from 1; null = none is left until then",
  },
  "upstream.state": {
    level: "warn",
    fields: { from: "text", to: "text", error: "text?" },
    meaning: "the model's provider fails (open), is probed, or works again (closed)",
  },
  "bot.waiting": {
    level: "info",
    fields: { ahead: "number" },
    meaning: "as many tasks as there should be run the shards; this one waits for one of them to leave",
  },
  "lease.taken": {
    level: "info",
    fields: { shard: "number", fence: "number", from: "text?" },
    meaning: "the shard is this task's from now on; from is the task that had it",
  },
  "lease.released": {
    level: "info",
    fields: { shard: "number", fence: "number" },
    meaning: "the shard was given away to a task that asked",
  },
  "lease.lost": {
    level: "error",
    fields: { shards: "number", reason: "text" },
    meaning: "shards stopped at once, since they are another task's or may be",
  },
  "task.dead": {
    level: "error",
    fields: { task: "text" },
    meaning: "another task was not heard for a whole lease; its shards are free",
  },
  "reshard.step": {
    level: "info",
    fields: { from: "number", to: "number", step: "text" },
    meaning:
      "this task is that far on the way to another number of shards: opening, claiming, both, closing, done or given up",
  },
  "process.stalled": {
    level: "warn",
    fields: { gapMs: "number", cause: "text" },
    meaning: "the event loop or the whole machine stood still; cause is loop or suspend",
  },
  fatal: { level: "fatal", fields: { code: "text", fix: "text" }, meaning: "a person must act; the fix says how" },
} as const satisfies Record<string, LogEvent>;

export type EventName = keyof typeof EVENTS;

type FieldType<Kind extends FieldKind> = Kind extends "text"
  ? string
  : Kind extends "number"
    ? number
    : Kind extends "texts"
      ? readonly string[]
      : Kind extends "text?"
        ? string | null
        : number | null;

/** The fields of one event; an absent value is written as null, so that every line of an event has the same keys. */
export type EventFields<Name extends EventName> = {
  readonly [Field in keyof (typeof EVENTS)[Name]["fields"]]: (typeof EVENTS)[Name]["fields"][Field] extends FieldKind
    ? FieldType<(typeof EVENTS)[Name]["fields"][Field]>
    : never;
};
