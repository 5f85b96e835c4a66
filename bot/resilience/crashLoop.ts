// How long a start that follows other starts too soon holds back what costs budget (pure).

const WINDOW_MS = 600_000;
const FREE_STARTS = 2;
const FIRST_PAUSE_MS = 30_000;
/** An earlier process may have identified in its last moment: 5 s (events/gateway#sharding-max-concurrency), and the way. */
const SPACING_MS = 6_000;

/**
 * Milliseconds before this start may spend an IDENTIFY: none for the very first, 6 s for any other, and from the third
 * within 10 min on 30 s x 2^n, at most the window itself. A RESUME costs nothing and is never held back.
 * @param starts wall times of the starts before this one, ms since 1970
 */
export function crashLoopPauseMs(starts: readonly number[], wall: number): number {
  const recent = starts.filter((start) => start <= wall && wall - start < WINDOW_MS).length;
  if (recent < FREE_STARTS) return starts.length === 0 ? 0 : SPACING_MS;
  return Math.min(WINDOW_MS, FIRST_PAUSE_MS * 2 ** (recent - FREE_STARTS));
}
