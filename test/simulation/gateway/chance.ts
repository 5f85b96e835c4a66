// Seeded chance: the same seed makes the same run, to the last bit.

export interface Chance {
  /** In [0, 1). */
  random(): number;
  /** Whether something of this likelihood happens. */
  happens(likelihood: number): boolean;
  between(least: number, most: number): number;
  whole(least: number, most: number): number;
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
  /** Some of them, each with this likelihood; at least one if there is one. */
  some<Item>(items: readonly Item[], likelihood: number): Item[];
}

/** mulberry32: 32 bits of state, passes the usual tests of randomness, and is the same on every machine. */
export function createChance(seed: number): Chance {
  let state = Math.imul(seed, 2_654_435_761) | 0;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const whole = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  return {
    random,
    whole,
    happens: (likelihood) => random() < likelihood,
    between: (least, most) => least + random() * (most - least),
    pick: (items) => items[whole(0, items.length - 1)] ?? items[0],
    some(items, likelihood) {
      const chosen = items.filter(() => random() < likelihood);
      const one = items[whole(0, items.length - 1)];
      return chosen.length > 0 || one === undefined ? chosen : [one];
    },
  };
}
