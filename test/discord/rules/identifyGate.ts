// Who may IDENTIFY now: one per key and 5 s, and a daily budget that every attempt draws on (events/gateway#rate-limiting, #session-start-limit-object).

/** events/gateway#session-start-limit-object: one IDENTIFY per key and 5 s. */
const WINDOW_MS = 5_000;
const DAY_MS = 86_400_000;

export interface SessionStartLimit {
  readonly total: number;
  readonly remaining: number;
  /** Whole ms until `remaining` is `total` again. */
  readonly reset_after: number;
  readonly max_concurrency: number;
}

export type IdentifyVerdict =
  | { readonly kind: "accepted" }
  | { readonly kind: "window"; readonly sinceMs: number }
  | { readonly kind: "exhausted" };

export class IdentifyGate {
  readonly maxConcurrency: number;
  #total: number;
  #remaining: number;
  #resetAt: number;
  readonly #last = new Map<number, number>();

  constructor(now: number, maxConcurrency: number, total: number, remaining: number, resetAfterMs: number) {
    this.maxConcurrency = maxConcurrency;
    this.#total = total;
    this.#remaining = remaining;
    this.#resetAt = now + resetAfterMs;
  }

  /** An IDENTIFY arrives. A refused one costs as much; the window runs from the last that was let through. */
  identify(now: number, shardId: number): IdentifyVerdict {
    this.#roll(now);
    if (this.#remaining <= 0) return { kind: "exhausted" };
    this.#remaining--;
    const key = shardId % this.maxConcurrency;
    const sinceMs = now - (this.#last.get(key) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < WINDOW_MS) return { kind: "window", sinceMs };
    this.#last.set(key, now);
    return { kind: "accepted" };
  }

  limits(now: number): SessionStartLimit {
    this.#roll(now);
    return {
      total: this.#total,
      remaining: this.#remaining,
      reset_after: Math.ceil(this.#resetAt - now),
      max_concurrency: this.maxConcurrency,
    };
  }

  /** Sets what is left, as when another process has drawn on it. */
  set(now: number, remaining: number, resetAfterMs: number, total = this.#total): void {
    this.#total = total;
    this.#remaining = remaining;
    this.#resetAt = now + resetAfterMs;
  }

  #roll(now: number): void {
    if (now < this.#resetAt) return;
    this.#remaining = this.#total;
    this.#resetAt += DAY_MS * (1 + Math.floor((now - this.#resetAt) / DAY_MS));
  }
}
