// Time as it passes outside: the greater of monotonic and wall time, since a suspended machine stops the monotonic one.

import type { Clock } from "../clock.ts";

/** Milliseconds that only grow; a wall clock that is set back takes nothing away, one that is set ahead adds. */
export function elapsedMeter(clock: Pick<Clock, "now" | "wall">): () => number {
  let now = clock.now();
  let wall = clock.wall();
  let elapsed = 0;
  return () => {
    const [nowNext, wallNext] = [clock.now(), clock.wall()];
    elapsed += Math.max(nowNext - now, wallNext - wall, 0);
    now = nowNext;
    wall = wallNext;
    return elapsed;
  };
}
