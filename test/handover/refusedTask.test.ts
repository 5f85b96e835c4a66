// A deploy whose new task may not run: it ends before it has touched anything, and the old one goes on serving.

import { afterAll, beforeAll, describe, expect } from "vitest";
import { startTables, type Tables } from "../bot/ledger/table.ts";
import { handler, promise, say, TOKEN } from "../face/world.ts";

const OTHER = "1100000000000000001";

let tables: Tables;
beforeAll(async () => {
  tables = await startTables();
});
afterAll(() => tables.close());

describe.concurrent("a new task", () => {
  const rows: readonly (readonly [
    what: string,
    given: Readonly<Record<string, string>>,
    code: number,
    words: RegExp,
  ])[] = [
    ["with a wrong token", { DISCORD_TOKEN: `${TOKEN.slice(0, -4)}XXXX` }, 77, /"code":"401".*DISCORD_TOKEN/],
    [
      "with another application's token",
      { DISCORD_TOKEN: TOKEN.replace(/^[^.]+/, Buffer.from(OTHER).toString("base64url")) },
      78,
      /LEDGER belongs to application 1100000000000000000, and DISCORD_TOKEN is 1100000000000000001's/,
    ],
    ["with a variable that is wrong", { DRAIN_MS: "soon" }, 78, /DRAIN_MS/],
    ["without its module", { BOT_MODULE: "./bot/nowhere.ts" }, 78, /BOT_MODULE/],
  ];
  for (const [what, given, code, words] of rows) {
    promise(
      `${what} leaves the old one serving`,
      { shards: 2, maxConcurrency: 2, rate: 4 },
      async ({ bot, discord }) => {
        // As in the cloud, where a bot that has run parks, and one that has not must fail its deploy.
        const environment = {
          ...tables.environment,
          LEDGER: `dynamodb:${await tables.create()}`,
          ON_FATAL: "park",
        };
        const old = bot(environment);
        await old.event("bot.ready");
        const next = bot({ ...environment, ...given });
        expect(await next.ended).toBe(code);
        expect(next.stdout()).toMatch(words);
        expect(next.events("lease.taken")).toEqual([]);
        const ids = [say(discord, "still there?", 0), say(discord, "still there?", 1)];
        for (const id of ids) await handler(old, "handled", id);
        expect(old.events("lease.released")).toEqual([]);
        expect(discord.counts.identifies).toBe(2);
        old.kill("SIGTERM");
        expect(await old.ended).toBe(0);
      },
    );
  }
});

describe.concurrent("a ledger of files", () => {
  promise(
    "is kept from another application's token, and is its own application's again",
    {},
    async ({ bot, discord, home }) => {
      const environment = { LEDGER: `file:${home}` };
      const run = async (given: Readonly<Record<string, string>> = {}) => {
        const it = bot({ ...environment, ...given });
        if (given["DISCORD_TOKEN"] === undefined) {
          await it.event("bot.ready");
          it.kill("SIGTERM");
        }
        return it.ended;
      };
      expect(await run()).toBe(0);
      expect(await run({ DISCORD_TOKEN: TOKEN.replace(/^[^.]+/, Buffer.from(OTHER).toString("base64url")) })).toBe(78);
      expect(await run()).toBe(0);
      expect(discord.counts).toMatchObject({ identifies: 1, resumed: 1 });
    },
  );
});
