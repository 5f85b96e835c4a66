// Measures how late the process's timers run, and tells a busy event loop from a machine that stood still.

import type { Cancel, Clock } from "../clock.ts";

/** Milliseconds between two samples. */
const SAMPLE_MS = 1_000;

/** An eighth of Discord's usual heartbeat interval of 41,250 ms: what stands still for so long soon costs a heartbeat. */
export const STALL_MS = 5_000;

export interface LoopListener {
  /** One sample: milliseconds that a timer was late. */
  lag(milliseconds: number): void;
  /** loop: something kept the event loop busy. suspend: the machine stood still, or its wall clock was set forward. */
  stalled(gapMs: number, cause: "loop" | "suspend"): void;
}

/** Samples until the returned function is called. */
export function watchLoop(clock: Clock, listener: LoopListener): Cancel {
  let cancel: Cancel = () => {};
  const sample = (): void => {
    const due = clock.now() + SAMPLE_MS;
    const wallDue = clock.wall() + SAMPLE_MS;
    cancel = clock.schedule(SAMPLE_MS, () => {
      const lag = Math.max(clock.now() - due, 0);
      // The monotonic clock stands still with the machine, the wall clock does not.
      const missed = clock.wall() - wallDue - lag;
      listener.lag(lag);
      if (missed >= STALL_MS) listener.stalled(Math.round(missed), "suspend");
      else if (lag >= STALL_MS) listener.stalled(Math.round(lag), "loop");
      sample();
    });
  };
  sample();
  return () => cancel();
}
