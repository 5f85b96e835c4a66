// How the process ends, and when it does not: 0 asked to stop, 70 a bug, 77 Discord refuses us; 78 is told by the variables.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import { clientCloses, type FaceBot, handler, promise, REMOTE_MEMBERS, say, TOKEN, UNHURRIED } from "./world.ts";

const last = (bot: FaceBot): unknown => bot.lines.at(-1)?.["event"];

// First, since these take longest.
describe.concurrent("ON_FATAL=park", () => {
  promise("stays alive, says what to do, and leaves Discord alone", {}, async ({ bot, discord }) => {
    const child = bot({ ON_FATAL: "park", METRICS_INTERVAL_MS: "5000" });
    await child.event("bot.ready");
    discord.faults.gateway.close("all", 4014);
    const fatal = await child.event("fatal");
    const { dials } = discord.counts;
    const { requests } = discord.counts.rest;
    const seen = child.metrics().length;
    await child.until("more metric lines", () => child.metrics().length >= seen + 4);
    for (const line of child.metrics().slice(seen)) expect(line).toMatchObject({ Fatal: 1, Heartbeat: 1 });
    expect(await child.get("/live")).toEqual({ status: 200, body: { live: true } });
    expect((await child.get("/ready")).status).toBe(503);
    expect((await child.get("/state")).body).toMatchObject({
      phase: "parked",
      fatal: { code: "4014", fix: fatal["fix"] },
      metrics: { Fatal: 1 },
    });
    await expect(child.call("rest.request", { method: "GET", path: "/users/@me" })).rejects.toMatchObject({
      kind: "stopped",
    });
    expect([discord.counts.dials, discord.counts.rest.requests]).toEqual([dials, requests]);
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(discord.counts.dials).toBe(dials);
  });

  promise(
    "a token that is revoked while the bot runs parks it too",
    { excused: ["identify.token"] },
    async ({ bot, discord }) => {
      const child = bot({ ON_FATAL: "park" });
      await child.event("bot.ready");
      discord.faults.gateway.revokeToken();
      await child.event("fatal");
      expect((await child.get("/state")).body).toMatchObject({
        phase: "parked",
        fatal: { fix: expect.stringContaining("DISCORD_TOKEN") },
      });
      const { dials } = discord.counts;
      const seen = child.metrics().length;
      await child.until("more metric lines", () => child.metrics().length >= seen + 10);
      expect(discord.counts.dials).toBe(dials);
    },
  );

  promise("REST's 401 is asked once more after a minute, then parks a running bot", {}, async ({ bot, discord }) => {
    const child = bot({ ON_FATAL: "park" });
    await child.event("bot.ready");
    const live = discord.readyShards();
    // Only REST refuses: the gateway has not noticed yet.
    discord.faults.rest.serverErrors("any", { status: 401, durationMs: 86_400_000 });
    await child.call("rest.request", { method: "GET", path: "/users/@me" }).catch(() => {});
    expect(live).toEqual([0]);
    const fatal = await child.event("fatal");
    expect(fatal).toMatchObject({ code: "401" });
    await discord.waitFor("gone");
    expect((await child.get("/live")).status).toBe(200);
  });

  promise(
    "a refusal that the ledger remembers parks without a dial or a request; other intents ask again",
    {},
    async (world) => {
      const { bot, discord, home } = world;
      const settings = { ON_FATAL: "park", LEDGER: `file:${home}` };
      const first = bot(settings);
      await first.event("bot.ready");
      discord.faults.gateway.close("all", 4013);
      await first.event("fatal");
      await first.until("refusal.json", () => existsSync(path.join(home, "refusal.json")));
      first.kill("SIGKILL");
      await first.ended;
      const before = { dials: discord.counts.dials, requests: discord.counts.rest.requests };

      const second = bot(settings);
      expect(await second.event("fatal")).toMatchObject({ code: "4013" });
      expect((await second.get("/live")).status).toBe(200);
      expect((await second.get("/state")).body).toMatchObject({
        phase: "parked",
        metrics: { Fatal: 1, Dials: 0, Requests: 0 },
      });
      const exiting = bot({ ...settings, ON_FATAL: "exit" });
      expect(await exiting.ended).toBe(77);
      expect([discord.counts.dials, discord.counts.rest.requests]).toEqual([before.dials, before.requests]);
      second.kill("SIGTERM");
      expect(await second.ended).toBe(0);

      // What parks at once spends nothing, and holds back no IDENTIFY of a start that may work.
      expect(JSON.parse(readFileSync(path.join(home, "starts.json"), "utf8"))).toHaveLength(1);
      discord.faults.gateway.forgive();
      const mended = bot({ ...settings, FACE_INTENTS: "513" });
      await mended.event("bot.ready");
    },
  );
});

describe.concurrent("0: asked to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    promise(
      `${signal} with LEDGER=memory ends the sessions`,
      { shards: 2, maxConcurrency: 2 },
      async ({ bot, discord }) => {
        const child = bot();
        await child.event("bot.ready");
        child.kill(signal);
        expect(await child.ended).toBe(0);
        expect(clientCloses(discord)).toEqual({ 1000: 2 });
        expect(await child.event("bot.draining")).toMatchObject({ signal, keepSessions: "no" });
        expect(await child.event("bot.stopped")).toMatchObject({ exitCode: 0 });
        expect(last(child)).toBe("bot.stopped");
      },
    );
  }

  for (const second of ["SIGTERM", "SIGINT"] as const) {
    promise(`a second signal (${second}) ends at once, whatever runs`, {}, async ({ bot, discord }) => {
      const child = bot({ DRAIN_MS: "115000" });
      await child.event("bot.ready");
      const id = say(discord, "hold");
      await handler(child, "handling", id);
      child.kill("SIGTERM");
      await child.event("bot.draining");
      child.kill(second);
      expect(await child.ended).toBe(0);
      expect(child.told.filter(({ kind }) => kind === "aborted")).toEqual([]);
      expect((await child.event("bot.stopped"))["tookMs"]).toBeLessThan(115_000);
      expect(last(child)).toBe("bot.stopped");
    });
  }

  promise("SIGTERM while preflight waits for an answer does not wait with it", {}, async ({ bot, discord }) => {
    discord.faults.rest.hang("GET /gateway/bot", { durationMs: 600_000 });
    const child = bot({ DRAIN_MS: "115000" });
    await discord.waitFor(() => discord.requests.length === 1);
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect((await child.event("bot.stopped"))["tookMs"]).toBeLessThan(20_000);
    expect(discord.counts.dials).toBe(0);
    expect(last(child)).toBe("bot.stopped");
  });

  promise("SIGTERM while the edge bans the address", {}, async ({ bot, discord }) => {
    discord.faults.rest.banEdge({ shape: "html", retryAfterSeconds: 3_600 });
    const child = bot({ DRAIN_MS: "115000" });
    await child.event("edge.banned");
    await child.until("start", () => child.told.some(({ kind }) => kind === "start"));
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect((await child.event("bot.stopped"))["tookMs"]).toBeLessThan(20_000);
    expect(discord.requests).toHaveLength(1);
  });

  promise("SIGTERM while a shard waits for its IDENTIFY", { shards: 3 }, async ({ bot, discord }) => {
    const child = bot();
    await child.event("identify.spent");
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(discord.counts.identifies).toBeLessThan(3);
    expect(discord.readyShards()).toEqual([]);
  });

  promise("SIGTERM while the module's start hangs dials nobody afterwards", {}, async ({ bot, discord, home }) => {
    const child = bot({ FACE_START: "hang", LEDGER: `file:${home}` });
    await child.until("start", () => child.told.some(({ kind }) => kind === "start"));
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(discord.counts.dials).toBe(0);
  });
});

describe.concurrent("70: a bug", () => {
  for (const bug of ["throwInTimer", "reject"]) {
    promise(
      `${bug}: checkpoint, close that keeps the session, last lines`,
      UNHURRIED,
      async ({ bot, discord, home }) => {
        const child = bot({ LEDGER: `file:${home}`, METRICS_INTERVAL_MS: "60000" });
        await child.event("bot.ready");
        await child.call(bug, `boom ${TOKEN}`).catch(() => {});
        expect(await child.ended).toBe(70);
        expect(child.stdout()).toContain("boom [secret]");
        expect(clientCloses(discord)).toEqual({ 4000: 1 });
        expect(child.metrics().at(-1)).toMatchObject({ Heartbeat: 1 });
        expect(await child.event("bot.stopped")).toMatchObject({ exitCode: 70 });
        expect(last(child)).toBe("bot.stopped");
        expect(existsSync(path.join(home, "sessions.json"))).toBe(true);
      },
    );
  }

  promise("start throws: nothing was dialled", {}, async ({ bot, discord }) => {
    const child = bot({ FACE_START: "throw" });
    expect(await child.ended).toBe(70);
    expect(child.stdout()).toContain("thrown by start");
    expect(discord.counts.dials).toBe(0);
  });

  promise("also when it shows while the bot stops", {}, async ({ bot, discord }) => {
    const child = bot({ DRAIN_MS: "115000" });
    await child.event("bot.ready");
    const id = say(discord, "hold");
    await handler(child, "handling", id);
    child.kill("SIGTERM");
    await child.event("bot.draining");
    await child.call("throwInTimer", "late").catch(() => {});
    await child.until("the line", () => child.lines.some(({ error }) => String(error).includes("late")));
    await child.call("release", id).catch(() => {});
    expect(await child.ended).toBe(70);
  });
});

describe.concurrent("77: Discord refuses us", () => {
  const wrong = `${TOKEN.slice(0, -4)}XXXX`;
  for (const how of ["exit", "park"]) {
    promise(`a wrong token at the start, also with ON_FATAL=${how}`, {}, async ({ bot, discord }) => {
      const child = bot({ DISCORD_TOKEN: wrong, ON_FATAL: how });
      expect(await child.ended).toBe(77);
      const fatal = await child.event("fatal");
      expect(fatal).toMatchObject({ code: "401", fix: expect.stringContaining("DISCORD_TOKEN") });
      expect(child.stdout()).not.toContain(wrong);
      // One refusal may be a moment of Discord's own trouble; the second is believed.
      expect(discord.counts).toMatchObject({ dials: 0, rest: { requests: 2, unauthorized: 2 } });
      expect(child.metrics().at(-1)).toMatchObject({ Fatal: 1 });
      expect(last(child)).toBe("bot.stopped");
    });
  }

  for (const code of [4004, 4010, 4011, 4012, 4013, 4014]) {
    // Nothing here waits for time to pass, and at its own rate no dial is late on a busy machine.
    const world = { shards: 2, maxConcurrency: 2, rate: 1 };
    promise(`close code ${code} with ON_FATAL=exit`, world, async ({ bot, discord }) => {
      const child = bot({ ON_FATAL: "exit" });
      await child.event("bot.ready");
      discord.faults.gateway.close(1, code);
      expect(await child.ended).toBe(77);
      const [fatal, ...more] = child.events("fatal");
      expect(fatal).toMatchObject({ code: String(code), fix: expect.stringMatching(/.{20}/) });
      expect(more).toEqual([]);
      expect(await child.event("bot.stopped")).toMatchObject({ exitCode: 77 });
      expect(discord.counts.dials).toBe(2);
    });
  }

  promise(
    "a privileged intent that is off, named with where to switch it on",
    { privilegedIntents: 0, excused: ["identify.disallowed-intents"] },
    async (world) => {
      const { bot, discord } = world;
      const child = bot({ FACE_INTENTS: "513", ON_FATAL: "exit" });
      await child.event("bot.ready");
      const other = bot({ FACE_INTENTS: String(REMOTE_MEMBERS), ON_FATAL: "exit" });
      expect(await other.ended).toBe(77);
      const { fix } = await other.event("fatal", ({ code }) => code === "4014");
      expect(fix).toMatch(/GUILD_MEMBERS.*Privileged Gateway Intents/);
      expect(discord.counts.identifies).toBe(2);
    },
  );
});
