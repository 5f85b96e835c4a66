// Which routes share a bucket: learnt from the hashes that answers carry, without being shaken by hashes that alternate.

/** Routes and hashes are finite; only paths that Discord does not have could fill these. */
const MOST_LEARNT = 5_000;
/** Answers in a row from another known bucket before a route moves there; interleaved hashes never get that far. */
const MOVES_AFTER = 3;

export interface Learnt {
  /** The group that the route left for another one, when it did. */
  readonly left: string | undefined;
  readonly group: string;
  /** The one copy kept of the hash, so that each lane need not keep its own. */
  readonly hash: string;
  /** The route's own number, for the same reason. */
  readonly route: number;
}

export class Grouping {
  /** Without an entry, a route key is its own group. */
  readonly #groupOfRoute = new Map<string, string>();
  readonly #groupOfHash = new Map<string, { readonly group: string; readonly hash: string }>();
  readonly #numbers = new Map<string, number>();
  #nextNumber = 1;
  readonly #straying = new Map<string, { readonly group: string; readonly times: number }>();

  of(routeKey: string): string {
    return this.#groupOfRoute.get(routeKey) ?? routeKey;
  }

  /** Takes in that a request of this route was counted under this hash. */
  learn(routeKey: string, hash: string): Learnt {
    let route = this.#numbers.get(routeKey);
    if (route === undefined) {
      route = this.#nextNumber++;
      remember(this.#numbers, routeKey, route);
    }
    return { ...this.#place(routeKey, hash), route };
  }

  #place(routeKey: string, hash: string): Omit<Learnt, "route"> {
    const known = this.#groupOfHash.get(hash);
    const group = this.of(routeKey);
    const firstTime = !this.#groupOfRoute.has(routeKey);
    if (known === undefined) {
      // A first hash, or a new name of the bucket that the route is in.
      remember(this.#groupOfHash, hash, { group, hash });
      if (firstTime) remember(this.#groupOfRoute, routeKey, group);
      return { left: undefined, group, hash };
    }
    if (known.group === group) {
      this.#straying.delete(routeKey);
      if (firstTime) remember(this.#groupOfRoute, routeKey, group);
      return { left: undefined, group, hash: known.hash };
    }
    if (!firstTime) {
      const stray = this.#straying.get(routeKey);
      const times = stray?.group === known.group ? stray.times + 1 : 1;
      if (times < MOVES_AFTER) {
        remember(this.#straying, routeKey, { group: known.group, times });
        return { left: undefined, group, hash: known.hash };
      }
      this.#straying.delete(routeKey);
    }
    remember(this.#groupOfRoute, routeKey, known.group);
    return { left: group, group: known.group, hash: known.hash };
  }
}

/** Sets an entry; the oldest goes when there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  if (map.size >= MOST_LEARNT && !map.has(key)) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(key, value);
}
