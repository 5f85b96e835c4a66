// At most so many in any span of so long: payloads, presence updates, invalid requests.

export class SlidingWindow {
  readonly limit: number;
  readonly #windowMs: number;
  #times: number[] = [];
  #head = 0;

  constructor(limit: number, windowMs: number) {
    this.limit = limit;
    this.#windowMs = windowMs;
  }

  /** Counts one at `now`; false if it was one too many (that one is not kept). */
  take(now: number): boolean {
    if (this.count(now) >= this.limit) return false;
    this.#times.push(now);
    return true;
  }

  /** How many lie within the window that ends at `now`. */
  count(now: number): number {
    while (this.#head < this.#times.length && now - (this.#times[this.#head] ?? now) >= this.#windowMs) this.#head++;
    if (this.#head > 1_024 && this.#head * 2 > this.#times.length) {
      this.#times = this.#times.slice(this.#head);
      this.#head = 0;
    }
    return this.#times.length - this.#head;
  }
}
