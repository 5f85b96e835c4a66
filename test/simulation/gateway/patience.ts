// How often a fleet may dial while all of Discord's hosts are down: one asks for all.

import type { NetworkOptions } from "./network.ts";

/** From then on an outage is known to whoever has dialled in it. */
const KNOWN_AFTER_MS = 30_000;
/** Probes come every 2 to 4 s; twice that is impatience. */
const MOST_DIALS = 10;
const WINDOW_MS = 10_000;
/** Whoever has not dialled for so long knows nothing of an outage. */
const FORGOTTEN_AFTER_MS = 15_000;

export class Patience {
  readonly #options: NetworkOptions;
  #outageSince: number | undefined;
  #dials: number[] = [];
  #lostAt: number[] = [];
  #excusedUntil = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** A new process knows nothing of an outage: its first dials are no impatience. */
  excuse(milliseconds: number): void {
    this.#excusedUntil = this.#options.timeline.now() + milliseconds;
  }

  /** Whoever loses its connection only now may ask once itself. */
  lost(): void {
    this.#lostAt.push(this.#options.timeline.now());
  }

  dialled(isDown: boolean): void {
    const { timeline, trace, shards } = this.#options;
    const now = timeline.now();
    if (!isDown || now < this.#excusedUntil) {
      this.#outageSince = undefined;
      this.#lostAt = [];
      return;
    }
    if (now - (this.#dials.at(-1) ?? now) > FORGOTTEN_AFTER_MS) this.#outageSince = now;
    this.#outageSince ??= now;
    this.#dials = this.#dials.filter((at) => now - at < WINDOW_MS);
    this.#dials.push(now);
    this.#lostAt = this.#lostAt.filter((at) => now - at < WINDOW_MS);
    if (now - this.#outageSince <= KNOWN_AFTER_MS || this.#dials.length <= MOST_DIALS + this.#lostAt.length) return;
    trace.broken(`${this.#dials.length} dials in 10 s of an outage that is known, by ${shards} shards`);
  }
}
