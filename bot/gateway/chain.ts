// A list whose items leave from anywhere at no cost, for what comes and goes with every event (pure).

/** An item's place in a chain. */
export interface Link<Item> {
  readonly item: Item;
  before: Link<Item> | undefined;
  after: Link<Item> | undefined;
}

/**
 * In place of a Set: one that fills and empties all the time makes tables anew, and V8 keeps the old ones, with all that
 * they held, until a full collection.
 */
export class Chain<Item> {
  #first: Link<Item> | undefined;
  #last: Link<Item> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The item that has been here longest. */
  get first(): Item | undefined {
    return this.#first?.item;
  }

  /** Puts an item at the end. */
  add(item: Item): Link<Item> {
    const link: Link<Item> = { item, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.after = link;
    this.#last = link;
    this.#size++;
    return link;
  }

  /** Takes out a link of this chain that is still in it. */
  remove(link: Link<Item>): void {
    const { before, after } = link;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    this.#size--;
    // A dead link must not keep its neighbours alive.
    link.before = undefined;
    link.after = undefined;
  }

  /** From the first on; the item at hand may be removed meanwhile. */
  *[Symbol.iterator](): Generator<Item> {
    for (let link = this.#first; link !== undefined; ) {
      const { item, after } = link;
      yield item;
      link = after;
    }
  }
}
