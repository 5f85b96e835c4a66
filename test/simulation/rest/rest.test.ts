// The REST client under seeded faults: fixed seeds that once broke a rule or try much, and a few that nobody has tried before.

import { describe, expect, it } from "vitest";
import { simulate } from "./scenario.ts";

/** Each of the first ones broke a rule before its cause was mended; see the commits. */
const FIXED = [
  16,
  41,
  72,
  209,
  305,
  414,
  492,
  677,
  860,
  987,
  ...Array.from({ length: 40 }, (_, index) => 2_000 + index),
];
const FRESH = Array.from({ length: 15 }, () => Math.floor(Math.random() * 1e9));

describe("REST in simulation", () => {
  it.each(FIXED)("keeps every rule with seed %i", async (seed) => {
    expect((await simulate(seed)).broken).toBeUndefined();
  });

  it.each(FRESH)(
    "keeps every rule with the fresh seed %i (npm run simulate -- rest --runs 1 --seed, and this one)",
    async (seed) => {
      expect((await simulate(seed)).broken).toBeUndefined();
    },
  );

  it("runs a seed again to the last step", async () => {
    const [first, second, other] = [await simulate(8), await simulate(8), await simulate(9)];
    expect(second.hash).toBe(first.hash);
    expect(other.hash).not.toBe(first.hash);
  });
});
