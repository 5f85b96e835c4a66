// The way to another number of shards: each step only once every task has carried the one before out.

import { describe, expect, it } from "vitest";
import {
  advance,
  countToStart,
  type Progress,
  planFrom,
  planText,
  type ReshardStep,
} from "../../../bot/ledger/shardPlan.ts";

const at = (step: ReshardStep) => ({ count: 2, next: { count: 3, step } });
const seen = (given: Partial<Progress>): Progress => ({
  ready: 3,
  oldReady: 2,
  old: [],
  next: [],
  finishing: 0,
  ...given,
});

describe("a plan", () => {
  it.each<[ReshardStep, Partial<Progress>, unknown]>([
    ["opening", { ready: 2, old: ["opening"], next: ["opening"] }, undefined],
    ["opening", { ready: 3, old: ["opening"], next: ["opening"] }, at("claiming")],
    ["claiming", { old: ["claiming", "opening"], next: [] }, undefined],
    ["claiming", { old: ["claiming", undefined], next: [] }, undefined],
    ["claiming", { old: [], next: ["claiming"] }, undefined],
    ["claiming", { old: ["claiming", "claiming"], next: ["opening"], ready: 2 }, undefined],
    ["claiming", { old: ["claiming", "claiming"], next: ["opening"] }, at("both")],
    ["both", { old: ["both"], next: ["both", "claiming"] }, undefined],
    ["both", { old: ["claiming"], next: ["both"] }, undefined],
    ["both", { old: ["both"], next: ["both"], ready: 2 }, undefined],
    ["both", { old: ["both"], next: ["both"], oldReady: 1 }, undefined],
    ["both", { old: ["both"], next: ["both"], finishing: 1 }, undefined],
    ["both", { old: ["both"], next: ["both"] }, at("closing")],
    ["closing", { old: ["closing"] }, undefined],
    ["closing", { finishing: 1 }, undefined],
    ["closing", { next: ["closing"] }, { count: 3 }],
  ])("at %s with %j goes on to %j", (step, progress, next) => {
    expect(advance(at(step), seen(progress))).toEqual(next);
  });

  it("without another number stays", () => {
    expect(advance({ count: 2 }, seen({ ready: 2, old: ["closing"], next: ["closing"] }))).toBeUndefined();
  });

  it.each<[ReshardStep, number]>([
    ["opening", 2],
    ["both", 2],
    ["closing", 3],
  ])("at %s is begun with %i shards", (step, count) => {
    expect(countToStart(at(step))).toBe(count);
  });

  it("comes back from its text, and nothing else does", () => {
    for (const plan of [{ count: 2 }, at("both")]) expect(planFrom(planText(plan))).toEqual(plan);
    for (const text of ["", "{}", '{"count":0}', '{"count":"2"}', "[]", "null"]) expect(planFrom(text)).toBeUndefined();
    expect(planFrom('{"count":2,"next":{"count":3,"step":"jumping"}}')).toEqual({ count: 2 });
  });
});
