// Deploys with real processes over a shared table: who takes which shard, what is replayed, and that nothing is lost.

import { setTimeout as realMilliseconds } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { startTables, type Tables } from "../bot/ledger/table.ts";
import { type FaceBot, handler, promise, say, timesHandled, type World } from "../face/world.ts";
import { eachOnce, traffic } from "./traffic.ts";

let tables: Tables;
beforeAll(async () => {
  tables = await startTables();
});
afterAll(() => tables.close());

const SHARDS = 4;
// Slow enough for a lease of 10 s to outlast a busy machine's pauses.
const OPTIONS = { shards: SHARDS, maxConcurrency: 4, rate: 4 };

type Started = (environment?: Readonly<Record<string, string>>) => FaceBot;

async function onTable({ bot }: World): Promise<Started> {
  const table = await tables.create();
  return (environment = {}) => bot({ ...tables.environment, LEDGER: `dynamodb:${table}`, ...environment });
}

const identifies = ({ discord }: World): number => discord.counts.identifies;
const took = (bot: FaceBot): number => bot.events("lease.taken").length;

/** An old task whose handler still runs while it stops, and the new one that has its shards. */
async function holding(world: World, drainMs: number): Promise<Record<"old" | "next", FaceBot> & { long: string }> {
  const start = await onTable(world);
  const old = start({ DRAIN_MS: String(drainMs) });
  await old.event("bot.ready");
  const long = say(world.discord, "hold");
  await handler(old, "handling", long);
  const next = start();
  await next.event("bot.waiting");
  old.kill("SIGTERM");
  await next.event("bot.ready");
  return { old, next, long };
}

describe.concurrent("a deploy", () => {
  promise(
    "hands every shard on at once, with no IDENTIFY spent and nothing lost or doubled",
    OPTIONS,
    async (world) => {
      const start = await onTable(world);
      const old = start();
      await old.event("bot.ready");
      expect(identifies(world)).toBe(SHARDS);
      const messages = traffic(world, SHARDS, 20);
      const next = start();
      // It has passed preflight, is alive to its orchestrator, and takes nothing while the old one runs.
      expect(await next.event("bot.waiting")).toMatchObject({ ahead: 1 });
      expect((await next.get("/live")).status).toBe(200);
      await realMilliseconds(1_000);
      expect(took(next)).toBe(0);
      old.kill("SIGTERM");
      await next.event("bot.ready");
      expect(await old.ended).toBe(0);
      await realMilliseconds(500);
      const ids = await messages.stop();
      await eachOnce(ids, [old, next]);
      expect(identifies(world)).toBe(SHARDS);
      expect(next.events("session.resumed")).toHaveLength(SHARDS);
      expect(took(next)).toBe(SHARDS);
    },
  );
});

describe.concurrent("a deploy while the table is away", () => {
  promise("hands on what was handled as soon as the table is back, within the drain", OPTIONS, async (world) => {
    const own = await startTables();
    try {
      const table = await own.create();
      const start = () => world.bot({ ...own.environment, LEDGER: `dynamodb:${table}`, DRAIN_MS: "100000" });
      const old = start();
      await old.event("bot.ready");
      const next = start();
      await next.event("bot.waiting");
      const messages = traffic(world, SHARDS, 20);
      await realMilliseconds(300);
      own.cut();
      old.kill("SIGTERM");
      await old.event("bot.draining");
      await world.clock.sleep(4_000);
      expect(await Promise.race([old.ended, "drains"])).toBe("drains");
      await own.back();
      await next.event("bot.ready");
      expect(await old.ended).toBe(0);
      await realMilliseconds(500);
      await eachOnce(await messages.stop(), [old, next]);
      expect(next.events("task.dead")).toEqual([]);
      expect(identifies(world)).toBe(SHARDS);
    } finally {
      own.close();
    }
  });
});

describe.concurrent("a handler that runs across a deploy", () => {
  promise("finishes in the old task, and the new one drops the event and goes on behind it", OPTIONS, async (world) => {
    const { old, next, long } = await holding(world, 100_000);
    // In the same channel, and so behind it; in another one nothing waits.
    const behind = say(world.discord, "behind");
    const beside = say(world.discord, "beside", 1);
    await handler(next, "handled", beside);
    expect(timesHandled([old, next], behind)).toBe(0);
    await old.call("release", long);
    await handler(next, "handled", behind);
    expect(await old.ended).toBe(0);
    expect(next.told.some((told) => told.kind === "handling" && told.id === long)).toBe(false);
    expect(timesHandled([old, next], long)).toBe(1);
  });

  promise("is run again by the new task when the drain ends before it does", OPTIONS, async (world) => {
    const { old, next, long } = await holding(world, 3_000);
    expect(await old.ended).toBe(0);
    expect(timesHandled([old], long)).toBe(0);
    await handler(next, "handling", long);
    await next.call("release", long);
    await handler(next, "handled", long);
  });
});

describe.concurrent("a crash", () => {
  promise("is noticed within a lease, and its sessions are resumed", OPTIONS, async (world) => {
    const start = await onTable(world);
    const old = start();
    await old.event("bot.ready");
    const before = say(world.discord, "before", 1);
    await handler(old, "handled", before);
    const next = start();
    await next.event("bot.waiting");
    // Two checkpoints' time: what is handled by then is in the ledger.
    await world.clock.sleep(11_000);
    old.kill("SIGKILL");
    expect(await old.ended).toBe("SIGKILL");
    const messages = traffic(world, SHARDS, 20);
    await next.event("bot.ready");
    const ids = await messages.stop();
    await eachOnce([before, ...ids], [old, next]);
    expect(identifies(world)).toBe(SHARDS);
    expect(next.events("task.dead")).toHaveLength(1);
  });
});
