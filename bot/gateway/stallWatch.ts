// Notices that the event loop or the whole machine stood still, which looks like a dead peer and is none.

import type { Clock } from "../clock.ts";

const TICK_MS = 1_000;
/** A tick later than this is no busy moment any more. */
const STALL_MS = 2_000;

export interface Stall {
  readonly gapMs: number;
  /** suspend: wall time went on while monotonic time stood still. */
  readonly cause: "loop" | "suspend";
}

/** Watches until the returned function is called. */
export function watchStalls(clock: Clock, report: (stall: Stall) => void): () => void {
  let now = clock.now();
  let wall = clock.wall();
  let cancel = clock.schedule(TICK_MS, tick);

  function tick(): void {
    const elapsed = clock.now() - now;
    const suspended = clock.wall() - wall - elapsed;
    now = clock.now();
    wall = clock.wall();
    cancel = clock.schedule(TICK_MS, tick);
    if (suspended > STALL_MS) report({ gapMs: suspended, cause: "suspend" });
    else if (elapsed - TICK_MS > STALL_MS) report({ gapMs: elapsed - TICK_MS, cause: "loop" });
  }

  return () => cancel();
}
