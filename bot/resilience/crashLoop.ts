// How long a start that follows other starts too soon holds back what costs budget (pure).

const WINDOW_MS = 600_000;
/** Of each task: its start and a deploy's. */
const FREE_STARTS = 2;
/** The pause of a start that looks like a crash loop; a shorter one is a matter of course. */
export const FIRST_PAUSE_MS = 30_000;
/** An earlier process may have identified in its last moment: 5 s (events/gateway#sharding-max-concurrency), and the way. */
const SPACING_MS = 6_000;

/**
 * Milliseconds before this start may spend an IDENTIFY: none for the very first, 6 s for any other, and from the third
 * of each task within 10 min on 30 s x 2^n, at most the window itself. A RESUME costs nothing and is never held back.
 * @param starts wall times of the starts before this one, all tasks' together, ms since 1970; the last 100 are kept
 * @param tasks that share the shards
 */
export function crashLoopPauseMs(starts: readonly number[], wall: number, tasks = 1): number {
  const recent = starts.filter((start) => start <= wall && wall - start < WINDOW_MS).length;
  const free = FREE_STARTS * tasks;
  if (recent < free) return starts.length === 0 ? 0 : SPACING_MS;
  return Math.min(WINDOW_MS, FIRST_PAUSE_MS * 2 ** Math.floor((recent - free) / tasks));
}
