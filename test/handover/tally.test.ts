// What counts as lost, doubled and silent.

import { expect, it } from "vitest";
import { tally } from "./tally.ts";

it("tells lost from doubled events, and the longest silence", () => {
  const starts = [
    { id: "a", at: 10 },
    { id: "c", at: 90 },
    { id: "c", at: 40 },
    { id: "of somebody else", at: 60 },
  ];
  expect(tally(["a", "b", "c"], starts)).toEqual({
    sent: 3,
    handled: 2,
    lost: ["b"],
    doubled: ["c"],
    longestGapMs: 50,
  });
});

it("knows no gap where less than two handlers have started", () => {
  expect(tally(["a"], [{ id: "a", at: 7 }]).longestGapMs).toBe(0);
});
