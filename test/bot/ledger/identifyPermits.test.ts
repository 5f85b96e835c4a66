// IDENTIFYs of several tasks: windows that no two share, and one budget.

import { describe, expect, it } from "vitest";
import type { Clock } from "../../../bot/clock.ts";
import { createIdentifyPermits } from "../../../bot/ledger/identifyPermits.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import { virtualClock } from "../../virtualClock.ts";

/** A clock that runs `rate` times as fast, started hours off. */
const skewed = (world: Clock, rate: number): Clock => ({
  now: () => world.now() * rate,
  wall: () => world.wall() + rate * 3_600_000,
  schedule: (delayMs, callback) => world.schedule(delayMs / rate, callback),
  sleep: (delayMs, signal) => world.sleep(delayMs / rate, signal),
});

const DAY_MS = 86_400_000;

describe("IDENTIFY permits", () => {
  it("leaves 5 s between any two of one key, whoever asks and however its clock runs", async () => {
    const world = virtualClock();
    const items = createMemoryItems();
    const sent: number[] = [];
    const tasks = [1, 1.005, 0.995].map((rate) => createIdentifyPermits({ clock: skewed(world, rate), items }));
    const run = async (task: (typeof tasks)[number]): Promise<void> => {
      for (let count = 0; count < 4; ) {
        try {
          await task.take("0 of 1", undefined);
          sent.push(world.now());
          count++;
        } catch {
          // Its patience was over; a shard asks anew.
        }
      }
    };
    const all = Promise.all(tasks.map(run));
    await world.advance(120_000);
    await all;
    const gaps = sent.slice(1).map((at, index) => at - (sent[index] ?? 0));
    expect(sent).toHaveLength(12);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5_000);
    // Nor is time wasted: the windows follow each other.
    expect(Math.max(...gaps)).toBeLessThan(5_500);
  });

  it("leaves 5 s also when a slow ledger tells a task late that the window is its own", async () => {
    const world = virtualClock();
    const items = createMemoryItems();
    const slow: Items = {
      ...items,
      async swap(item, expected) {
        const version = await items.swap(item, expected);
        await world.sleep(950);
        return version;
      },
    };
    const sent: number[] = [];
    const run = async (kept: Items): Promise<void> => {
      const permits = createIdentifyPermits({ clock: world, items: kept });
      for (let count = 0; count < 4; count++) {
        await permits.take("0 of 1", undefined).then(
          () => sent.push(world.now()),
          () => {},
        );
      }
    };
    const all = Promise.all([run(slow), run(items)]);
    await world.advance(180_000);
    await all;
    const gaps = sent.slice(1).map((at, index) => at - (sent[index] ?? 0));
    expect(sent.length).toBeGreaterThanOrEqual(6);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5_000);
  });

  it("lets keys go side by side", async () => {
    const world = virtualClock();
    const items = createMemoryItems();
    const permits = createIdentifyPermits({ clock: world, items });
    await Promise.all([permits.take("0 of 2", undefined), permits.take("1 of 2", undefined)]);
    expect(world.now()).toBe(0);
  });

  it("refuses at the reserve what the tasks have spent together, and goes on after the reset", async () => {
    const world = virtualClock();
    const items = createMemoryItems();
    const budget = { left: 12, reserve: 10, resetAt: world.wall() + DAY_MS, maxConcurrency: 1 };
    const [one, other] = [1, 2].map(() => createIdentifyPermits({ clock: world, items }));
    await one?.take("a", budget);
    await other?.take("b", budget);
    // Each task alone still believes in twelve.
    expect(await one?.take("c", budget)).toEqual({ left: 10 });
    await world.advance(DAY_MS + 1);
    await one?.take("d", { left: 1_000, reserve: 100, resetAt: world.wall() + DAY_MS, maxConcurrency: 1 });
    expect(await items.get("fleet", "budget")).toMatchObject({ body: expect.stringContaining('"left":999') });
  });

  it("rejects whoever would wait longer than a shard's turn lasts", async () => {
    const world = virtualClock();
    const items = createMemoryItems();
    const permits = createIdentifyPermits({ clock: world, items });
    await permits.take("a", undefined);
    const other = createIdentifyPermits({ clock: world, items });
    const takes = Array.from({ length: 8 }, () =>
      other.take("a", undefined).then(
        () => "taken",
        () => "late",
      ),
    );
    await world.advance(60_000);
    const outcomes = await Promise.all(takes);
    expect(outcomes.filter((outcome) => outcome === "late").length).toBeGreaterThan(0);
    expect(outcomes.filter((outcome) => outcome === "taken").length).toBe(4);
  });
});
