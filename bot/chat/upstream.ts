// The model's provider, called within its quotas: key by key, with a deadline, few retries and a circuit breaker.

import { createHash } from "node:crypto";
import { Pool } from "undici";
import { type Quota, quotaOf } from "../../shared/chat.ts";
import type { Secret } from "../../shared/secret.ts";
import type { Cancel } from "../clock.ts";
import type { Bot } from "../defineBot.ts";
import { type BackoffRule, backOff, START } from "../resilience/backoff.ts";
import { type Breaker, type BreakerRule, CLOSED, fail, mayTry, succeed, tried } from "../resilience/circuitBreaker.ts";
import { type ModelMessage, type Outcome, outcomeOf, requestBody } from "./completion.ts";
import {
  choose,
  countRequest,
  countTokens,
  type KeyState,
  readStates,
  refuse,
  spentKeys,
  spentUntil,
  turned,
  UNUSED,
} from "./keyPool.ts";

/**
 * exhausted: every key is spent until `until`. down: the breaker is open until `until`. The rest is about one request:
 * rejected (a 4xx), failed (5xx, after the retries), network, timeout, nonsense (no chat completion).
 */
export type UpstreamErrorKind = "exhausted" | "down" | "rejected" | "failed" | "network" | "timeout" | "nonsense";

/** Its message never holds a key, a question or an answer. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  readonly kind: UpstreamErrorKind;
  /** ms since 1970 from which on another try makes sense. */
  readonly until: number | undefined;

  constructor(kind: UpstreamErrorKind, message: string, details: { until?: number; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.until = details.until;
  }
}

export interface UpstreamStatus {
  readonly keys: number;
  readonly spent: number;
  /** closed, open or probing. */
  readonly breaker: Breaker["kind"];
  /** For each key, in order of preference: requests and tokens of this hour and month, and until when it is spent. */
  readonly budget: readonly {
    readonly requestsThisHour: number;
    readonly requestsThisMonth: number;
    readonly tokensThisHour: number;
    readonly tokensThisMonth: number;
    readonly spentUntil: string | null;
  }[];
}

export interface Upstream {
  /** The model's answer. Rejects with an UpstreamError, or with the signal's reason. */
  complete(messages: readonly ModelMessage[], signal: AbortSignal): Promise<string>;
  status(): UpstreamStatus;
}

// A model that has said nothing for half a minute is stuck; whoever asked has long been typing again.
const ATTEMPT_MS = 30_000;
const MOST_TRIES = 3;
const BACKOFF: BackoffRule = { baseMs: 500, capMs: 8_000, jitter: "full" };
const BREAKER: BreakerRule = { failures: 5, windowMs: 60_000, longestGapMs: 60_000 };
// A limit that ends within seconds is waited for rather than told to people.
const SHORT_WAIT_MS = 10_000;
// A key that is not taken is looked at again after an hour, in case its owner has mended it.
const REFUSED_KEY_MS = 3_600_000;
const KEPT_MS = 40 * 86_400_000;
const KEPT_AS = "upstream/keys";
const CONNECTIONS = 16;
const LONGEST_ANSWER_BYTES = 1_048_576;
const CONNECT_ERRORS =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/;

export interface UpstreamOptions
  extends Pick<Bot, "clock" | "random" | "telemetry" | "values" | "log">,
    Partial<Pick<Bot, "signal">> {
  /** The API's base, without a trailing slash. */
  readonly url: string;
  readonly model: string;
  /** In order of preference, at least one. */
  readonly keys: readonly Secret[];
  readonly quotas: readonly Quota[];
}

export function createUpstream(options: UpstreamOptions): Upstream {
  const { clock, random, telemetry, values, keys, model } = options;
  const quotas = keys.map((_, index) => quotaOf(options.quotas, index));
  const { origin, pathname } = new URL(options.url);
  const path = `${pathname.replace(/\/+$/, "")}/chat/completions`;
  const pool = new Pool(origin, {
    connections: CONNECTIONS,
    allowH2: false,
    pipelining: 1,
    // Waits are measured on the clock that was handed in; undici's own timers would run on another.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: LONGEST_ANSWER_BYTES,
  });
  // What a key is called where its counts are kept: of no use to a reader.
  const names = keys.map((key) => createHash("sha256").update(key.reveal()).digest("hex").slice(0, 16));
  const states: KeyState[] = keys.map(() => UNUSED);
  let breaker: Breaker = CLOSED;
  /** The key in use, or null while all are spent. */
  let current: number | null = 0;
  let saving: Promise<void> = Promise.resolve();
  let nextSave: Promise<void> | undefined;
  let cancelLook: Cancel | undefined;
  options.signal?.addEventListener("abort", () => {
    cancelLook?.();
    void pool.destroy();
  });

  const stateOf = (index: number): KeyState => states[index] ?? UNUSED;

  async function load(): Promise<void> {
    try {
      const kept = readStates(await values.read(KEPT_AS, clock.wall()));
      for (const [index, name] of names.entries()) states[index] = kept.get(name) ?? UNUSED;
    } catch (error) {
      telemetry.event("ledger.unreachable", { error: String(error) });
    }
  }

  async function write(): Promise<void> {
    const kept = JSON.stringify(Object.fromEntries(names.map((name, index) => [name, stateOf(index)])));
    const now = clock.wall();
    try {
      await values.write(KEPT_AS, kept, now, now + KEPT_MS);
    } catch (error) {
      telemetry.event("ledger.unreachable", { error: String(error) });
    }
  }

  /** Resolves when the counts as they are now are kept, or cannot be. Whoever comes during a write shares the next one. */
  function save(): Promise<void> {
    nextSave ??= saving.then(() => {
      nextSave = undefined;
      saving = write();
      return saving;
    });
    return nextSave;
  }

  /** Tells which key is in use now, and looks again when a spent one comes back. */
  function look(reason = "its quota is used up"): number | null {
    const now = clock.wall();
    const choice = choose(states, quotas, now);
    const next = choice.kind === "key" ? choice.index : null;
    telemetry.level("UpstreamKeysSpent", spentKeys(states, quotas, now) / keys.length);
    if (next !== current) {
      // Whoever looks first, back goes the pool because a window has turned.
      const isBack = next !== null && (current === null || next < current);
      const place = (index: number | null): number | null => (index === null ? null : index + 1);
      const until = choice.kind === "spent" ? new Date(choice.until).toISOString() : null;
      telemetry.event("upstream.key", {
        from: place(current),
        to: place(next),
        reason: isBack ? "its window has turned" : reason,
        until,
      });
      current = next;
    }
    cancelLook?.();
    cancelLook = undefined;
    const spent = states.map((state, index) => spentUntil(state, quotas[index] ?? {}, now)).filter((at) => at > now);
    if (spent.length > 0 && options.signal?.aborted !== true) {
      cancelLook = clock.schedule(Math.min(...spent) - now, () => look());
    }
    return next;
  }

  function moveBreaker(next: Breaker, error: string | null): void {
    if (next.kind !== breaker.kind) {
      telemetry.event("upstream.state", { from: breaker.kind, to: next.kind, error });
      telemetry.level("UpstreamDown", next.kind === "closed" ? 0 : 1);
    }
    breaker = next;
  }

  /** One request with one key. Rejects with an UpstreamError of kind network or timeout, or the signal's reason. */
  async function attempt(index: number, body: string, signal: AbortSignal): Promise<Outcome> {
    const late = new AbortController();
    const cancel = clock.schedule(ATTEMPT_MS, () => late.abort());
    const since = clock.now();
    telemetry.count("UpstreamRequests");
    try {
      const answer = await pool.request({
        method: "POST",
        path,
        headers: { "content-type": "application/json", authorization: `Bearer ${keys[index]?.reveal()}` },
        body,
        signal: AbortSignal.any([signal, late.signal]),
      });
      const text = await answer.body.text();
      telemetry.observe("UpstreamMilliseconds", clock.now() - since);
      const retryAfter = answer.headers["retry-after"];
      return outcomeOf(
        answer.statusCode,
        retryAfter === undefined ? undefined : String(retryAfter),
        text,
        clock.wall(),
      );
    } catch (cause) {
      signal.throwIfAborted();
      if (late.signal.aborted) throw new UpstreamError("timeout", `no answer within ${ATTEMPT_MS} ms`);
      throw new UpstreamError("network", `the provider at ${origin} cannot be reached (${codeOf(cause)})`, { cause });
    } finally {
      cancel();
    }
  }

  async function usableKey(signal: AbortSignal): Promise<number> {
    for (;;) {
      signal.throwIfAborted();
      const index = look();
      if (index !== null) return index;
      const choice = choose(states, quotas, clock.wall());
      if (choice.kind === "key") continue;
      const wait = choice.until - clock.wall();
      if (wait > SHORT_WAIT_MS) {
        const until = new Date(choice.until).toISOString();
        throw new UpstreamError("exhausted", `every key is spent until ${until}`, { until: choice.until });
      }
      await clock.sleep(wait, signal);
    }
  }

  function permit(): void {
    const now = clock.now();
    if (!mayTry(breaker, now)) {
      const at = breaker.kind === "open" ? breaker.probeAt : breaker.kind === "probing" ? breaker.probeEndsAt : now;
      const until = clock.wall() + at - now;
      throw new UpstreamError("down", "the provider fails; it is probed now and then", { until });
    }
    moveBreaker(tried(breaker, now, ATTEMPT_MS), null);
  }

  const failedNow = (error: UpstreamError): void => {
    telemetry.count("UpstreamFailures");
    moveBreaker(fail(breaker, clock.now(), BREAKER, random), error.message);
  };

  /** What the outcome says about key and provider; the answer, or an error, or undefined for another try at once. */
  function learn(index: number, outcome: Outcome): string | UpstreamError | undefined {
    const now = clock.wall();
    if (outcome.kind === "failed" || outcome.kind === "nonsense") {
      const said = outcome.kind === "failed" ? `status ${outcome.status}` : "something that is no chat completion";
      return new UpstreamError(outcome.kind, `the provider answered with ${said}`);
    }
    moveBreaker(succeed(breaker), null);
    switch (outcome.kind) {
      case "answer":
        states[index] = countTokens(stateOf(index), outcome.tokens, now);
        telemetry.count("UpstreamTokens", outcome.tokens);
        void save();
        look();
        return outcome.text;
      case "spent":
        states[index] = refuse(stateOf(index), outcome.until);
        void save();
        look(`the provider answered with status ${outcome.status}`);
        return undefined;
      case "refused":
        states[index] = refuse(stateOf(index), now + REFUSED_KEY_MS);
        void save();
        options.log("error", `key ${index + 1} of UPSTREAM_KEYS is not taken (status ${outcome.status}); replace it`);
        look(`the provider answered with status ${outcome.status}`);
        return undefined;
      case "rejected":
        telemetry.count("UpstreamFailures");
        return new UpstreamError("rejected", `the provider does not take the request (status ${outcome.status})`);
    }
  }

  // Told from the start, so that what was spent before it is known though nobody asks.
  telemetry.level("UpstreamDown", 0);
  const started = load().then(() => void look());
  let counted: Promise<void> | undefined;

  return {
    async complete(messages, signal) {
      // Once more with the first question: until this task took over, the one before it went on counting.
      counted ??= started.then(load);
      await counted;
      const body = requestBody(model, messages);
      let backoff = START;
      for (;;) {
        const index = await usableKey(signal);
        permit();
        states[index] = countRequest(stateOf(index), clock.wall());
        // Kept before it leaves: a process that is killed has at most counted a request that was never sent.
        await save();
        let result: string | UpstreamError | undefined;
        try {
          result = learn(index, await attempt(index, body, signal));
        } catch (error) {
          if (!(error instanceof UpstreamError)) throw error;
          result = error;
        }
        if (typeof result === "string") return result;
        if (result === undefined) continue;
        if (result.kind === "rejected") throw result;
        failedNow(result);
        const again =
          result.kind === "failed" || (result.kind === "network" && CONNECT_ERRORS.test(codeOf(result.cause)));
        if (!again || backoff.tries + 1 >= MOST_TRIES) throw result;
        const next = backOff(backoff, BACKOFF, random);
        backoff = next;
        await clock.sleep(next.delayMs, signal);
      }
    },
    status() {
      const now = clock.wall();
      return {
        keys: keys.length,
        spent: spentKeys(states, quotas, now),
        breaker: breaker.kind,
        budget: states.map((kept, index) => {
          const state = turned(kept, now);
          const until = spentUntil(state, quotas[index] ?? {}, now);
          return {
            requestsThisHour: state.hour.requests,
            requestsThisMonth: state.month.requests,
            tokensThisHour: state.hour.tokens,
            tokensThisMonth: state.month.tokens,
            spentUntil: until > now ? new Date(until).toISOString() : null,
          };
        }),
      };
    },
  };
}

const codeOf = (error: unknown): string => {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : error instanceof Error ? error.name : "unknown";
};
