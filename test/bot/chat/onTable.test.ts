// The bundled bot over a shared table, from one task to the next: no question is lost or answered twice, no count forgotten.

import { afterAll, beforeAll, describe, expect } from "vitest";
import { allReplies } from "../../crowd.ts";
import { promise } from "../../face/world.ts";
import { startSimulatedUpstream } from "../../upstream/index.ts";
import { startTables, type Tables } from "../ledger/table.ts";

const FIRST = "hf_first_key_0001";
const SECOND = "hf_second_key_0002";

let tables: Tables;
beforeAll(async () => {
  tables = await startTables();
});
afterAll(() => tables.close());

describe("with LEDGER=dynamodb", () => {
  promise(
    "a deploy in the middle of a question hands on the question, the servers that are stopped, and the keys' counts",
    // Slow enough for a lease of 10 s to outlast a busy machine's pauses.
    { guilds: 2, rate: 4 },
    async ({ bot, clock, discord }) => {
      const [table, upstream] = await Promise.all([
        tables.create(),
        startSimulatedUpstream({ clock, keys: [{ key: FIRST }, { key: SECOND }] }),
      ]);
      try {
        const environment = {
          ...tables.environment,
          LEDGER: `dynamodb:${table}`,
          BOT_MODULE: "./bot/chat/index.ts",
          UPSTREAM_URL: upstream.url,
          UPSTREAM_KEYS: `${FIRST},${SECOND}`,
          UPSTREAM_QUOTAS: "3 requests/hour,none",
          DRAIN_MS: "2000",
        };
        const [here, there] = [...discord.world.guilds.values()];
        const say = (guild: typeof here, content: string): string => {
          const channelId = guild?.channels[0]?.id;
          if (guild === undefined || channelId === undefined) throw new Error("the world has no such channel");
          return discord.sendMessage({
            guildId: guild.id,
            channelId,
            authorId: guild.ownerId,
            content,
            mentionsBot: true,
          });
        };
        const replied = (...ids: readonly string[]) =>
          discord.waitFor(() => ids.every((id) => allReplies(discord).some(({ to }) => to === id)));

        const old = bot(environment);
        await old.event("bot.ready");
        const first = say(here, "the first");
        const stop = say(there, "$stop");
        await replied(first, stop);
        const next = bot(environment);
        await next.event("bot.waiting");
        const second = say(here, "while the next one waits");
        await replied(second);
        upstream.fail({ kind: "hang" }, 1);
        const open = say(here, "the open one");
        await discord.waitFor(() => upstream.requests.length === 3);
        old.kill("SIGTERM");
        expect(await old.ended).toBe(0);
        await next.event("bot.ready");
        const silent = say(there, "anybody?");
        const last = say(here, "the last");
        await replied(open, last);
        const status = say(here, "$status");
        await replied(status);

        const answers = Map.groupBy(allReplies(discord), ({ to }) => to);
        expect([first, stop, second, open, last, silent].map((id) => answers.get(id)?.length ?? 0)).toEqual([
          1, 1, 1, 1, 1, 0,
        ]);
        expect(answers.get(open)?.[0]?.content).toContain("the open one");
        expect(upstream.requests.map(({ key }) => key)).toEqual([0, 0, 0, 1, 1]);
        expect(answers.get(status)?.[0]?.content).toMatch(/Key 1: 3 this hour, 3 this month, spent until/);
        expect(discord.counts.identifies).toBe(1);
      } finally {
        await upstream.stop();
      }
    },
  );
});
