// What any implementation of the budget port must do; a test file runs it with its own factory.

import { describe, expect, it } from "vitest";
import type { BudgetOptions, GatewayInfo, IdentifyBudget } from "../../../bot/gateway/budget.ts";

export const INFO: GatewayInfo = {
  url: "wss://gateway.test",
  shards: 1,
  total: 1000,
  remaining: 1000,
  resetAfterMs: 86_400_000,
  maxConcurrency: 1,
};

export function budgetConformance(name: string, create: (options: BudgetOptions) => IdentifyBudget): void {
  const budgetOf = (shardCount: number, options: Partial<BudgetOptions> = {}) =>
    create({ shardCount, reserve: undefined, override: false, ...options });

  describe(`${name} as an identify budget`, () => {
    it("knows nothing and gives nothing before the first answer", () => {
      const budget = budgetOf(1);
      expect(budget.isStale(0)).toBe(true);
      expect(budget.free()).toBe(0);
      expect(budget.state()).toBeNull();
    });

    it.each([
      { total: 1000, shardCount: 4, reserve: 100 },
      { total: 1005, shardCount: 4, reserve: 101 },
      { total: 1000, shardCount: 300, reserve: 300 },
    ])("keeps $reserve of $total by default with $shardCount shards", ({ total, shardCount, reserve }) => {
      const budget = budgetOf(shardCount);
      budget.inform({ ...INFO, total, remaining: reserve + 2 }, 0, 0);
      expect(budget.state()).toMatchObject({ total, reserve, left: reserve + 2 });
      budget.spend();
      expect(budget.free()).toBe(1);
      budget.spend();
      expect(budget.free()).toBe(0);
    });

    it.each([
      { options: { reserve: 0 }, free: 3 },
      { options: { reserve: 2 }, free: 1 },
      { options: { override: true }, free: 3 },
      { options: { reserve: 50, override: true }, free: 3 },
    ])("gives $free of 3 with $options", ({ options, free }) => {
      const budget = budgetOf(4, options);
      budget.inform({ ...INFO, remaining: 3 }, 0, 0);
      expect(budget.free()).toBe(free);
    });

    it("never gives less than nothing, whatever is spent beside it", () => {
      const budget = budgetOf(1, { reserve: 0 });
      budget.inform({ ...INFO, remaining: 1 }, 0, 3);
      expect(budget.free()).toBe(0);
      budget.spend();
      expect(budget.state()?.left).toBe(0);
    });

    it("has again what was not sent after all, and no more", () => {
      const budget = budgetOf(1, { reserve: 0 });
      budget.inform({ ...INFO, remaining: 2 }, 0, 0);
      budget.spend();
      budget.giveBack();
      expect(budget.free()).toBe(2);
      budget.inform({ ...INFO, remaining: 0 }, 0, 0);
      budget.spend();
      budget.giveBack();
      expect(budget.free()).toBe(0);
    });

    it("believes others who say that less is left, until the next answer", () => {
      const budget = budgetOf(1, { reserve: 10 });
      budget.inform({ ...INFO, remaining: 100 }, 0, 0);
      budget.atMost(200);
      expect(budget.free()).toBe(90);
      budget.atMost(10);
      expect(budget.free()).toBe(0);
      expect(budget.state()?.left).toBe(10);
      budget.inform({ ...INFO, remaining: 50 }, 1, 0);
      expect(budget.free()).toBe(40);
    });

    it("counts those under way against an answer that may not know of them", () => {
      const budget = budgetOf(1, { reserve: 0 });
      budget.inform({ ...INFO, remaining: 10 }, 0, 4);
      expect(budget.free()).toBe(6);
    });

    it("is stale after 10 min, and once its reset has come", () => {
      const budget = budgetOf(1);
      budget.inform({ ...INFO, resetAfterMs: 1_200_000 }, 0, 0);
      expect(budget.isStale(599_999)).toBe(false);
      expect(budget.isStale(600_000)).toBe(true);
      budget.inform({ ...INFO, resetAfterMs: 10_000 }, 600_000, 0);
      expect(budget.isStale(609_999)).toBe(false);
      expect(budget.isStale(610_000)).toBe(true);
      expect(budget.state()?.resetAt).toBe(610_000);
    });

    it.each([0, 1, 4_999])("is not stale at once though the reset is %i ms away", (resetAfterMs) => {
      const budget = budgetOf(1);
      budget.inform({ ...INFO, resetAfterMs }, 0, 0);
      expect(budget.isStale(4_999)).toBe(false);
      expect(budget.isStale(5_000)).toBe(true);
    });

    it("takes at least one IDENTIFY at a time for possible", () => {
      const budget = budgetOf(1);
      budget.inform({ ...INFO, maxConcurrency: 0 }, 0, 0);
      expect(budget.state()?.maxConcurrency).toBe(1);
    });
  });
}
