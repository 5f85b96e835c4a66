// What any implementation of the identify queue's port must do; a test file runs it with its own factory.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GatewayInfo } from "../../../bot/gateway/budget.ts";
import type { IdentifyOptions, IdentifyQueue } from "../../../bot/gateway/identify.ts";
import { INFO } from "./budgetConformance.ts";

const info = (fields: Partial<GatewayInfo> = {}): GatewayInfo => ({ ...INFO, ...fields });

export function identifyConformance(name: string, create: (options: IdentifyOptions) => IdentifyQueue): void {
  const queueOf = (shardCount: number, options: Partial<IdentifyOptions> = {}) =>
    create({ shardCount, reserve: undefined, override: false, holdUntil: 0, ...options });

  describe(`${name} as an identify queue`, () => {
    it("gives the key and the budget of a turn that came to nothing to the next", () => {
      const queue = queueOf(2, { reserve: 0 });
      queue.inform(info({ maxConcurrency: 1, remaining: 1 }), 0);
      const turnOf = (shard: number, now: number): readonly number[] => {
        queue.ask(shard);
        queue.step(now);
        queue.ready(shard);
        return queue.step(now).send;
      };
      expect(turnOf(0, 0)).toEqual([0]);
      expect(turnOf(1, 20_000)).toEqual([]);
      queue.notSent(0);
      expect(queue.budget()?.left).toBe(1);
      expect(turnOf(1, 20_001)).toEqual([1]);
      queue.answered(1, 20_100);
      queue.notSent(1);
      expect(queue.budget()?.left).toBe(0);
    });

    it("spaces a key's IDENTIFYs by 5 s and never passes the reserve, whatever happens", () => {
      const action = fc.record({
        waitMs: fc.integer({ min: 0, max: 4_000 }),
        shard: fc.integer({ min: 0, max: 11 }),
        what: fc.constantFrom("ask", "ready", "leave", "answered", "step"),
      });
      const setting = fc.record({
        maxConcurrency: fc.constantFrom(1, 2, 4, 16),
        remaining: fc.integer({ min: 0, max: 20 }),
        reserve: fc.integer({ min: 0, max: 10 }),
      });
      fc.assert(
        fc.property(
          setting,
          fc.array(action, { maxLength: 200 }),
          ({ maxConcurrency, remaining, reserve }, actions) => {
            const queue = queueOf(12, { reserve });
            queue.inform(info({ maxConcurrency, remaining }), 0);
            const sentAt = new Map<number, number>();
            const dialling = new Set<number>();
            const identified = new Set<number>();
            let sent = 0;
            let now = 0;
            for (const { waitMs, shard, what } of actions) {
              now += waitMs;
              if (what === "ask") {
                queue.ask(shard);
                dialling.delete(shard);
              }
              if (what === "ready" && dialling.has(shard)) queue.ready(shard);
              if (what === "leave") {
                queue.leave(shard);
                dialling.delete(shard);
              }
              if (what === "answered" && identified.has(shard)) queue.answered(shard, now);
              const step = queue.step(now);
              for (const id of step.dial) dialling.add(id);
              for (const id of step.send) {
                const key = id % maxConcurrency;
                expect(now - (sentAt.get(key) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(5_000);
                expect(dialling.has(id)).toBe(true);
                dialling.delete(id);
                identified.add(id);
                sentAt.set(key, now);
                sent++;
              }
              if (step.wakeAt !== null) expect(step.wakeAt).toBeGreaterThanOrEqual(now);
            }
            expect(sent).toBeLessThanOrEqual(Math.max(0, remaining - reserve));
          },
        ),
      );
    });

    it("keeps the key until the answer shows that Discord has counted", () => {
      const queue = queueOf(2);
      queue.inform(info(), 0);
      for (const shard of [0, 1]) queue.ask(shard);
      expect(queue.step(0).dial).toEqual([0]);
      queue.ready(0);
      expect(queue.step(100).send).toEqual([0]);
      expect(queue.step(100).wakeAt).toBe(100 + 30_000 - 2_000);
      queue.answered(0, 300);
      expect(queue.step(300).wakeAt).toBe(300 + 5_010 - 2_000);
      expect(queue.step(3_310).dial).toEqual([1]);
      queue.ready(1);
      expect(queue.step(5_309).send).toEqual([]);
      expect(queue.step(5_310).send).toEqual([1]);
    });

    it("holds back whoever would touch the reserve, and lets one go for each that is free", () => {
      const queue = queueOf(4);
      queue.inform(info({ remaining: 100, maxConcurrency: 4 }), 0);
      for (const shard of [0, 1, 2, 3]) queue.ask(shard);
      expect(queue.step(0)).toMatchObject({ dial: [], waiting: [0, 1, 2, 3], budget: { left: 100, reserve: 100 } });
      queue.inform(info({ remaining: 102, maxConcurrency: 4 }), 1);
      expect(queue.step(1)).toMatchObject({ dial: [0, 1], waiting: [2, 3] });
    });

    it("gives the place back when it is left, and starts groups of max_concurrency in order", () => {
      const queue = queueOf(4);
      queue.inform(info({ maxConcurrency: 2 }), 0);
      for (const shard of [3, 2, 1, 0]) queue.ask(shard);
      expect(queue.step(0).dial).toEqual([0, 1]);
      queue.leave(0);
      queue.ready(1);
      expect(queue.step(10).send).toEqual([1]);
      expect(queue.step(10).dial).toEqual([2]);
    });

    it("asks for the budget first, when the answer is old, and after its reset", () => {
      const queue = queueOf(1);
      queue.ask(0);
      expect(queue.step(0).needsInfo).toBe(true);
      queue.inform(info({ resetAfterMs: 1_200_000 }), 0);
      expect(queue.step(599_999).needsInfo).toBe(false);
      queue.ask(0);
      expect(queue.step(600_000).needsInfo).toBe(true);
      queue.inform(info({ resetAfterMs: 10_000 }), 600_000);
      expect(queue.step(610_000).needsInfo).toBe(true);
    });

    it("asks for the budget when its reset has come, though nobody waits", () => {
      const queue = queueOf(1);
      expect(queue.step(0)).toMatchObject({ needsInfo: false, wakeAt: null });
      queue.inform(info({ resetAfterMs: 3_600_000 }), 0);
      expect(queue.step(3_599_999)).toMatchObject({ needsInfo: false, wakeAt: 3_600_000 });
      expect(queue.step(3_600_000)).toMatchObject({ needsInfo: true, wakeAt: null });
    });

    it("holds back a process that was started too often, and while REST is banned", () => {
      const queue = queueOf(1, { holdUntil: 30_000 });
      queue.inform(info(), 0);
      queue.ask(0);
      expect(queue.step(0)).toMatchObject({ dial: [], wakeAt: 30_000 });
      queue.ban(45_000);
      expect(queue.step(30_000)).toMatchObject({ dial: [], budget: undefined, wakeAt: 45_000 });
      queue.ban(undefined);
      expect(queue.step(30_000).dial).toEqual([0]);
    });
  });
}
