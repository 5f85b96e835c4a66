// Bulk work a few calls at a time: the queues stay short, so that a million items neither fill memory nor hit a bound.

export type BulkOutcome<Item, Result> = {
  readonly item: Item;
  /** Place among the items, from 0. */
  readonly index: number;
  /** Items finished so far, this one included. */
  readonly finished: number;
} & ({ readonly ok: true; readonly result: Result } | { readonly ok: false; readonly error: unknown });

/**
 * Runs `work` over the items, at most `atOnce` at a time, and yields each outcome as it comes. An item that fails does
 * not end the rest; leaving the loop starts no more, and aborts `signal` for those under way.
 * @param work gives each call `priority: "background"`, so that it is the first to be shed, and the signal.
 */
export async function* bulk<Item, Result>(
  items: Iterable<Item>,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  atOnce = 4,
): AsyncGenerator<BulkOutcome<Item, Result>, void, undefined> {
  const left = new AbortController();
  const running = new Map<number, Promise<BulkOutcome<Item, Result>>>();
  const source = items[Symbol.iterator]();
  let started = 0;
  let finished = 0;

  const start = (item: Item): void => {
    const index = started++;
    const outcome = work(item, left.signal).then(
      (result): BulkOutcome<Item, Result> => ({ item, index, finished: ++finished, ok: true, result }),
      (error: unknown): BulkOutcome<Item, Result> => ({ item, index, finished: ++finished, ok: false, error }),
    );
    running.set(index, outcome);
  };

  try {
    for (;;) {
      while (running.size < Math.max(atOnce, 1)) {
        const next = source.next();
        if (next.done) break;
        start(next.value);
      }
      if (running.size === 0) return;
      const outcome = await Promise.race(running.values());
      running.delete(outcome.index);
      yield outcome;
    }
  } finally {
    source.return?.();
    left.abort();
  }
}
