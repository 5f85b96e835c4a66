// The drivers' only source of time: the machine's clocks and timers, run faster by CLOCK_RATE in a rehearsal.

import { performance } from "node:perf_hooks";

/** Undoes a scheduled callback; calling it late or twice does nothing. */
export type Cancel = () => void;

/** Time as the drivers see it; every duration is in milliseconds of this clock. */
export interface Clock {
  /** Monotonic milliseconds. It stands still while the machine is suspended. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /** Calls back once, no sooner than `delayMs` from now. */
  schedule(delayMs: number, callback: () => void): Cancel;
  /** Resolves no sooner than `delayMs` from now; rejects with the signal's reason when that aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Chance in [0, 1), as `Math.random` gives it. */
export type Random = () => number;

/** `sleep` for a clock that can schedule. */
export function sleepBy(schedule: Clock["schedule"]): Clock["sleep"] {
  return (delayMs, signal) =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const abort = (): void => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = schedule(delayMs, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
}

// Node fires a timer of more than 2^31 - 1 ms at once; longer waits are taken in steps.
const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * The machine's clock, `rate` times as fast.
 * @param originMs wall time, ms since 1970, at which fast time began; processes that share it agree on `wall()`.
 */
export function systemClock(rate = 1, originMs: number = Date.now()): Clock {
  const now = (): number => performance.now() * rate;

  const schedule = (delayMs: number, callback: () => void): Cancel => {
    const due = now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const left = (due - now()) / rate;
      // A timer may fire up to 1 ms early by its own rounding; a wait that Discord asked for must never be short.
      if (left <= 0) callback();
      else timer = setTimeout(arm, Math.min(Math.ceil(left), LONGEST_TIMER_MS));
    };
    timer = setTimeout(arm, Math.min(Math.max(Math.ceil(delayMs / rate), 0), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  };

  return {
    now,
    wall: () => originMs + (Date.now() - originMs) * rate,
    schedule,
    sleep: sleepBy(schedule),
  };
}
