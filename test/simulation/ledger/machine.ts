// A machine of its own in virtual time: its clocks run a little off, and it may be suspended.

import type { Cancel, Clock } from "../../../bot/clock.ts";

export interface Machine {
  readonly clock: Clock;
  /** Time and callbacks stand still; the wall clock goes on. */
  suspend(): void;
  wake(): void;
  /** Nothing runs here any more. */
  kill(): void;
  /** Runs the callback now, when the machine wakes, or never. */
  enter(callback: () => void): void;
  /** Resolves when the machine runs; never, when it was killed. */
  awake(): Promise<void>;
}

/** @param rate of its clocks, 1 for exact @param offsetMs of its wall clock */
export function createMachine(world: Clock, rate: number, offsetMs: number): Machine {
  let state: "runs" | "suspended" | "dead" = "runs";
  let lostMs = 0;
  let suspendedAt = 0;
  let due: (() => void)[] = [];
  let sleepers: (() => void)[] = [];

  const now = (): number => (state === "suspended" ? suspendedAt : world.now() - lostMs) * rate;

  const enter = (callback: () => void): void => {
    if (state === "suspended") due.push(() => enter(callback));
    else if (state === "runs") callback();
  };

  const schedule = (delayMs: number, callback: () => void): Cancel => {
    let cancelled = false;
    const run = (): void => {
      if (!cancelled) callback();
    };
    const cancel = world.schedule(delayMs / rate, () => enter(run));
    return () => {
      cancelled = true;
      cancel();
    };
  };

  return {
    clock: {
      now,
      wall: () => world.wall() + world.now() * (rate - 1) + offsetMs,
      schedule,
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          signal?.throwIfAborted();
          const cancel = schedule(delayMs, resolve);
          signal?.addEventListener("abort", () => {
            cancel();
            reject(signal.reason);
          });
        }),
    },
    suspend() {
      if (state !== "runs") return;
      suspendedAt = world.now() - lostMs;
      state = "suspended";
    },
    wake() {
      if (state !== "suspended") return;
      lostMs = world.now() - suspendedAt;
      state = "runs";
      const [callbacks, waiting] = [due, sleepers];
      due = [];
      sleepers = [];
      for (const callback of callbacks) callback();
      for (const resolve of waiting) resolve();
    },
    kill() {
      state = "dead";
    },
    enter,
    awake: () =>
      state === "runs"
        ? Promise.resolve()
        : new Promise((resolve) => {
            sleepers.push(resolve);
          }),
  };
}
