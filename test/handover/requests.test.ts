// Requests of real processes: two over one table keep the bot's limit together, and a ban of an address outlives who met it.

import { describe, expect } from "vitest";
import { startTables } from "../bot/ledger/table.ts";
import { type FaceBot, promise, soon, type World } from "../face/world.ts";

const OPTIONS = { shards: 2, maxConcurrency: 2, rate: 3 };
/** Discord's own (topics/rate-limits#global-rate-limit). */
const LIMIT = 50;

/** Two tasks that have dealt the limit between them. */
async function two(world: World, body: (bots: readonly [FaceBot, FaceBot]) => Promise<void>): Promise<void> {
  const tables = await startTables();
  try {
    const table = await tables.create();
    const start = (): FaceBot =>
      world.bot({
        ...tables.environment,
        LEDGER: `dynamodb:${table}`,
        TASKS: "2",
        EGRESS_ADDRESSES: "203.0.113.7",
      });
    const first = start();
    await first.event("bot.ready");
    const second = start();
    await second.event("lease.taken");
    await soon("shares of the limit", async () => {
      const shares = await Promise.all([first, second].map(perSecond));
      return shares.every((share) => share > 1) && shares.reduce((sum, share) => sum + share, 0) === LIMIT;
    });
    await body([first, second]);
  } finally {
    tables.close();
  }
}

const state = async (bot: FaceBot, part: string): Promise<Readonly<Record<string, unknown>>> => {
  const { body } = await bot.get("/state");
  return Object(body[part]);
};
const perSecond = async (bot: FaceBot): Promise<number> => Number((await state(bot, "requests"))["perSecond"]);
const isBanned = async (bot: FaceBot): Promise<boolean> =>
  Object((await state(bot, "edge"))["rest"]).state === "banned";

const lookUp = (bot: FaceBot, number: number): Promise<unknown> =>
  bot.call("rest.request", { method: "GET", path: "/users/@me", query: { number } });

describe.concurrent("requests of two tasks", () => {
  promise("keep the bot's limit together, and who wants more gets more", OPTIONS, (world) =>
    two(world, async ([first, second]) => {
      const flood = (bot: FaceBot, count: number): Promise<unknown> =>
        Promise.all(Array.from({ length: count }, (_, number) => lookUp(bot, number)));
      await Promise.all([flood(first, 150), flood(second, 150)]);
      expect(world.discord.counts.rest.limited).toMatchObject({ global: 0, user: 0 });
      const alone = flood(second, 600);
      await soon("nearly all of the limit", async () => (await perSecond(second)) > LIMIT * 0.8);
      await alone;
      expect(world.discord.counts.rest.limited).toMatchObject({ global: 0, user: 0 });
    }),
  );

  promise("all stop at a ban that one of them meets, and one asks whether it is over", OPTIONS, (world) =>
    two(world, async ([first, second]) => {
      const { faults, counts } = world.discord;
      const lift = faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 20 });
      const met = lookUp(second, 1);
      await soon("the ban", () => isBanned(second));
      await soon("word of the ban", () => isBanned(first));
      await expect(
        first.call("rest.request", { method: "GET", path: "/users/@me", deadlineMs: 1_000 }),
      ).rejects.toMatchObject({ kind: "edgeBanned" });
      expect(counts.edgeHits).toBe(1);
      lift();
      await met;
      await soon("word of its end", async () => !(await isBanned(first)));
      await lookUp(first, 2);
      expect(counts.edgeHits).toBe(1);
    }),
  );
});

describe.concurrent("a ban of the address", () => {
  // The simulated edge knows one address; a bot that has moved to another may ask at once, which is a hit all the same.
  const MOVED = { rate: 6, excused: ["rest.edge"] } as const;

  promise("is remembered over a crash, and asked about once by the next process", MOVED, async (world) => {
    const { faults, counts } = world.discord;
    const start = (address: string): FaceBot =>
      world.bot({ LEDGER: `file:${world.home}/ledger`, EGRESS_ADDRESSES: address });
    const lift = faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 60 });
    const first = start("203.0.113.7");
    await first.event("edge.banned");
    await world.clock.sleep(1_000);
    first.kill("SIGKILL");
    await first.ended;
    const second = start("203.0.113.7");
    const told = await second.event("edge.banned");
    expect(told).toMatchObject({ address: "203.0.113.7", status: null });
    expect(counts.edgeHits).toBe(1);
    const moved = start("198.51.100.7");
    await moved.event("edge.banned", ({ status }) => status === 429);
    expect(counts.edgeHits).toBe(2);
    moved.kill("SIGKILL");
    lift();
    await second.event("bot.ready");
    expect(counts.edgeHits).toBe(2);
  });
});
