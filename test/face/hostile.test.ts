// What an unkind world does to a start: bans, nonsense from the API, odd addresses, a host that lies about itself.

import { describe, expect } from "vitest";
import { gatewayBot, recordingApi, recordingGateway } from "./fakes.ts";
import { clientCloses, handler, type Line, promise, say } from "./world.ts";

describe.concurrent("an edge ban that is there at the start", () => {
  for (const shape of ["text-1015", "html", "static-json", "forbidden-40333"] as const) {
    promise(`(${shape}) gets one request while it lasts, no exit, and the bot is ready after it`, {}, async (world) => {
      const { bot, discord, clock } = world;
      const lift = discord.faults.rest.banEdge({ shape, retryAfterSeconds: 60 });
      const child = bot();
      const banned = await child.event("edge.banned");
      // From the first hit on it lasts nearly as long as it said.
      clock.schedule(50_000, lift);
      expect(banned).toMatchObject({ via: "rest", retryAfterMs: 60_000 });
      await child.until("a metric line that tells", () => child.metrics().some((line) => line["EdgeBanned"] === 1));
      expect((await child.get("/ready")).status).toBe(503);
      await child.event("edge.cleared");
      expect(discord.counts.edgeHits).toBe(1);
      await child.event("bot.ready");
      expect((await child.get("/live")).status).toBe(200);
      expect((await child.get("/state")).body).toMatchObject({
        edge: { rest: { state: "clear" } },
        metrics: { EdgeBanned: 0 },
      });
    });
  }

  promise(
    "does not keep stored sessions from being resumed",
    { shards: 2, maxConcurrency: 2 },
    async ({ bot, discord, home }) => {
      const first = bot({ LEDGER: `file:${home}` });
      await first.event("bot.ready");
      first.kill("SIGTERM");
      await first.ended;
      const { requests } = discord.counts.rest;
      discord.faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 3_600 });
      const second = bot({ LEDGER: `file:${home}` });
      await second.event("bot.ready");
      expect(discord.counts).toMatchObject({ identifies: 2, resumed: 2, rest: { requests } });
    },
  );
});

describe.concurrent("GET /gateway/bot", () => {
  promise("may fail for a while", {}, async ({ bot, discord }) => {
    discord.faults.rest.serverErrors("GET /gateway/bot", { durationMs: 50_000 });
    const child = bot();
    await child.event("bot.ready");
    expect(discord.counts.identifies).toBe(1);
  });

  promise("may be unreachable for a while", {}, async ({ bot, discord }) => {
    discord.faults.rest.refuseConnections("refuse", { durationMs: 40_000 });
    const child = bot();
    await child.event("bot.ready");
  });

  promise("may be cut in the middle", {}, async ({ bot, discord }) => {
    discord.faults.rest.truncateBody("GET /gateway/bot", "half JSON", { count: 2 });
    await bot().event("bot.ready");
  });

  promise("is asked once at a start", { shards: 2, maxConcurrency: 2 }, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    expect(discord.requests.map(({ route }) => route)).toEqual(["GET /gateway/bot"]);
  });

  const garbage: Readonly<Record<string, unknown>> = {
    "an empty object": {},
    null: null,
    "a list": [],
    "negative shards": { ...gatewayBot("wss://gateway.discord.gg"), shards: -1 },
    "no limits": { url: "wss://gateway.discord.gg", shards: 1 },
    "a plain url off loopback": gatewayBot("ws://gateway.example"),
    "a url that is none": gatewayBot("not a url"),
  };
  promise("may answer nonsense; nothing is dialled until it makes sense", {}, async ({ bot, discord }) => {
    const answers = Object.values(garbage);
    const dialled: number[] = [];
    const api = await recordingApi((before) => {
      dialled.push(discord.counts.dials);
      return { body: before < answers.length ? answers[before] : gatewayBot(`${discord.gatewayUrl}/`) };
    });
    try {
      const child = bot({ DISCORD_API_URL: api.url, DISCORD_GATEWAY_URL: undefined });
      await child.event("bot.ready");
      expect(api.seen.length).toBeGreaterThan(answers.length);
      expect(dialled.slice(0, answers.length + 1)).toEqual(Array(answers.length + 1).fill(0));
    } finally {
      api.stop();
    }
  });

  promise(
    "lends its limits alone where DISCORD_GATEWAY_URL is set",
    { shards: 2, maxConcurrency: 2, rate: 1 },
    async ({ bot, discord }) => {
      const api = await recordingApi(() => ({ body: gatewayBot("not a url", 2) }));
      try {
        const child = bot({ DISCORD_API_URL: `${api.url}/` });
        expect(await child.event("bot.ready")).toMatchObject({ shards: 2 });
        expect(discord.counts.dials).toBe(2);
      } finally {
        api.stop();
      }
    },
  );
});

describe.concurrent("addresses", () => {
  promise(
    "on loopback `url` may be ws:// without DISCORD_GATEWAY_URL, and RESUME finds its host",
    {},
    async ({ bot, discord }) => {
      const child = bot({ DISCORD_GATEWAY_URL: undefined });
      await child.event("bot.ready");
      discord.faults.gateway.reset("all");
      await child.event("session.resumed");
      expect(discord.counts.identifies).toBe(1);
    },
  );

  promise("a gateway URL keeps its path and its own parameters, not its fragment", {}, async ({ bot }) => {
    const gateway = await recordingGateway();
    try {
      const child = bot({
        DISCORD_GATEWAY_URL: `${gateway.url}/some/where/?v=6&compress=zlib-stream&mine=1#there`,
        GATEWAY_COMPRESSION: "none",
      });
      await child.event("bot.ready");
      const dialled = new URL(gateway.seen[0]?.url ?? "", gateway.url);
      expect(dialled.pathname).toBe("/some/where/");
      expect(Object.fromEntries(dialled.searchParams)).toEqual({ v: "10", encoding: "json", mine: "1" });
    } finally {
      gateway.stop();
    }
  });

  promise(
    "resume_gateway_url may be ws:// where DISCORD_GATEWAY_URL is set, and is dialled",
    {},
    async ({ bot, clock }) => {
      const resume = await recordingGateway();
      const gateway = await recordingGateway(`${resume.url}/`);
      try {
        const child = bot({ DISCORD_GATEWAY_URL: gateway.url, GATEWAY_COMPRESSION: "none" });
        await child.event("bot.ready");
        gateway.stop();
        await child.event("shard.state", ({ from }) => from === "ready");
        await child.event("shard.state", ({ to }) => to === "resuming");
        expect(resume.seen[0]?.url).toBe("/?v=10&encoding=json");
        expect(clock.now()).toBeGreaterThan(0);
      } finally {
        gateway.stop();
        resume.stop();
      }
    },
  );
});

describe.concurrent("many shards", () => {
  promise(
    "16 with max_concurrency 16 identify together",
    { shards: 16, maxConcurrency: 16 },
    async ({ bot, discord }) => {
      const child = bot();
      expect(await child.event("bot.ready")).toMatchObject({ shards: 16 });
      const spent = child.events("identify.spent").map(({ time }) => Date.parse(String(time)));
      expect(Math.max(...spent) - Math.min(...spent)).toBeLessThan(60_000);
      expect(discord.counts.identifies).toBe(16);
      child.kill("SIGTERM");
      expect(await child.ended).toBe(0);
      expect(clientCloses(discord)).toEqual({ 1000: 16 });
    },
  );
});

describe.concurrent("trouble while it runs", () => {
  promise("a closed stdout ends nothing", {}, async ({ bot, discord }) => {
    const child = bot({ METRICS_INTERVAL_MS: "1000" });
    await child.event("bot.ready");
    child.closeStdout();
    for (let count = 0; count < 5; count++) await handler(child, "handled", say(discord, "throw nothing"));
    discord.faults.gateway.reset("all");
    await discord.waitFor(() => discord.counts.resumed === 1);
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
  });

  promise(
    "a stopped and continued process resumes and tells of the stall",
    { excused: ["heartbeat.late"] },
    async (world) => {
      const { bot, discord, clock } = world;
      const child = bot();
      await child.event("bot.ready");
      child.kill("SIGSTOP");
      await clock.sleep(20_000);
      child.kill("SIGCONT");
      const stalled = await child.event("process.stalled");
      expect(stalled["gapMs"]).toBeGreaterThan(2_000);
      await handler(child, "handled", say(discord, "after"));
      await child.until("all quiet", () => child.metrics().length > 1);
      // One observer, one line a stall.
      const times = child.events("process.stalled").map((line: Line) => line["time"]);
      expect(new Set(times).size).toBe(times.length);
      expect(discord.counts.identifies).toBe(1);
    },
  );
});
