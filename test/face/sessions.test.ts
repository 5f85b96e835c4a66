// Sessions outlive the process: each way to end it, what the ledger keeps, and what the next process makes of it.

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import { tokenHash } from "../../bot/ledger/hash.ts";
import { Secret } from "../../shared/secret.ts";
import { REMOTE_INTENTS } from "./remote.ts";
import { isStored, stored } from "./storedSessions.ts";
import {
  clientCloses,
  type FaceBot,
  handler,
  promise,
  say,
  soon,
  TOKEN,
  timesHandled,
  UNHURRIED,
  type World,
} from "./world.ts";

const FOUR = { shards: 4, maxConcurrency: 4 };

/** Every shard's sequence in the file is what Discord gave out last. */
const checkpointed = ({ home, discord }: World): boolean =>
  isStored(home) &&
  discord
    .sessions()
    .every(({ shard, sequence }) =>
      stored(home).some((kept) => kept["shard"] === shard && kept["sequence"] === sequence),
    );

async function fourReady(world: World): Promise<FaceBot> {
  const child = world.bot({ LEDGER: `file:${world.home}` });
  await child.event("bot.ready");
  for (let shard = 0; shard < 4; shard++) await handler(child, "handled", say(world.discord, "before", shard));
  return child;
}

/** Messages come while no process runs; the next one resumes, and each is handled once. */
async function resumeAll(world: World, before: FaceBot): Promise<FaceBot> {
  const { discord, bot, home } = world;
  await discord.waitFor("gone");
  const gap = [0, 1, 2, 3].flatMap((shard) => [say(discord, "gap 1", shard), say(discord, "gap 2", shard)]);
  const requests = discord.counts.rest.requests;
  const after = bot({ LEDGER: `file:${home}` });
  expect(await after.event("bot.ready")).toMatchObject({ shards: 4 });
  for (const id of gap) await handler(after, "handled", id);
  expect(gap.map((id) => timesHandled([before, after], id))).toEqual(gap.map(() => 1));
  expect(
    after
      .events("session.resumed")
      .map(({ shard, replayed }) => [shard, replayed])
      .sort(),
  ).toEqual([
    [0, 2],
    [1, 2],
    [2, 2],
    [3, 2],
  ]);
  expect(discord.counts).toMatchObject({ identifies: 4, resumes: 4, resumed: 4 });
  // With stored sessions a start needs no request.
  expect(discord.counts.rest.requests).toBe(requests);
  expect((await after.get("/state")).body).toMatchObject({ metrics: { Identifies: 0, DeployRunning: 1 } });
  const live = say(discord, "live", 2);
  await handler(after, "handled", live);
  return after;
}

describe.concurrent("LEDGER=file:", () => {
  promise("a third start within ten minutes holds its IDENTIFY back for 30 s", {}, async ({ bot, discord, home }) => {
    for (let start = 0; start < 2; start++) {
      const child = bot({ LEDGER: `file:${home}` });
      await child.event("bot.ready");
      child.kill("SIGINT");
      await child.ended;
    }
    const third = bot({ LEDGER: `file:${home}` });
    const started = await third.event("bot.started");
    const spent = await third.event("identify.spent");
    expect(Date.parse(String(spent["time"])) - Date.parse(String(started["time"]))).toBeGreaterThanOrEqual(30_000);
    const told = third.lines.find(({ msg }) => String(msg).startsWith("started too often"));
    expect(Date.parse(String(told?.["until"]))).toBeLessThanOrEqual(Date.parse(String(spent["time"])));
    expect((await third.get("/live")).status).toBe(200);
    expect(discord.counts.identifies).toBeLessThanOrEqual(3);
  });

  // Nothing but the clock and the metric lines matters here.
  promise(
    "taking them over shows as a deploy for five minutes",
    { rate: 40 },
    async ({ bot, discord, home, clock }) => {
      const session = {
        ...{ shard: 0, shardCount: 1, sessionId: "one", resumeGatewayUrl: discord.gatewayUrl, sequence: 1 },
        ...{ intents: REMOTE_INTENTS, tokenHash: tokenHash(new Secret(TOKEN)), writtenAt: clock.wall() },
      };
      writeFileSync(path.join(home, "sessions.json"), JSON.stringify([session]));
      discord.faults.gateway.refuseDials("both", "reset");
      const child = bot({ LEDGER: `file:${home}` });
      const started = Date.parse(String((await child.event("bot.started"))["time"]));
      const firstLine = (running: number, from = 0): number =>
        child.metrics().findIndex((line, place) => place >= from && line["DeployRunning"] === running);
      await child.until("the deploy", () => firstLine(1) >= 0);
      const end = await child.until("its end", () => child.metrics()[firstLine(0, firstLine(1))]);
      expect(Number(Object(end["_aws"]).Timestamp) - started).toBeGreaterThanOrEqual(300_000);
    },
  );

  promise(
    "SIGTERM keeps sessions in the promised shape; the next process resumes them",
    { ...FOUR, ...UNHURRIED },
    async (world) => {
      const { discord, home, clock } = world;
      const first = await fourReady(world);
      const sessions = discord.sessions();
      first.kill("SIGTERM");
      expect(await first.ended).toBe(0);
      expect(await first.event("bot.draining")).toMatchObject({ keepSessions: "yes" });
      expect(clientCloses(discord)).toEqual({ 4000: 4 });

      const file = path.join(home, "sessions.json");
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readdirSync(home).filter((name) => name.includes("tmp"))).toEqual([]);
      const kept = stored(home).sort((one, other) => Number(one["shard"]) - Number(other["shard"]));
      expect(kept).toEqual(
        [...sessions]
          .sort((one, other) => one.shard - other.shard)
          .map(({ shard, id, sequence }) => ({
            shard,
            shardCount: 4,
            sessionId: id,
            resumeGatewayUrl: discord.resumeUrl,
            sequence,
            intents: REMOTE_INTENTS,
            tokenHash: tokenHash(new Secret(TOKEN)),
            writtenAt: expect.any(Number),
          })),
      );
      for (const { writtenAt } of kept) expect(Math.abs(Number(writtenAt) - clock.wall())).toBeLessThan(120_000);

      const second = await resumeAll(world, first);
      second.kill("SIGTERM");
      expect(await second.ended).toBe(0);
    },
  );

  promise("SIGKILL after a checkpoint costs nothing either", FOUR, async (world) => {
    const first = await fourReady(world);
    await first.until("a checkpoint", () => {
      return first.metrics().length > 0 && checkpointed(world);
    });
    first.kill("SIGKILL");
    expect(await first.ended).toBe("SIGKILL");
    await resumeAll(world, first);
  });

  promise(
    "a session is kept from its first moment on: a kill then costs no second IDENTIFY",
    UNHURRIED,
    async (world) => {
      const { bot, discord, home } = world;
      const first = bot({ LEDGER: `file:${home}` });
      const ready = Date.parse(String((await first.event("bot.ready"))["time"]));
      await soon("a session in the file", () => isStored(home) && stored(home).length === 1);
      // Taken in the same turn as READY, not at the next checkpoint 5 s on.
      expect(Number(stored(home)[0]?.["writtenAt"]) - ready).toBeLessThan(1_000);
      first.kill("SIGKILL");
      expect(await first.ended).toBe("SIGKILL");
      await bot({ LEDGER: `file:${home}` }).event("bot.ready");
      expect(discord.counts).toMatchObject({ identifies: 1, resumed: 1 });
    },
  );

  promise("an uncaught error keeps them", FOUR, async (world) => {
    const first = await fourReady(world);
    await first.call("throwInTimer", "boom").catch(() => {});
    expect(await first.ended).toBe(70);
    await resumeAll(world, first);
  });

  promise("stop({ keepSessions: true }) does as SIGTERM", FOUR, async (world) => {
    const first = await fourReady(world);
    await first.call("stop", { keepSessions: true }).catch(() => {});
    expect(await first.ended).toBe(0);
    await resumeAll(world, first);
  });

  for (const how of ["SIGINT", "stop({ keepSessions: false })"]) {
    promise(`${how} ends them, and leaves none behind`, FOUR, async (world) => {
      const { discord, home, bot } = world;
      const first = await fourReady(world);
      if (how === "SIGINT") first.kill("SIGINT");
      else await first.call("stop", { keepSessions: false }).catch(() => {});
      expect(await first.ended).toBe(0);
      expect(clientCloses(discord)).toEqual({ 1000: 4 });
      expect(stored(home)).toEqual([]);
      await bot({ LEDGER: `file:${home}` }).event("bot.ready");
      expect(discord.counts).toMatchObject({ identifies: 8, resumes: 0 });
    });
  }

  promise("SIGINT right after a start that resumed leaves none behind", FOUR, async (world) => {
    const first = await fourReady(world);
    first.kill("SIGTERM");
    await first.ended;
    const second = world.bot({ LEDGER: `file:${world.home}` });
    await second.event("bot.ready");
    second.kill("SIGINT");
    expect(await second.ended).toBe(0);
    expect(stored(world.home)).toEqual([]);
  });

  promise("a signal before the first dial leaves the kept sessions alone", FOUR, async (world) => {
    const first = await fourReady(world);
    first.kill("SIGTERM");
    await first.ended;
    const kept = stored(world.home);
    const second = world.bot({ LEDGER: `file:${world.home}`, FACE_START: "hang" });
    await second.until("start", () => second.told.some(({ kind }) => kind === "start"));
    second.kill("SIGINT");
    expect(await second.ended).toBe(0);
    expect(stored(world.home)).toEqual(kept);
    await resumeAll(world, first);
  });

  promise("a handler that runs on after SIGTERM is not run again, one that is cut off is", FOUR, async (world) => {
    const { discord, home, bot } = world;
    const first = bot({ LEDGER: `file:${home}`, DRAIN_MS: "3000" });
    await first.event("bot.ready");
    const cut = say(discord, "hold", 0);
    const done = say(discord, "hold", 1);
    await handler(first, "handling", cut);
    await handler(first, "handling", done);
    first.kill("SIGTERM");
    await first.event("bot.draining");
    await first.call("release", done);
    expect(await first.ended).toBe(0);
    const second = bot({ LEDGER: `file:${home}` });
    await handler(second, "handling", cut);
    await second.call("release", cut);
    await handler(second, "handled", cut);
    await second.event("bot.ready");
    expect([timesHandled([first, second], cut), timesHandled([first, second], done)]).toEqual([1, 1]);
    expect(discord.counts.identifies).toBe(4);
  });

  promise("what was done out of order stays done over a process that never reached Discord", {}, async (world) => {
    const { discord, home, bot } = world;
    const settings = { LEDGER: `file:${home}`, DRAIN_MS: "1000" };
    const first = bot(settings);
    await first.event("bot.ready");
    const channel = discord.world.addChannel([...discord.world.guilds.keys()][0] ?? "");
    const cut = say(discord, "hold");
    await handler(first, "handling", cut);
    const author = [...discord.world.guilds.values()][0]?.ownerId ?? "";
    const done = discord.sendMessage({
      guildId: channel.guildId,
      channelId: channel.id,
      authorId: author,
      content: "done",
    });
    await handler(first, "handled", done);
    first.kill("SIGTERM");
    await first.ended;
    expect(stored(home)).toMatchObject([{ finishedAbove: [expect.any(Number)], unfinished: [{ deaths: 1 }] }]);

    discord.faults.gateway.refuseDials("both", "reset");
    const second = bot(settings);
    await second.event("shard.state", ({ from }) => from === "connecting");
    await second.until("some time", () => second.metrics().length > 0);
    second.kill("SIGTERM");
    await second.ended;
    await discord.faults.gateway.acceptDials();

    const third = bot(settings);
    await handler(third, "handling", cut);
    await third.call("release", cut);
    await handler(third, "handled", cut);
    await third.event("bot.ready");
    expect([timesHandled([first, second, third], cut), timesHandled([first, second, third], done)]).toEqual([1, 1]);
    expect(discord.counts.identifies).toBe(1);
  });

  promise(
    "sessions of another token, intents or shard count are not tried",
    { shards: 2, maxConcurrency: 2 },
    async (world) => {
      const { discord, home, bot } = world;
      const first = bot({ LEDGER: `file:${home}` });
      await first.event("bot.ready");
      first.kill("SIGTERM");
      await first.ended;
      discord.faults.gateway.expireSessions();
      const second = bot({ LEDGER: `file:${home}`, FACE_INTENTS: "513" });
      await second.event("bot.ready");
      expect(discord.counts).toMatchObject({ resumes: 0, identifies: 4 });
    },
  );

  promise(
    "sessions that Discord has forgotten cost one RESUME each, then an IDENTIFY",
    {},
    async ({ bot, discord, home }) => {
      const first = bot({ LEDGER: `file:${home}` });
      await first.event("bot.ready");
      first.kill("SIGTERM");
      await first.ended;
      discord.faults.gateway.expireSessions();
      await bot({ LEDGER: `file:${home}` }).event("bot.ready");
      expect(discord.counts).toMatchObject({ resumes: 1, identifies: 2 });
    },
  );

  promise("a file that is none of ours is set aside, and the bot goes on", {}, async ({ bot, home }) => {
    writeFileSync(path.join(home, "sessions.json"), '[{"shard":0,"half');
    const child = bot({ LEDGER: `file:${home}` });
    await child.event("bot.ready");
    expect(await child.event("ledger.unreachable")).toMatchObject({ error: expect.stringContaining("set aside") });
    expect(readdirSync(home).filter((name) => name.startsWith("sessions.json.damaged"))).toHaveLength(1);
  });

  promise(
    "a ledger that fails later is told, shown as a metric, and does not stop the bot",
    {},
    async ({ bot, discord, home }) => {
      const directory = path.join(home, "ledger");
      const child = bot({ LEDGER: `file:${directory}` });
      await child.event("bot.ready");
      await child.until("a checkpoint", () => child.metrics().length > 0 && isStored(directory));
      // A directory in the file's place fails the replacement for every user, root too.
      rmSync(path.join(directory, "sessions.json"));
      mkdirSync(path.join(directory, "sessions.json"));
      await handler(child, "handled", say(discord, "moved"));
      await child.event("ledger.unreachable");
      expect((await child.get("/state")).body).toMatchObject({ metrics: { LedgerUnreachable: 1 } });
      expect((await child.get("/live")).status).toBe(200);
      await handler(child, "handled", say(discord, "still here"));
      child.kill("SIGTERM");
      expect(await child.ended).toBe(0);
    },
  );
});
