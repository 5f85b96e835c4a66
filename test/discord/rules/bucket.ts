// One REST bucket's counter, leaky or with a fixed window, and the global limit's window (topics/rate-limits).

export interface BucketReading {
  readonly limit: number;
  readonly remaining: number;
  /** Leaky: until all slots are back, moving on with each request. Fixed: until the window ends. ms */
  readonly resetAfterMs: number;
}

export type BucketVerdict =
  | { readonly kind: "pass"; readonly reading: BucketReading }
  /** `retryAfterMs`: until one slot is free. */
  | { readonly kind: "limited"; readonly reading: BucketReading; readonly retryAfterMs: number };

export interface Bucket {
  take(now: number): BucketVerdict;
  /** Nothing would be lost by forgetting it. */
  idle(now: number): boolean;
}

// Sums of thirds of a second must not turn a slot that is just free into one that is not.
const ROUNDING_MS = 1e-6;

/** Most buckets since 2022-11-02: slots come back one by one. */
export class LeakyBucket implements Bucket {
  readonly #limit: number;
  readonly #slotMs: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#slotMs = windowMs / limit;
  }

  take(now: number): BucketVerdict {
    const fullAt = Math.max(this.#fullAt, now);
    const retryAfterMs = fullAt + this.#slotMs - this.#limit * this.#slotMs - now;
    if (retryAfterMs > ROUNDING_MS) return { kind: "limited", reading: this.#reading(fullAt, now), retryAfterMs };
    this.#fullAt = fullAt + this.#slotMs;
    return { kind: "pass", reading: this.#reading(this.#fullAt, now) };
  }

  idle(now: number): boolean {
    return this.#fullAt <= now;
  }

  #reading(fullAt: number, now: number): BucketReading {
    const used = (fullAt - now - ROUNDING_MS) / this.#slotMs;
    return { limit: this.#limit, remaining: Math.max(0, Math.floor(this.#limit - used)), resetAfterMs: fullAt - now };
  }
}

/** All slots come back at once, a window after the first request in it. */
export class FixedBucket implements Bucket {
  readonly #limit: number;
  readonly #windowMs: number;
  #endsAt = Number.NEGATIVE_INFINITY;
  #used = 0;

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  take(now: number): BucketVerdict {
    if (now >= this.#endsAt) {
      this.#endsAt = now + this.#windowMs;
      this.#used = 0;
    }
    const resetAfterMs = this.#endsAt - now;
    if (this.#used >= this.#limit) {
      const reading = { limit: this.#limit, remaining: 0, resetAfterMs };
      return { kind: "limited", reading, retryAfterMs: resetAfterMs };
    }
    this.#used++;
    return { kind: "pass", reading: { limit: this.#limit, remaining: this.#limit - this.#used, resetAfterMs } };
  }

  idle(now: number): boolean {
    return now >= this.#endsAt;
  }
}
