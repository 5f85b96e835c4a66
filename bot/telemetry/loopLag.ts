// Measures how late the process's timers run, which is how long everything else waits for the event loop.

import type { Cancel, Clock } from "../clock.ts";

/** Milliseconds between two samples. */
const SAMPLE_MS = 1_000;

/** Reports the milliseconds that a timer was late, once a sample, until the returned function is called. */
export function watchLoop(clock: Clock, lag: (milliseconds: number) => void): Cancel {
  let cancel: Cancel = () => {};
  const sample = (): void => {
    const due = clock.now() + SAMPLE_MS;
    cancel = clock.schedule(SAMPLE_MS, () => {
      lag(Math.max(clock.now() - due, 0));
      sample();
    });
  };
  sample();
  return () => cancel();
}
