// One direction of a connection: bytes arrive late, in order, all at once after a hold-up, or never again.

import type { Chance } from "./chance.ts";
import type { Timeline } from "./timeline.ts";

/** How the network is at the moment, for every wire. */
export interface Weather {
  leastLatencyMs: number;
  mostLatencyMs: number;
}

export class Wire {
  readonly #timeline: Timeline;
  readonly #chance: Chance;
  readonly #weather: Weather;
  #lastAt = 0;
  #heldUntil = 0;
  #dead = false;

  constructor(timeline: Timeline, chance: Chance, weather: Weather) {
    this.#timeline = timeline;
    this.#chance = chance;
    this.#weather = weather;
  }

  /** Arrives after everything that was sent before it. */
  send(arrive: () => void): void {
    const { leastLatencyMs, mostLatencyMs } = this.#weather;
    const at = this.#timeline.now() + this.#chance.between(leastLatencyMs, mostLatencyMs);
    this.#lastAt = Math.max(at, this.#lastAt, this.#heldUntil);
    this.#timeline.schedule(this.#lastAt - this.#timeline.now(), () => {
      if (!this.#dead) arrive();
    });
  }

  /** What is sent from now on arrives no sooner than in so many ms. */
  hold(milliseconds: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#timeline.now() + milliseconds);
  }

  /** Nothing arrives any more, what is on its way included. */
  cut(): void {
    this.#dead = true;
  }
}
