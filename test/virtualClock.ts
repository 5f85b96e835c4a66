// A clock that moves only when a test says so: callbacks run in order of their due time, then of their scheduling.

import { type Clock, sleepBy } from "../bot/clock.ts";

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A `Clock` under a test's hand. */
export interface VirtualClock extends Clock {
  /** Moves time on, running what falls due, and lets promise reactions run between callbacks. */
  advance(milliseconds: number): Promise<void>;
  /** Moves to the next callback that is due by then, and runs it; false: there is none. */
  runNext(until: number): boolean;
  /** Callbacks still scheduled. */
  pending(): number;
}

/** Starts at 0 ms monotonic and at `wallStartMs` wall time. */
export function virtualClock(wallStartMs = 1_750_000_000_000): VirtualClock {
  let time = 0;
  let scheduled = 0;
  const timers = new Set<Timer>();

  const next = (until: number): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (timer.due > until) continue;
      if (first === undefined || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  };

  const settle = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
  };

  const schedule = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { due: time + Math.max(delayMs, 0), order: scheduled++, callback };
    timers.add(timer);
    return () => timers.delete(timer);
  };

  const runNext = (until: number): boolean => {
    const timer = next(until);
    if (timer === undefined) return false;
    timers.delete(timer);
    time = timer.due;
    timer.callback();
    return true;
  };

  return {
    now: () => time,
    wall: () => wallStartMs + time,
    schedule,
    sleep: sleepBy(schedule),
    runNext,
    async advance(milliseconds) {
      const until = time + milliseconds;
      do await settle();
      while (runNext(until));
      time = until;
    },
    pending: () => timers.size,
  };
}
