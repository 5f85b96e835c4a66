// Several tasks through deploys, crashes, sleeping machines and a ledger out of reach: nothing lost, nobody in two places.

import { describe, expect, it } from "vitest";
import { type HistoryOptions, live } from "./history.ts";
import { LIMIT } from "./task.ts";

/** More with SEEDS=n; a seed that failed is told by its test's name. */
const SEEDS = Number(process.env["SEEDS"] ?? 4);
/** Histories that have broken a rule: a shard came back to the task whose own handler still ran. */
const BROKE_ONCE = [7];

const CASES: readonly Omit<HistoryOptions, "seed">[] = [
  { tasks: 1, shards: 4, loss: "hold", minutes: 4 },
  { tasks: 2, shards: 5, loss: "hold", minutes: 4 },
  { tasks: 3, shards: 8, loss: "stop", minutes: 4 },
];

describe.each(CASES)("$tasks tasks, $shards shards, $loss", (options) => {
  const seeds = new Set([...Array.from({ length: SEEDS }, (_, index) => index + 1), ...BROKE_ONCE]);
  it.each([...seeds])("keep the rules in history %i", async (seed) => {
    const history = await live({ ...options, seed });
    const { tasks, shards } = options;
    expect(history.lost).toEqual([]);
    expect(history.doubled).toEqual([]);
    expect(history.trespasses).toEqual([]);
    expect(history.identifies).toBe(shards);
    const [least, most] = [Math.min(...history.shares), Math.max(...history.shares)];
    expect(history.shares).toHaveLength(tasks);
    expect(history.shares.reduce((sum, share) => sum + share, 0)).toBe(shards);
    expect(most - least).toBeLessThanOrEqual(1);
    expect(history.excesses).toEqual([]);
    // A deal may be under way, in which a share goes before another comes; nobody has none.
    expect(history.perSecond.reduce((sum, share) => sum + share, 0)).toBeGreaterThan(LIMIT * 0.5);
    expect(Math.min(...history.perSecond)).toBeGreaterThanOrEqual(1);
    expect(Object.keys(history.faults).length).toBeGreaterThan(2);
  });
});
