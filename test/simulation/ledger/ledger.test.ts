// Several tasks through deploys, crashes, sleeping machines and a ledger out of reach: nothing lost, nobody in two places.

import { describe, expect, it } from "vitest";
import { type HistoryOptions, live } from "./history.ts";
import { simulate } from "./index.ts";

/** More with SEEDS=n, or `npm run simulate -- ledger`; a seed that failed is told by its test's name. */
const SEEDS = Number(process.env["SEEDS"] ?? 4);

/** Beside the first seeds those that have shown something: a shard that came back, or moved twice within moments. */
const CASES: readonly (Omit<HistoryOptions, "seed"> & { readonly also?: readonly number[] })[] = [
  { tasks: 1, shards: 4, loss: "hold", minutes: 4, to: undefined },
  { tasks: 2, shards: 5, loss: "hold", minutes: 4, to: undefined },
  { tasks: 3, shards: 8, loss: "stop", minutes: 4, to: undefined, also: [22] },
  { tasks: 3, shards: 8, loss: "hold", minutes: 4, to: undefined, also: [5, 42] },
  { tasks: 1, shards: 2, loss: "hold", minutes: 3, to: 5 },
  { tasks: 3, shards: 6, loss: "hold", minutes: 3, to: 4, also: [16, 24] },
];

describe.each(CASES)("$tasks tasks, $shards shards, then $to, $loss", ({ also = [], ...options }) => {
  it.each([...new Set([...Array.from({ length: SEEDS }, (_, index) => index + 1), ...also])])(
    "keep the rules in history %i",
    async (seed) => {
      const history = await live({ ...options, seed });
      expect(history.broken?.split("\n", 1)[0]).toBeUndefined();
      expect(history.shardCount).toBe(options.to ?? options.shards);
      expect(Object.keys(history.faults).length).toBeGreaterThan(2);
    },
  );
});

describe("histories that have shown something", () => {
  it.each([
    [30_011, "more than the limit together, while the lead passed between two sets"],
    [30_038, "the same, with two tasks"],
    [30_065, "a shard of the old set that was taken over from a task that had closed it"],
  ])("keep the rules: %i, %s", async (seed) => {
    expect((await simulate(seed)).broken?.split("\n", 1)[0]).toBeUndefined();
  });
});

describe("a history", () => {
  it("is the same again for the same seed", async () => {
    const [once, again] = [await simulate(2), await simulate(2)];
    expect(again.hash).toBe(once.hash);
  });
});
