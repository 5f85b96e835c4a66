// How a strict API counts: leaking buckets, fixed windows, and sliding spans.

/** One limit's numbers; they may be changed under way. */
export interface Rate {
  limit: number;
  periodMs: number;
  readonly shape: "leaky" | "fixed";
}

export interface Counted {
  readonly allowed: boolean;
  readonly remaining: number;
  readonly resetAfterMs: number;
  /** Until one more would pass. */
  readonly retryAfterMs: number;
}

// Sums of fractions of milliseconds must not turn a slot that is just back into one that is not.
const EXACT = 1e-9;

/** One counter of one resource. */
export class Counter {
  #level = 0;
  /** Fixed: when the window ends. Leaky: when `level` was true. */
  #at = 0;

  count({ limit, periodMs, shape }: Rate, now: number): Counted {
    if (shape === "fixed") {
      if (now >= this.#at) {
        this.#at = now + periodMs;
        this.#level = 0;
      }
      const allowed = this.#level < limit;
      if (allowed) this.#level += 1;
      const left = this.#at - now;
      return { allowed, remaining: Math.max(0, limit - this.#level), resetAfterMs: left, retryAfterMs: left };
    }
    const slotMs = periodMs / limit;
    this.#level = Math.max(0, this.#level - (now - this.#at) / slotMs);
    this.#at = now;
    const allowed = this.#level + 1 <= limit + EXACT;
    if (allowed) this.#level += 1;
    return {
      allowed,
      remaining: Math.max(0, Math.floor(limit - this.#level + EXACT)),
      resetAfterMs: this.#level * slotMs,
      retryAfterMs: Math.max(0, (this.#level + 1 - limit) * slotMs),
    };
  }
}

/** How many in a span that ends now. */
export class Span {
  readonly #milliseconds: number;
  readonly #times: number[] = [];

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  count(now: number): number {
    let gone = 0;
    while (gone < this.#times.length && (this.#times[gone] ?? now) <= now - this.#milliseconds) gone += 1;
    if (gone > 0) this.#times.splice(0, gone);
    return this.#times.length;
  }

  add(now: number): void {
    this.#times.push(now);
  }
}
