// What another number of shards costs, in words, and when it must not be.

import { expect, it } from "vitest";
import { reshardPrice } from "../../../bot/ledger/reshardPrice.ts";

const budget = { left: 412, reserve: 100, maxConcurrency: 1, resetAt: Date.UTC(2026, 0, 2) };

it.each([
  [40, 60, {}, "40 to 60 needs 60 IDENTIFYs, 412 left, 5 min at concurrency 1", undefined],
  [1, 2, {}, "1 to 2 needs 2 IDENTIFYs, 412 left, 10 s at concurrency 1", undefined],
  [40, 60, { maxConcurrency: 16 }, "40 to 60 needs 60 IDENTIFYs, 412 left, 20 s at concurrency 16", undefined],
  [40, 60, { left: 160 }, "40 to 60 needs 60 IDENTIFYs, 160 left, 5 min at concurrency 1", undefined],
  [
    40,
    60,
    { left: 159 },
    "40 to 60 needs 60 IDENTIFYs, 159 left, 5 min at concurrency 1",
    /99 would be left.*100.*2026-01-02/,
  ],
])("from %i to %i with %j", (from, to, given, text, problem) => {
  const price = reshardPrice(from, to, { ...budget, ...given });
  expect(price.text).toBe(text);
  if (problem === undefined) expect(price.problem).toBeUndefined();
  else expect(price.problem).toMatch(problem);
});
