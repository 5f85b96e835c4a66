// The price of the committed stacks: what the README promises, from the resources that are declared.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { monthlyCost } from "../../infra/prices.ts";
import { declaredOnce, type StackName } from "./program.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

async function cost(
  stack: StackName,
  config: Readonly<Record<string, string>> = {},
  secrets: Readonly<Record<string, string>> = {},
) {
  const lines = monthlyCost((await declaredOnce({ stack, config, secrets })).resources);
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

  it.each<[row: string, StackName, Record<string, string>]>([
    ["dev (NAT instance, Spot)", "dev", {}],
    ["prod, one NAT gateway", "prod", {}],
    ["prod, two NAT gateways", "prod", { natZones: '["a","b"]' }],
  ])("is what the README says of %s", async (row, stack, config) => {
    const { lines, list, withFreeTier } = await cost(stack, config);
    const of = (item: RegExp): number =>
      lines.filter((line) => item.test(line.item)).reduce((total, { usdPerMonth }) => total + usdPerMonth, 0);
    const dollars = (usd: number): string => `$${usd.toFixed(2)}`;
    const cells = [of(/Fargate/), of(/^NAT/), of(/Elastic IP/), of(/metric|alarm|dashboard/), of(/secret/)].map(
      dollars,
    );
    const readme = readFileSync(join(REPOSITORY_ROOT, "README.md"), "utf8");
    expect(readme).toContain(`| ${[row, ...cells, `**${dollars(list)}**`, dollars(withFreeTier)].join(" | ")} |`);
  });

  it("counts a parked address", async () => {
    const difference = (await cost("prod", { egressSlots: '{"green":{},"blue":{}}' })).list - (await cost("prod")).list;
    expect(difference).toBeCloseTo(3.65, 2);
  });

  it("takes nothing for the chat's alarms where there is nothing to watch", async () => {
    const { list } = await cost("prod");
    // A secret; the keys' share and the provider's state; three alarms on them.
    expect((await cost("prod", {}, { upstreamKeys: "a-key" })).list - list).toBeCloseTo(0.4 + 0.6 + 0.3, 2);
    const channels = { variables: '{"CHAT_CHANNELS":"100000000000000001"}' };
    expect((await cost("prod", channels)).list - list).toBeCloseTo(0.3 + 0.1, 2);
  });

  it("knows the task's price", async () => {
    const { lines } = await cost("prod");
    expect(lines.find(({ item }) => item === "Fargate task")?.usdPerMonth).toBeCloseTo(7.21, 2);
  });

  it("refuses to guess an instance's price", async () => {
    await expect(cost("dev", { natInstanceType: "m7g.large" })).rejects.toThrow(/no price for m7g.large/);
  });
});
