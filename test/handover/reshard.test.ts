// Another number of shards beside the running ones: no event lost, none handled twice, and as many IDENTIFYs as new shards.

import path from "node:path";
import { setTimeout as realMilliseconds } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { startTables, type Tables } from "../bot/ledger/table.ts";
import { type FaceBot, promise, TOKEN } from "../face/world.ts";
import { reshard } from "./reshardCommand.ts";
import { eachOnce, traffic } from "./traffic.ts";

let tables: Tables;
beforeAll(async () => {
  tables = await startTables();
});
afterAll(() => tables.close());

const FROM = 2;
const TO = 3;
// Six servers lie on different shards of either set.
const SERVERS = 6;
const EVERY_MS = 40;
const OPTIONS = { shards: FROM, guilds: SERVERS, maxConcurrency: 4, rate: 3 };

const done = (bot: FaceBot): boolean => bot.events("reshard.step").some((line) => line["step"] === "done");

const STEPS = "opening\nclaiming\nboth\nclosing\ndone\n";

describe("another number of shards", () => {
  promise("is taken on by one process while it runs, and kept by the next", OPTIONS, async (world) => {
    const directory = path.join(world.home, "ledger");
    const environment = { LEDGER: `file:${directory}` };
    const bot = world.bot(environment);
    await bot.event("bot.ready");
    const messages = traffic(world, SERVERS, EVERY_MS);
    const here = { ...environment, DISCORD_TOKEN: TOKEN, DISCORD_API_URL: world.discord.apiUrl };
    const price = "2 to 3 needs 3 IDENTIFYs, 998 left, 5 s at concurrency 4\n";
    const told = await reshard(here, "--to", "3");
    expect(told).toEqual({ printed: `${price}again with --apply, the bot does it\n`, exitCode: 0 });
    expect(await reshard(here, "--to", "3", "--apply")).toEqual({ printed: `${price}${STEPS}`, exitCode: 0 });
    await bot.until("the move", () => done(bot));
    expect((await reshard(here, "--to", "3", "--apply")).printed).toBe("there are 3 shards already\n");
    await realMilliseconds(300);
    bot.kill("SIGTERM");
    expect(await bot.ended).toBe(0);
    const next = world.bot(environment);
    await next.event("bot.ready");
    await eachOnce(await messages.stop(), [bot, next]);
    expect(world.discord.counts.identifies).toBe(FROM + TO);
    expect(world.discord.sessions().map(({ shardCount }) => shardCount)).toEqual(Array(TO).fill(TO));
    // Without a session to tell the number, it is still the one that was asked for.
    next.kill("SIGINT");
    expect(await next.ended).toBe(0);
    await world.bot(environment).event("bot.ready");
    expect(world.discord.sessions().map(({ shardCount }) => shardCount)).toEqual(Array(TO).fill(TO));
  });

  promise("is taken on by several tasks together", OPTIONS, async (world) => {
    const table = await tables.create();
    const start = () => world.bot({ ...tables.environment, LEDGER: `dynamodb:${table}`, TASKS: "2" });
    const bots = [start()];
    await bots[0]?.event("bot.ready");
    bots.push(start());
    await bots[1]?.event("bot.ready");
    const messages = traffic(world, SERVERS, EVERY_MS);
    const beside = { ...tables.environment, LEDGER: `dynamodb:${table}` };
    // Without the token: the table tells what is left.
    const refused = await reshard(beside, "--to", "899", "--apply");
    expect(refused).toMatchObject({
      exitCode: 1,
      printed: expect.stringContaining("99 would be left, and 899 are kept"),
    });
    const { printed, exitCode } = await reshard(beside, "--to", "3", "--apply");
    expect(printed).toBe(`2 to 3 needs 3 IDENTIFYs, 998 left, 5 s at concurrency 4\n${STEPS}`);
    expect(exitCode).toBe(0);
    for (const bot of bots) await bot.until("the move", () => done(bot));
    await realMilliseconds(300);
    await eachOnce(await messages.stop(), bots);
    expect(world.discord.counts.identifies).toBe(FROM + TO);
    expect(world.discord.sessions().map(({ shardCount }) => shardCount)).toEqual(Array(TO).fill(TO));
  });

  for (const steps of [
    ["opening", "both"],
    ["claiming", "closing"],
  ]) {
    promise(`goes on over deploys while it is ${steps.join(" and ")}`, OPTIONS, async (world) => {
      const table = await tables.create();
      const start = () => world.bot({ ...tables.environment, LEDGER: `dynamodb:${table}` });
      const bots = [start()];
      await bots[0]?.event("bot.ready");
      const messages = traffic(world, SERVERS, EVERY_MS);
      const move = reshard({ ...tables.environment, LEDGER: `dynamodb:${table}` }, "--to", "3", "--apply");
      for (const step of steps) {
        const old = bots.at(-1);
        await old?.event("reshard.step", (line) => line["step"] === step);
        const next = start();
        bots.push(next);
        // Once the old set closes, a task may run the new one at once.
        if (step !== "closing") await next.event("bot.waiting");
        old?.kill("SIGTERM");
        expect(await old?.ended).toBe(0);
      }
      expect(await move).toMatchObject({ exitCode: 0 });
      await bots.at(-1)?.event("bot.ready");
      await realMilliseconds(300);
      await eachOnce(await messages.stop(), bots);
      expect(world.discord.counts.identifies).toBe(FROM + TO);
      const live = world.discord.sessions().filter(({ attached }) => attached);
      expect(live.map(({ shardCount }) => shardCount)).toEqual(Array(TO).fill(TO));
    });
  }
});
