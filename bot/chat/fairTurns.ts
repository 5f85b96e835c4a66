// Who is served next when many servers ask at once: each server in turn, its own questions in order, so many at most (pure).

export interface FairTurns<Item> {
  readonly waiting: number;
  /** Whether there was room; a server that floods is refused, the others are not. */
  add(server: string, item: Item): boolean;
  /** The oldest item of the server whose turn it is. */
  next(): Item | undefined;
  /** Takes one out that gave up. */
  remove(server: string, item: Item): void;
}

/** @param mostPerServer items that may wait for one server. */
export function createFairTurns<Item>(mostPerServer: number): FairTurns<Item> {
  // In order of their turns: a server that was served goes to the end.
  const servers = new Map<string, Item[]>();
  let waiting = 0;
  return {
    get waiting() {
      return waiting;
    },
    add(server, item) {
      const items = servers.get(server) ?? [];
      if (items.length >= mostPerServer) return false;
      items.push(item);
      servers.set(server, items);
      waiting++;
      return true;
    },
    next() {
      for (const [server, items] of servers) {
        servers.delete(server);
        const item = items.shift();
        if (items.length > 0) servers.set(server, items);
        if (item === undefined) continue;
        waiting--;
        return item;
      }
      return undefined;
    },
    remove(server, item) {
      const items = servers.get(server);
      const at = items?.indexOf(item) ?? -1;
      if (items === undefined || at < 0) return;
      items.splice(at, 1);
      waiting--;
      if (items.length === 0) servers.delete(server);
    },
  };
}
