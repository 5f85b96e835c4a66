// Simulated time: one heap of callbacks for everybody, and a process's own view of it, which can stand still or die.

import { type Cancel, type Clock, sleepBy } from "../../../bot/clock.ts";

/** Turns of the microtask queue after each callback: the longest chain of awaits between two timers of the bot is shorter. */
const MICROTASK_TURNS = 12;
const WALL_START_MS = 1_750_000_000_000;

interface Entry {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** A clock that is moved by `run` alone. */
export interface Timeline extends Clock {
  /** Runs what falls due until then, in order; `check` is called after each callback and may throw. */
  run(until: number, check: () => void): Promise<void>;
}

const before = (one: Entry, other: Entry): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

export function createTimeline(): Timeline {
  const heap: Entry[] = [];
  let time = 0;
  let order = 0;

  const push = (entry: Entry): void => {
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  };

  const pop = (): Entry | undefined => {
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      const right = heap[child + 1];
      if (below !== undefined && right !== undefined && before(right, below)) {
        child++;
        below = right;
      }
      if (below === undefined || !before(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  };

  const schedule = (delayMs: number, callback: () => void): Cancel => {
    const entry: Entry = { at: time + Math.max(0, delayMs), order: order++, callback };
    push(entry);
    return () => {
      entry.callback = undefined;
    };
  };

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < MICROTASK_TURNS; turn++) await undefined;
  };

  return {
    now: () => time,
    wall: () => WALL_START_MS + time,
    schedule,
    sleep: sleepBy(schedule),
    async run(until, check) {
      await settle();
      check();
      while ((heap[0]?.at ?? Number.POSITIVE_INFINITY) <= until) {
        const entry = pop();
        if (entry?.callback === undefined) continue;
        time = entry.at;
        entry.callback();
        await settle();
        check();
      }
      time = until;
    },
  };
}

/** A process's clock; what is due while the process stands still comes late, and nothing comes once it is dead. */
export interface ProcessClock extends Clock {
  /** Runs the callback now, at the end of a standstill, or never. */
  enter(callback: () => void): void;
  /** SIGSTOP for so long: monotonic time goes on. */
  stall(milliseconds: number): void;
  /** SIGKILL. */
  kill(): void;
  /** Timers that are armed. */
  pending(): number;
  stalledUntil(): number;
}

export function processClock(timeline: Timeline): ProcessClock {
  const armed = new Set<object>();
  let backlog: (() => void)[] = [];
  let dead = false;
  let stalledUntil = Number.NEGATIVE_INFINITY;

  const enter = (callback: () => void): void => {
    if (dead) return;
    if (timeline.now() < stalledUntil) backlog.push(callback);
    else callback();
  };

  const wake = (): void => {
    stalledUntil = Number.NEGATIVE_INFINITY;
    const late = backlog;
    backlog = [];
    for (const callback of late) enter(callback);
  };

  const schedule = (delayMs: number, callback: () => void): Cancel => {
    const timer = {};
    armed.add(timer);
    const cancel = timeline.schedule(delayMs, () =>
      enter(() => {
        if (armed.delete(timer)) callback();
      }),
    );
    return () => {
      armed.delete(timer);
      cancel();
    };
  };

  return {
    now: timeline.now,
    wall: timeline.wall,
    schedule,
    sleep: sleepBy(schedule),
    enter,
    stall(milliseconds) {
      const until = timeline.now() + milliseconds;
      if (until <= stalledUntil) return;
      stalledUntil = until;
      timeline.schedule(milliseconds, () => {
        if (stalledUntil === until) wake();
      });
    },
    kill() {
      dead = true;
      backlog = [];
      armed.clear();
    },
    pending: () => armed.size,
    stalledUntil: () => stalledUntil,
  };
}
