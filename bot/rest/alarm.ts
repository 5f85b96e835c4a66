// One timer for whatever is due first.

import type { Cancel, Clock } from "../clock.ts";

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #set: { readonly due: number; readonly cancel: Cancel } | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `due` at the latest, monotonic ms: what was set for earlier rings then, and whoever is woken asks again. */
  set(due: number, now: number): void {
    if (due === Infinity || (this.#set !== undefined && this.#set.due <= due && this.#set.due > now)) return;
    this.stop();
    const cancel = this.#clock.schedule(due - now, () => {
      this.#set = undefined;
      this.#ring();
    });
    this.#set = { due, cancel };
  }

  stop(): void {
    this.#set?.cancel();
    this.#set = undefined;
  }
}
