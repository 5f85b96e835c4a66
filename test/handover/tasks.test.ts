// Several real tasks over one table: even shares, and a ledger that is out of reach.

import { setTimeout as realMilliseconds } from "node:timers/promises";
import { describe, expect } from "vitest";
import { startTables } from "../bot/ledger/table.ts";
import { type FaceBot, handler, promise, say, timesHandled, type World } from "../face/world.ts";

const SHARDS = 4;
const OPTIONS = { shards: SHARDS, maxConcurrency: 4, rate: 4 };

/** Shards that the bot has now, by what it said. */
const held = (bot: FaceBot): number => bot.events("lease.taken").length - bot.events("lease.released").length;

/** A table of the test's own, which it may cut off; bots that share it. */
async function tabled(
  { bot }: World,
  environment: Readonly<Record<string, string>>,
  body: (start: () => FaceBot, tables: Awaited<ReturnType<typeof startTables>>) => Promise<void>,
): Promise<void> {
  const tables = await startTables();
  try {
    const table = await tables.create();
    await body(() => bot({ ...tables.environment, LEDGER: `dynamodb:${table}`, ...environment }), tables);
  } finally {
    tables.close();
  }
}

describe.concurrent("several tasks", () => {
  promise("share the shards evenly without an IDENTIFY, and a third steps in for one that leaves", OPTIONS, (world) =>
    tabled(world, { TASKS: "2" }, async (start) => {
      const first = start();
      await first.event("bot.ready");
      expect(held(first)).toBe(SHARDS);
      const second = start();
      await second.until("half of the shards", () => held(second) === SHARDS / 2);
      expect(held(first)).toBe(SHARDS / 2);
      const third = start();
      expect(await third.event("bot.waiting")).toMatchObject({ ahead: 2 });
      first.kill("SIGTERM");
      await third.until("its share", () => held(third) === SHARDS / 2);
      expect(await first.ended).toBe(0);
      await third.event("bot.ready");
      const ids = Array.from({ length: SHARDS }, (_, shard) => say(world.discord, "after", shard));
      for (const id of ids) {
        await third.until("handled", () => timesHandled([first, second, third], id) === 1);
      }
      expect(held(second)).toBe(SHARDS / 2);
      expect(world.discord.counts.identifies).toBe(SHARDS);
    }),
  );
});

describe.concurrent("a ledger out of reach", () => {
  promise(
    "is lived through by a task that holds: events go on, and nothing is lost when it is back",
    OPTIONS,
    (world) =>
      tabled(world, {}, async (start, tables) => {
        const bot = start();
        await bot.event("bot.ready");
        tables.cut();
        await bot.event("ledger.unreachable");
        // Far beyond the lease.
        await world.clock.sleep(15_000);
        const during = say(world.discord, "during");
        await handler(bot, "handled", during);
        await tables.back();
        await bot.until("the ledger is heard again", () =>
          bot.metrics().at(-1)?.["LedgerUnreachable"] === 0 ? true : undefined,
        );
        const after = say(world.discord, "after", 1);
        await handler(bot, "handled", after);
        expect(bot.events("lease.lost")).toEqual([]);
        bot.kill("SIGTERM");
        expect(await bot.ended).toBe(0);
        const next = start();
        await next.event("bot.ready");
        expect(world.discord.counts.identifies).toBe(SHARDS);
        expect(timesHandled([bot, next], during)).toBe(1);
      }),
  );

  promise("makes a task that must not hold stop at once, and take its shards again when it is back", OPTIONS, (world) =>
    tabled(world, { LEDGER_LOSS: "stop" }, async (start, tables) => {
      const bot = start();
      await bot.event("bot.ready");
      tables.cut();
      expect(await bot.event("lease.lost")).toMatchObject({ shards: SHARDS });
      const during = say(world.discord, "during");
      await realMilliseconds(500);
      expect(timesHandled([bot], during)).toBe(0);
      await tables.back();
      await handler(bot, "handled", during);
      expect(world.discord.counts.identifies).toBe(SHARDS);
    }),
  );
});
