// How long requests take, over the last thousand of them.

const KEPT = 1_024;

/** Milliseconds from sending to the answer; null before the first one. */
export interface LatencyStatus {
  readonly p50: number | null;
  readonly p99: number | null;
}

export class Latency {
  readonly #samples = new Float64Array(KEPT);
  #count = 0;

  add(milliseconds: number): void {
    this.#samples[this.#count % KEPT] = milliseconds;
    this.#count += 1;
  }

  get status(): LatencyStatus {
    const sorted = this.#samples.slice(0, Math.min(this.#count, KEPT)).sort();
    const at = (share: number): number | null => {
      const value = sorted[Math.ceil(share * sorted.length) - 1];
      return value === undefined ? null : Math.round(value * 10) / 10;
    };
    return { p50: at(0.5), p99: at(0.99) };
  }
}
