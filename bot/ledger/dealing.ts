// How tasks share one limit of requests a second: the first of them deals, each follows and says so (pure).
//
// The ledger holds for each task at least what it sends: a larger share is written down before it is used, a smaller
// one used before it is written down. The dealer gives out only what nobody holds, and deals again only once all have
// followed the last deal; so together they keep the limit whatever one of them has not read yet, and whoever deals next.

/** What each task may send a second, by its id. */
export interface Deal {
  readonly number: number;
  readonly shares: Readonly<Record<string, number>>;
}

/** A task as far as dealing needs it. */
export interface Sharer {
  readonly id: string;
  /** Requests a second that it wants. */
  readonly demand: number;
  /** What it holds; absent: it has never been dealt in. */
  readonly share?: number | undefined;
  /** The deal that it follows, as `nameOf` has it. */
  readonly follows?: string | undefined;
}

/** What every task has at least, and all that it takes before it is dealt in. */
export const LEAST_SHARE = 1;

export const nameOf = (dealer: string, deal: Deal): string => `${dealer}/${deal.number}`;

/** Whether it leaves nothing over. */
export const isWhole = ({ shares }: Deal, total: number): boolean =>
  Object.values(shares).reduce((sum, share) => sum + share, 0) >= total;

/** Whole shares of `total`: small demands in full, the large ones alike, and what nobody wants evenly; one each at least. */
export function fairShares(total: number, demands: readonly number[]): number[] {
  const shares = demands.map(() => LEAST_SHARE);
  for (let left = total - shares.length * LEAST_SHARE; left >= 1; left--) {
    const wanting = shares.some((share, at) => share < (demands[at] ?? 0));
    let least = -1;
    for (const [at, share] of shares.entries()) {
      if (wanting && share >= (demands[at] ?? 0)) continue;
      if (least < 0 || share < (shares[least] ?? 0)) least = at;
    }
    if (least < 0) break;
    shares[least] = (shares[least] ?? 0) + 1;
  }
  return shares;
}

/** One step from what each may hold towards what it should: all that is too much, and no more than is free. */
export function stepTowards(total: number, wanted: readonly number[], held: readonly number[]): number[] {
  const next = wanted.map((share, at) => Math.min(share, held[at] ?? 0));
  let free = total - held.reduce((sum, share) => sum + share, 0);
  while (free >= 1) {
    let neediest = -1;
    for (const [at, share] of next.entries()) {
      const lacks = (wanted[at] ?? 0) - share;
      if (lacks >= 1 && (neediest < 0 || share < (next[neediest] ?? 0))) neediest = at;
    }
    if (neediest < 0) break;
    next[neediest] = (next[neediest] ?? 0) + 1;
    free -= 1;
  }
  return next;
}

/**
 * The dealer's next deal, or the one it has while that holds.
 * @param sharers every task that lives, the dealer first
 * @param current its own last deal; undefined: it has become the dealer
 * @param former all deals of others that are still on record: what somebody may be about to take
 */
export function dealAnew(
  total: number,
  sharers: readonly Sharer[],
  current: Deal | undefined,
  former: readonly Deal[],
  number: number,
): Deal | undefined {
  const [dealer] = sharers;
  if (dealer === undefined) return undefined;
  if (current !== undefined) {
    const name = nameOf(dealer.id, current);
    if (sharers.some(({ id, follows }) => current.shares[id] !== undefined && follows !== name)) return current;
  }
  const deals = current === undefined ? former : [current];
  const held = sharers.map(({ id, share = LEAST_SHARE }) =>
    Math.max(share, ...deals.map(({ shares }) => shares[id] ?? 0)),
  );
  if (current !== undefined) {
    const all = Object.keys(current.shares).length === sharers.length;
    const content = sharers.every(({ id, demand }) => demand <= (current.shares[id] ?? 0));
    if (all && content && isWhole(current, total)) return current;
  }
  const wanted = fairShares(
    total,
    sharers.map(({ demand }) => demand),
  );
  const next = stepTowards(total, wanted, held);
  const shares = Object.fromEntries(sharers.map(({ id }, at) => [id, next[at] ?? LEAST_SHARE]));
  const same = current !== undefined && Object.keys(current.shares).length === sharers.length;
  if (same && sharers.every(({ id }) => current.shares[id] === shares[id])) return current;
  return { number, shares };
}
