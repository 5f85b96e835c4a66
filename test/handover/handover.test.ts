// Deploys with real processes over a shared table: who takes which shard, what is replayed, and that nothing is lost.

import { setTimeout as realMilliseconds } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { startTables, type Tables } from "../bot/ledger/table.ts";
import { type FaceBot, handledBy, handler, promise, say, timesHandled, type World } from "../face/world.ts";

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

/** Someone writes on every shard in turn until told to stop; gives the messages' ids. */
function traffic({ discord }: World, everyMs = 20): { stop(): Promise<readonly string[]> } {
  const ids: string[] = [];
  let over = false;
  const run = (async () => {
    for (let count = 0; !over; count++) {
      ids.push(say(discord, `message ${count}`, count % SHARDS));
      await realMilliseconds(everyMs);
    }
  })();
  return {
    async stop() {
      over = true;
      await run;
      return ids;
    },
  };
}

const identifies = ({ discord }: World): number => discord.counts.identifies;
const took = (bot: FaceBot): number => bot.events("lease.taken").length;

/** Every message was handled, once, by one of these. */
async function eachOnce(ids: readonly string[], bots: readonly FaceBot[]): Promise<void> {
  const last = bots.at(-1);
  const times = (): readonly number[] => {
    const handled = handledBy(bots);
    return ids.map((id) => handled.get(id) ?? 0);
  };
  await last?.until("every message handled", () => times().every((count) => count > 0));
  expect(times().filter((count) => count !== 1)).toEqual([]);
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
      const messages = traffic(world);
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

describe.concurrent("a handler that runs across a deploy", () => {
  promise("finishes in the old task, and the new one drops the event and goes on behind it", OPTIONS, async (world) => {
    const start = await onTable(world);
    const old = start({ DRAIN_MS: "100000" });
    await old.event("bot.ready");
    const long = say(world.discord, "hold");
    await handler(old, "handling", long);
    const next = start();
    await next.event("bot.waiting");
    old.kill("SIGTERM");
    await next.event("bot.ready");
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
    const start = await onTable(world);
    const old = start({ DRAIN_MS: "3000" });
    await old.event("bot.ready");
    const long = say(world.discord, "hold");
    await handler(old, "handling", long);
    const next = start();
    await next.event("bot.waiting");
    old.kill("SIGTERM");
    await next.event("bot.ready");
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
    const messages = traffic(world);
    await next.event("bot.ready");
    const ids = await messages.stop();
    await eachOnce([before, ...ids], [old, next]);
    expect(identifies(world)).toBe(SHARDS);
    expect(next.events("task.dead")).toHaveLength(1);
  });
});
