// What happened: violations by rule, the counts, and waiting for a change without polling.

import type { Clock } from "../../bot/clock.ts";
import type { Timers } from "./timers.ts";

/** Each rule by name, with what breaks it. */
export const RULES = {
  "dial.user-agent": "an upgrade or request whose User-Agent does not start with `DiscordBot (` (reference#user-agent)",
  "dial.token-in-url": "the bot's token in a URL",
  "dial.after-fatal": "a dial after a close code that forbids reconnecting",
  "dial.edge": "a dial to an edge that refuses, before the time it announced",
  "dial.version": "a gateway or API version that is missing or retired",
  "dial.encoding": "an encoding or compression that does not exist, or that this simulator does not speak",
  "identify.window": "two IDENTIFYs of one shard_id % max_concurrency within 5 s",
  "identify.budget": "an IDENTIFY with session_start_limit.remaining at 0",
  "identify.twice": "IDENTIFY or RESUME on an authenticated connection",
  "identify.resumable": "an IDENTIFY where the client held a session that could be resumed",
  "identify.resume-host": "an IDENTIFY as the first thing said on a resume host",
  "identify.token": "a token that is wrong, or has the `Bot ` prefix of REST",
  "identify.intents": "intents that are undefined",
  "identify.disallowed-intents": "privileged intents that the portal has not switched on",
  "identify.shard": "a shard tuple that cannot be",
  "identify.sharding-required": "more than 2,500 guilds on one shard",
  "identify.malformed": "an IDENTIFY or RESUME without a required field",
  "resume.generic-host": "a RESUME on the generic host although the resume host accepts connections",
  "resume.parameters": "a RESUME with another v, encoding or compress than the session began with",
  "resume.sequence": "a RESUME with a sequence ahead of the server's",
  "resume.token": "a RESUME with a wrong token",
  "send.rate": "more than 120 payloads in 60 s on one connection",
  "send.size": "a payload of more than 4,096 bytes",
  "send.decode": "a payload that is not JSON with an op",
  "send.unauthenticated": "a payload before IDENTIFY or RESUME",
  "send.opcode": "an opcode a bot cannot send, or a malformed payload for one",
  "send.presence": "more than 5 presence updates in 20 s",
  "send.members": "a member list asked again within 30 s, for several guilds, or without its intent",
  "heartbeat.late": "no heartbeat within 1.5 intervals",
  "heartbeat.sequence": "a heartbeat with a sequence that is ahead of the server's, or that goes backwards",
  "close.resumable": "close 1000 or 1001 where the client was to come back: after op 7, or without ACKs",
  "reconnect.ignored": "a connection still open 5 s after op 7",
  "rest.early": "a request before the Retry-After it was given had passed",
  "rest.edge": "a request to a banned edge before the time it announced",
  "rest.after-401": "more than one authenticated request after the token was refused",
  "rest.content-type": "a body whose Content-Type is none that the API takes",
} as const;

export type RuleName = keyof typeof RULES;

export interface Violation {
  /** Monotonic ms of the injected clock. */
  readonly at: number;
  readonly rule: RuleName;
  readonly detail: string;
}

export interface RestCounts {
  requests: number;
  ok: number;
  unauthorized: number;
  forbidden: number;
  notFound: number;
  invalid: number;
  limited: { user: number; global: number; shared: number };
  serverErrors: number;
  faults: number;
  /** Messages that came to be, each once however often it was asked for. */
  messagesCreated: number;
  /** Creates answered with an earlier message because of enforce_nonce. */
  nonceHits: number;
}

export interface Counts {
  /** Upgrade requests that reached an open port, refused ones included; a refused TCP connection is not seen. */
  dials: number;
  dialsRefused: number;
  identifies: number;
  identifiesAccepted: number;
  resumes: number;
  resumed: number;
  replayed: number;
  heartbeats: number;
  presences: number;
  dispatched: number;
  /** Close frames by code, from the client and from us; 1006 is a bare TCP end. */
  clientCloses: Record<number, number>;
  serverCloses: Record<number, number>;
  edgeHits: number;
  gatewayEdgeHits: number;
  rest: RestCounts;
}

const newCounts = (): Counts => ({
  dials: 0,
  dialsRefused: 0,
  identifies: 0,
  identifiesAccepted: 0,
  resumes: 0,
  resumed: 0,
  replayed: 0,
  heartbeats: 0,
  presences: 0,
  dispatched: 0,
  clientCloses: {},
  serverCloses: {},
  edgeHits: 0,
  gatewayEdgeHits: 0,
  rest: {
    requests: 0,
    ok: 0,
    unauthorized: 0,
    forbidden: 0,
    notFound: 0,
    invalid: 0,
    limited: { user: 0, global: 0, shared: 0 },
    serverErrors: 0,
    faults: 0,
    messagesCreated: 0,
    nonceHits: 0,
  },
});

const VIOLATIONS_KEPT = 10_000;

interface Waiter {
  readonly condition: () => boolean;
  readonly settle: (error?: Error) => void;
}

export class Journal {
  readonly violations: Violation[] = [];
  readonly counts: Counts = newCounts();
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #waiters = new Set<Waiter>();
  readonly #excused = new Map<RuleName, number>();
  #checking = false;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  violate(rule: RuleName, detail: string): void {
    if ((this.#excused.get(rule) ?? 0) > 0) return;
    if (this.violations.length < VIOLATIONS_KEPT) this.violations.push({ at: this.#clock.now(), rule, detail });
    this.changed();
  }

  /** Does not count `rule` until the returned function is called: for a fault that a test makes outside, as SIGSTOP. */
  excuse(rule: RuleName): () => void {
    this.#excused.set(rule, (this.#excused.get(rule) ?? 0) + 1);
    let over = false;
    return () => {
      if (!over) this.#excused.set(rule, (this.#excused.get(rule) ?? 1) - 1);
      over = true;
    };
  }

  /** Tells the waiters, once per turn, that something may have become true. */
  changed(): void {
    if (this.#checking || this.#waiters.size === 0) return;
    this.#checking = true;
    queueMicrotask(() => {
      this.#checking = false;
      for (const waiter of this.#waiters) {
        try {
          if (waiter.condition()) waiter.settle();
        } catch (error) {
          waiter.settle(error instanceof Error ? error : new Error(String(error)));
        }
      }
    });
  }

  /**
   * Resolves when `condition` holds, tried again after each change.
   * @param limit ms of the injected clock, or a signal; past it the promise rejects.
   */
  waitFor(condition: () => boolean, limit?: number | AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (condition()) {
        resolve();
        return;
      }
      const signal = typeof limit === "number" ? undefined : limit;
      const late = (reason: string) => () => waiter.settle(new Error(`${reason}: ${condition}`));
      const aborted = late("the wait was aborted");
      const cancel =
        typeof limit === "number" ? this.#timers.after(limit, late(`not so after ${limit} ms`)) : undefined;
      const waiter: Waiter = {
        condition,
        settle: (error) => {
          this.#waiters.delete(waiter);
          cancel?.();
          signal?.removeEventListener("abort", aborted);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
      if (signal?.aborted === true) aborted();
      signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  stop(): void {
    for (const waiter of this.#waiters) waiter.settle(new Error(`the simulator stopped before: ${waiter.condition}`));
  }
}

/** Adds one under `code`. */
export function tally(counts: Record<number, number>, code: number): void {
  counts[code] = (counts[code] ?? 0) + 1;
}
