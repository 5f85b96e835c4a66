// The plan as text: every resource once, protection visible, cost by line.

import { describe, expect, it } from "vitest";
import { planLines } from "./plan.ts";
import { declaredOnce } from "./program.ts";

describe("planLines", () => {
  it("names every resource of the stack once, under its component", async () => {
    const program = await declaredOnce({ stack: "dev" });
    const lines = planLines(program);
    for (const { type, name } of program.resources) {
      if (type.startsWith("mooring:") || type.startsWith("pulumi:")) continue;
      const short = type.split(":").at(-1) ?? "";
      expect(
        lines.filter((line) => new RegExp(`^  ${short} +${name}( |$)`).test(line)),
        name,
      ).toHaveLength(1);
    }
    expect(lines.join("\n")).toContain("NatInstance mooring-dev-nat-green-a in StaticEgress");
  });

  it("marks protected addresses and adds the cost up", async () => {
    const text = planLines(await declaredOnce({ stack: "prod" })).join("\n");
    expect(text).toMatch(/Eip +mooring-prod-address-green-a {2}\(protected\)/);
    expect(text).toMatch(/1 x NAT gateway +32\.85 +32\.85/);
    expect(text).toMatch(/together +5\d\.\d\d +4\d\.\d\d/);
  });
});
