// Events on which processes die: skipped once two deaths are on record, and nothing else with them.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import { startTables } from "../bot/ledger/table.ts";
import { isStored, stored } from "./storedSessions.ts";
import { handler, promise, say, soon, timesHandled, UNHURRIED } from "./world.ts";

const ageStarts = (home: string, byMs: number): void => {
  const file = path.join(home, "starts.json");
  const starts: number[] = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify(starts.map((start) => start - byMs)));
};

describe.concurrent("an event", () => {
  for (const ledger of ["dynamodb", "file"]) {
    promise(
      `that kills at once is skipped when two of its deaths are on record, and takes no other with it, LEDGER=${ledger}`,
      { shards: 4, maxConcurrency: 4, ...UNHURRIED },
      async ({ bot, discord, home }) => {
        const tables = ledger === "dynamodb" ? await startTables() : undefined;
        try {
          const LEDGER = tables === undefined ? `file:${home}` : `dynamodb:${await tables.create()}`;
          const settings = { LEDGER, ...tables?.environment };
          // A session that is sure to be in the ledger, and a process that follows no other's death.
          if (tables !== undefined) {
            const before = bot(settings);
            await before.event("bot.ready");
            before.kill("SIGTERM");
            await before.ended;
          }
          const first = bot(settings);
          await first.event("bot.ready");
          if (tables === undefined)
            await soon("four sessions in the file", () => isStored(home) && stored(home).length === 4);
          const killer = say(discord, "kill");
          expect(await first.ended).toBe("SIGKILL");
          const gap = [0, 1, 2, 3].flatMap((shard) => [say(discord, "gap 1", shard), say(discord, "gap 2", shard)]);
          // Nothing knows of the first death but that it was one, however long the process had run.
          if (tables === undefined) ageStarts(home, 1_200_000);
          const second = bot(settings);
          expect(await second.ended).toBe("SIGKILL");
          const third = bot(settings);
          expect(await third.ended).toBe("SIGKILL");
          const last = bot(settings);
          const after = [second, third, last];
          await last.until("the end of the gap", () => gap.every((id) => timesHandled(after, id) > 0));
          expect(await last.event("dispatch.poison")).toMatchObject({ shard: 0, type: "MESSAGE_CREATE", deaths: 2 });
          await handler(last, "handled", say(discord, "live"));
          expect(gap.map((id) => timesHandled(after, id))).toEqual(gap.map(() => 1));
          expect(timesHandled([first, ...after], killer)).toBe(0);
          expect(last.events("dispatch.poison")).toHaveLength(1);
          expect(discord.counts.identifies).toBe(4);
        } finally {
          tables?.close();
        }
      },
    );
  }

  promise("that two processes died on is skipped, and told", {}, async ({ bot, discord, home }) => {
    const settings = { LEDGER: `file:${home}` };
    const first = bot(settings);
    await first.event("bot.ready");
    const id = say(discord, "hold");
    await handler(first, "handling", id);
    await first.call("throwInTimer", "death 1").catch(() => {});
    await first.ended;
    const second = bot(settings);
    await handler(second, "handling", id);
    await second.call("throwInTimer", "death 2").catch(() => {});
    await second.ended;
    const third = bot(settings);
    expect(await third.event("dispatch.poison")).toMatchObject({ shard: 0, type: "MESSAGE_CREATE", deaths: 2 });
    await third.event("bot.ready");
    expect(third.told.filter(({ kind }) => kind === "handling")).toEqual([]);
    expect(discord.counts.identifies).toBe(1);
  });
});
