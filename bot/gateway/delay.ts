// The wait until an instant, as a timer takes it.

import type { Clock } from "../clock.ts";

/** Whole milliseconds: with fractions, rounding could let a timer come a hair early, for ever again without progress. */
export function delayUntil(at: number, clock: Clock): number {
  return Math.max(0, Math.ceil(at - clock.now()));
}
