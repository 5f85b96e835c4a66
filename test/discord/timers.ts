// All callbacks that the simulator has scheduled, so that stopping leaves none behind.

import type { Cancel, Clock } from "../../bot/clock.ts";

export class Timers {
  readonly #clock: Clock;
  readonly #pending = new Set<Cancel>();
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls back once after `milliseconds` of the injected clock; not at all once stopped. */
  after(milliseconds: number, callback: () => void): Cancel {
    if (this.#stopped) return () => {};
    const forget: Cancel = () => {
      cancel();
      this.#pending.delete(forget);
    };
    const cancel = this.#clock.schedule(milliseconds, () => {
      this.#pending.delete(forget);
      callback();
    });
    this.#pending.add(forget);
    return forget;
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#pending) cancel();
    this.#pending.clear();
  }
}
