// A small model of Discord's limits behind a lossy network in virtual time: strict, seeded, and counting what it must refuse.

import type { Message } from "../../../bot/rest/message.ts";
import type { Exchange, Flight, Transport } from "../../../bot/rest/transport.ts";
import type { VirtualClock } from "../../virtualClock.ts";

/** A seeded source in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Rule {
  readonly matches: RegExp;
  readonly method?: string;
  readonly hash: string;
  readonly limit: number;
  readonly periodMs: number;
  readonly shape: "leaky" | "fixed";
}

/** What one bucket answers. */
interface Counted {
  readonly allowed: boolean;
  readonly remaining: number;
  readonly resetAfterMs: number;
  readonly retryAfterMs: number;
}

/** One counter, of either shape. */
class Counter {
  readonly #rule: Rule;
  #level = 0;
  #at = 0;

  constructor(rule: Rule) {
    this.#rule = rule;
  }

  count(now: number): Counted {
    const { limit, periodMs, shape } = this.#rule;
    if (shape === "fixed") {
      if (now >= this.#at) {
        this.#at = now + periodMs;
        this.#level = 0;
      }
      const allowed = this.#level < limit;
      if (allowed) this.#level += 1;
      const left = this.#at - now;
      return { allowed, remaining: limit - this.#level, resetAfterMs: left, retryAfterMs: left };
    }
    const perSlot = periodMs / limit;
    this.#level = Math.max(0, this.#level - (now - this.#at) / perSlot);
    this.#at = now;
    const allowed = this.#level + 1 <= limit + 1e-9;
    if (allowed) this.#level += 1;
    return {
      allowed,
      remaining: Math.floor(limit - this.#level + 1e-9),
      resetAfterMs: this.#level * perSlot,
      retryAfterMs: Math.max(0, (this.#level + 1 - limit) * perSlot),
    };
  }
}

export interface Faults {
  /** Chance of each, per request. */
  readonly serverError?: number;
  readonly resetBefore?: number;
  readonly resetAfter?: number;
  readonly lost?: number;
  readonly half?: number;
}

export interface ModelOptions {
  readonly clock: VirtualClock;
  readonly random: () => number;
  readonly rules: readonly Rule[];
  readonly globalPerSecond: number;
  readonly faults?: Faults;
  /** One-way network time, milliseconds: from, to. */
  readonly latency?: readonly [number, number];
}

export interface Arrived {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly at: number;
}

/** `edge` may be set at any time: what the edge answers before a request reaches the API, or undefined to let it pass. */
export class Model implements Transport {
  readonly #options: ModelOptions;
  readonly #counters = new Map<string, Counter>();
  /** Buckets that were told to wait, with the end of the wait. */
  readonly #told = new Map<string, number>();
  #second: number[] = [];
  readonly nonces = new Map<string, string>();
  readonly arrived: Arrived[] = [];
  readonly executed: Arrived[] = [];
  /** Refusals that a client could have avoided: it had heard of the bucket, or the limit is published. */
  readonly refused: string[] = [];
  readonly #heardOf = new Set<string>();
  readonly early: string[] = [];
  edge: ((path: string) => { status: number; retryAfter?: number } | undefined) | undefined;
  edgeHits: number[] = [];
  /** Renames every bucket: counters go on. */
  renaming = 0;

  constructor(options: ModelOptions) {
    this.#options = options;
  }

  async close(): Promise<void> {}

  send(message: Message, _headers: Readonly<Record<string, string>>, settle: (exchange: Exchange) => void): Flight {
    const { clock, random, faults = {}, latency = [5, 100] } = this.#options;
    let open = true;
    const end = (exchange: Exchange): void => {
      if (!open) return;
      open = false;
      stopTimer();
      settle(exchange);
    };
    const oneWay = (): number => latency[0] + random() * (latency[1] - latency[0]);
    const stopTimer = clock.schedule(20_000, () => end({ kind: "timeout", sent: true, cause: new Error("timeout") }));
    const roll = random();
    let edge = 0;
    const hits = (chance: number | undefined): boolean => {
      edge += chance ?? 0;
      return roll < edge;
    };
    if (hits(faults.resetBefore)) {
      clock.schedule(oneWay(), () => end({ kind: "network", sent: true, cause: new Error("reset") }));
    } else {
      const lost = hits(faults.lost);
      const resetAfter = hits(faults.resetAfter);
      const half = hits(faults.half);
      const broken = hits(faults.serverError);
      clock.schedule(oneWay(), () => {
        const answer = this.#arrive(message, broken);
        if (lost) return;
        clock.schedule(oneWay(), () => {
          if (resetAfter) end({ kind: "network", sent: true, cause: new Error("reset") });
          else if (half && answer.kind === "answer" && answer.status === 200) {
            end({ ...answer, body: answer.body.subarray(0, answer.body.length - 2) });
          } else {
            this.#heard(message, answer);
            end(answer);
          }
        });
      });
    }
    return { abort: () => end({ kind: "aborted", sent: true }) };
  }

  #keyOf(rule: Rule, path: string): string {
    return `${rule.hash} ${/^\/\w+\/\d+/.exec(path)?.[0] ?? ""}`;
  }

  #rule({ method, path }: Message): Rule | undefined {
    return this.#options.rules.find((rule) => rule.matches.test(path) && (rule.method ?? method) === method);
  }

  #heard(message: Message, heard: Exchange): void {
    const rule = this.#rule(message);
    if (rule !== undefined && heard.kind === "answer" && "x-ratelimit-bucket" in heard.headers) {
      this.#heardOf.add(this.#keyOf(rule, message.path));
    }
  }

  #arrive(message: Message, broken: boolean): Exchange {
    const { clock, globalPerSecond } = this.#options;
    const now = clock.now();
    const { method, path } = message;
    const body = message.body === null ? "" : message.body.toString();
    const seen: Arrived = { method, path, body, at: now };
    this.arrived.push(seen);
    const edge = this.edge?.(path);
    if (edge !== undefined) {
      this.edgeHits.push(now);
      const retry = edge.retryAfter === undefined ? {} : { "retry-after": String(edge.retryAfter) };
      return answer(edge.status, { server: "cloudflare", ...retry }, "error code: 1015");
    }

    const exempt = /^\/(interactions|webhooks)\//.test(path);
    if (!exempt) {
      this.#second = this.#second.filter((at) => at > now - 1000);
      if (this.#second.length >= globalPerSecond) {
        this.refused.push(`global ${path}`);
        return limited("global", 1000, { "x-ratelimit-global": "true" });
      }
      this.#second.push(now);
    }

    const rule = this.#options.rules.find(
      (candidate) => candidate.matches.test(path) && (candidate.method ?? method) === method,
    );
    let headers: Record<string, string> = { via: "1.1 google" };
    if (rule !== undefined) {
      const key = this.#keyOf(rule, path);
      if ((this.#told.get(key) ?? 0) > now) this.early.push(key);
      let counter = this.#counters.get(key);
      if (counter === undefined) {
        counter = new Counter(rule);
        this.#counters.set(key, counter);
      }
      const counted = counter.count(now);
      headers = {
        ...headers,
        "x-ratelimit-bucket": `${rule.hash}${this.renaming === 0 ? "" : `-${this.renaming}`}`,
        "x-ratelimit-limit": String(rule.limit),
        "x-ratelimit-remaining": String(counted.remaining),
        "x-ratelimit-reset-after": (Math.ceil(counted.resetAfterMs) / 1000).toFixed(3),
      };
      if (!counted.allowed) {
        if (this.#heardOf.has(key)) this.refused.push(`user ${key}`);
        this.#told.set(key, now + counted.retryAfterMs);
        return limited("user", counted.retryAfterMs, headers);
      }
    }
    if (broken) return answer(502, {}, "bad gateway");
    if (body.includes('"nonce"')) {
      const nonce: unknown = JSON.parse(body).nonce;
      const before = this.nonces.get(String(nonce));
      if (before !== undefined) return answer(200, headers, before);
      this.nonces.set(String(nonce), JSON.stringify({ id: String(this.executed.length) }));
    }
    this.executed.push(seen);
    return answer(200, headers, JSON.stringify({ id: String(this.executed.length - 1) }));
  }
}

function answer(status: number, headers: Readonly<Record<string, string>>, body: string): Exchange {
  return { kind: "answer", status, headers, body: Buffer.from(body) };
}

function limited(scope: string, retryAfterMs: number, headers: Readonly<Record<string, string>>): Exchange {
  const body = JSON.stringify({
    message: "You are being rate limited.",
    retry_after: retryAfterMs / 1000,
    global: scope === "global",
  });
  return answer(
    429,
    { ...headers, "x-ratelimit-scope": scope, "retry-after": String(Math.ceil(retryAfterMs / 1000)) },
    body,
  );
}
