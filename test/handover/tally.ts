// What became of events that were sent while tasks came and went: handled, lost, doubled, and the longest silence.

export interface Tally {
  readonly sent: number;
  readonly handled: number;
  /** Events whose handler never started. */
  readonly lost: readonly string[];
  /** Events whose handler started more than once. */
  readonly doubled: readonly string[];
  /** The longest time between one start of a handler and the next, ms; 0 with fewer than two. */
  readonly longestGapMs: number;
}

/** @param starts of handlers, in any order; those of events that were not sent here do not count. */
export function tally(sent: readonly string[], starts: readonly { readonly id: string; readonly at: number }[]): Tally {
  const times = new Map(sent.map((id) => [id, 0]));
  const moments: number[] = [];
  for (const { id, at } of starts) {
    const before = times.get(id);
    if (before === undefined) continue;
    times.set(id, before + 1);
    moments.push(at);
  }
  moments.sort((one, other) => one - other);
  const those = (fits: (count: number) => boolean): string[] =>
    [...times].filter(([, count]) => fits(count)).map(([id]) => id);
  return {
    sent: sent.length,
    handled: sent.length - those((count) => count === 0).length,
    lost: those((count) => count === 0),
    doubled: those((count) => count > 1),
    longestGapMs: moments.reduce((longest, at, place) => Math.max(longest, at - (moments[place - 1] ?? at)), 0),
  };
}
