// The price of the committed stacks: what the README promises, from the resources that are declared.

import { describe, expect, it } from "vitest";
import { monthlyCost } from "../../infra/prices.ts";
import { declaredOnce, type StackName } from "./program.ts";

async function cost(stack: StackName, config: Readonly<Record<string, string>> = {}) {
  const lines = monthlyCost((await declaredOnce({ stack, config })).resources);
  const sum = (key: "usdPerMonth" | "usdPerMonthFreeTier") => lines.reduce((total, line) => total + line[key], 0);
  return { lines, list: sum("usdPerMonth"), withFreeTier: sum("usdPerMonthFreeTier") };
}

describe("monthlyCost", () => {
  it.each<[StackName, Record<string, string>, number]>([
    ["dev", {}, 19],
    ["staging", {}, 56],
    ["prod", {}, 56],
    ["prod", { natZones: '["a","b"]' }, 96],
  ])("of %s %j stays within $%d", async (stack, config, most) => {
    const { list, withFreeTier } = await cost(stack, config);
    expect(list).toBeLessThanOrEqual(most);
    // Far below would mean that a line was forgotten.
    expect(list).toBeGreaterThan(most * 0.8);
    expect(withFreeTier).toBeLessThan(list);
  });

  it("counts a parked address", async () => {
    const difference = (await cost("prod", { egressSlots: '{"green":{},"blue":{}}' })).list - (await cost("prod")).list;
    expect(difference).toBeCloseTo(3.65, 2);
  });

  it("knows the task's price", async () => {
    const { lines } = await cost("prod");
    expect(lines.find(({ item }) => item === "Fargate task")?.usdPerMonth).toBeCloseTo(7.21, 2);
  });

  it("refuses to guess an instance's price", async () => {
    await expect(cost("dev", { natInstanceType: "m7g.large" })).rejects.toThrow(/no price for m7g.large/);
  });
});
