// Whether another task pulls at a shard too, while the ledger is out of reach and cannot say whose it is (pure).
//
// Of two connections that resume one session the later one has it, and the other is ended: two tasks that each resume at
// once would take it from each other for as long as the silence lasts, and handle all of it twice. A first time it may
// be chance, and a shard that is resumed keeps its users; a second time soon after the shard is left to the other.

/** Longer than the backoff of a shard that was ready for moments, 8 s at most; far shorter than from one reconnect of Discord's to the next. */
const SOON_MS = 60_000;

export interface Contest {
  /** A ready shard's connection was ended from outside. @returns whether the shard is another's, as far as can be told */
  cutOff(shard: number, now: number): boolean;
  /** The ledger answers. */
  over(): void;
}

export function contest(): Contest {
  // At most one a shard.
  const cutOffAt = new Map<number, number>();
  return {
    cutOff(shard, now) {
      const before = cutOffAt.get(shard);
      cutOffAt.set(shard, now);
      return before !== undefined && now - before < SOON_MS;
    },
    over: () => cutOffAt.clear(),
  };
}
