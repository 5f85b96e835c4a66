// One process has one client for its requests, and two sets of shards while their number changes: what both tell and are told.

import type { SharingParts } from "../sharing.ts";

type Requests = SharingParts["requests"];

export interface RequestSharer {
  /** Whether this set speaks for the process. */
  leads(): boolean;
  /** Whether it leads, or may within moments. */
  takesPart(): boolean;
}

export interface RequestShares {
  /** What one of the sets goes by. */
  of(sharer: RequestSharer): Requests;
}

/** @param requests the process's own */
export function createRequestShares(requests: Requests): RequestShares {
  // What each set may send a second; two at most.
  const shares = new Map<RequestSharer, number>();
  // What they read of the table last may be answered after their end.
  const ended = new WeakSet<RequestSharer>();
  let isOver = false;
  let invalid = 0;
  return {
    of: (sharer) => ({
      ...requests,
      // Both tell what is wanted, so that one deal is as good as the other when the lead passes.
      own: () => (sharer.leads() ? requests.own() : { demand: requests.own().demand, invalid: 0, ban: undefined }),
      heed(neighbours) {
        if (isOver || !sharer.takesPart() || ended.has(sharer)) return;
        shares.set(sharer, neighbours.perSecond);
        // Other processes may go by the other set's deal at this moment; the smaller of the two keeps the sum.
        const perSecond = Math.min(...shares.values());
        if (sharer.leads()) invalid = neighbours.invalid;
        requests.heed(sharer.leads() ? { ...neighbours, perSecond } : { perSecond, invalid, bans: [], lifted: false });
      },
      over() {
        ended.add(sharer);
        shares.delete(sharer);
        // The process sends nothing any more, and others have what was its part.
        isOver ||= sharer.leads();
        if (isOver) requests.over?.();
      },
    }),
  };
}
