// Every variable of the outer face but BOT_MODULE, set on a real process: its value is honoured, or refused by name.

import { createServer } from "node:net";
import { describe, expect } from "vitest";
import { recordingApi } from "./fakes.ts";
import { handler, type Line, promise, REMOTE, say, timesHandled, type World } from "./world.ts";

describe.concurrent("LOG_LEVEL", () => {
  promise("warn keeps info lines and debug lines back", {}, async ({ bot, discord }) => {
    const child = bot({ LOG_LEVEL: "warn" });
    await discord.waitFor("ready");
    await child.until("start", () => child.told.find(({ kind }) => kind === "start"));
    await child.call("log", "info", "quiet");
    await child.call("log", "warn", "loud");
    await child.until("the loud line", () => child.lines.some(({ msg }) => msg === "loud"));
    expect(child.lines.filter(({ level }) => level === "info" || level === "debug")).toEqual([]);
  });

  promise("silent leaves metric lines alone", {}, async ({ bot, discord }) => {
    const child = bot({ LOG_LEVEL: "silent", METRICS_INTERVAL_MS: "1000" });
    await discord.waitFor("ready");
    await child.until("metric lines", () => child.metrics().length > 1);
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(child.lines).toEqual(child.metrics());
  });

  promise("debug shows what a module says at that level", {}, async ({ bot }) => {
    const child = bot({ LOG_LEVEL: "debug" });
    await child.event("bot.ready");
    await child.call("log", "debug", "fine", { depth: 1 });
    await child.until("the line", () => child.lines.some(({ msg, depth }) => msg === "fine" && depth === 1));
  });
});

describe.concurrent("METRICS_INTERVAL_MS and STACK", () => {
  promise("space the lines and name the dimension", {}, async ({ bot }) => {
    const child = bot({ METRICS_INTERVAL_MS: "2000", STACK: "mooring-face" });
    const started = await child.event("bot.started");
    await child.until("five metric lines", () => child.metrics().length >= 5);
    child.metrics().forEach((line, index) => {
      const { Timestamp } = line["_aws"] as { Timestamp: number };
      expect(Timestamp - Date.parse(String(started["time"]))).toBeGreaterThanOrEqual((index + 1) * 2_000 - 500);
      expect(line).toMatchObject({ Stack: "mooring-face", Heartbeat: 1 });
    });
  });

  promise("are flushed at exit, however long the interval", {}, async ({ bot }) => {
    const child = bot({ METRICS_INTERVAL_MS: "60000" });
    await child.event("bot.ready");
    child.kill("SIGTERM");
    expect(await child.ended).toBe(0);
    expect(child.lines.at(-2)).toMatchObject({ Heartbeat: 1, Identifies: 1, DeployRunning: 1 });
    expect(child.lines.at(-1)).toMatchObject({ event: "bot.stopped", exitCode: 0 });
  });
});

describe.concurrent("STATUS_PORT", () => {
  promise("is the port; a second bot on it ends with 78", {}, async ({ bot }) => {
    const port = await freePort();
    const first = bot({ STATUS_PORT: String(port) });
    expect(await first.event("bot.started")).toMatchObject({ statusPort: port, pid: first.pid });
    expect((await first.get("/live")).status).toBeTypeOf("number");
    const second = bot({ STATUS_PORT: String(port) });
    expect(await second.ended).toBe(78);
    const { problems } = await second.event("configuration.invalid");
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^STATUS_PORT ${port} on 127.0.0.1 is taken; `))]);
    expect(String(problems).match(/STATUS_PORT \d/g)).toHaveLength(1);
    expect(second.lines).toHaveLength(1);
  });
});

describe.concurrent("SHARD_COUNT and SHARD_IDS", () => {
  promise("auto takes what Discord recommends", { shards: 3, maxConcurrency: 16 }, async ({ bot, discord }) => {
    const child = bot();
    expect(await child.event("bot.ready")).toMatchObject({ shards: 3 });
    const shards = discord.sessions().map(({ shard, shardCount }) => `${shard}/${shardCount}`);
    expect(shards.sort()).toEqual(["0/3", "1/3", "2/3"]);
    expect(discord.requests.map(({ route }) => route)).toEqual(["GET /gateway/bot"]);
  });

  promise("pick their shards of a count of one's own", { shards: 2, maxConcurrency: 16 }, async ({ bot, discord }) => {
    const child = bot({ SHARD_COUNT: "5", SHARD_IDS: "0-1,4" });
    expect(await child.event("bot.ready")).toMatchObject({ shards: 3 });
    const shards = discord.sessions().map(({ shard, shardCount }) => `${shard}/${shardCount}`);
    expect(shards.sort()).toEqual(["0/5", "1/5", "4/5"]);
    const { body } = await child.get("/state");
    expect(body).toMatchObject({ shardCount: 5, readyShare: 1, metrics: { ReshardAdvised: 1 } });
    expect(discord.requests.map(({ route }) => route)).toEqual(["GET /gateway/bot"]);
  });
});

describe.concurrent("SHARD_IDS beyond what auto finds", () => {
  const problems = [
    "SHARD_IDS has 2, 3 while SHARD_COUNT=auto finds 2 shards, 0 to 1: choose among these, or set SHARD_COUNT",
  ];

  promise("end with 78 before the module starts", { shards: 2 }, async ({ bot, discord }) => {
    const child = bot({ SHARD_IDS: "2-3" });
    expect(await child.ended).toBe(78);
    expect((await child.event("configuration.invalid"))["problems"]).toEqual(problems);
    expect(child.told).toEqual([]);
    expect(discord.counts.dials).toBe(0);
  });

  promise("end with 78 as soon as the count is known", { shards: 2 }, async ({ bot, discord }) => {
    discord.faults.rest.serverErrors("GET /gateway/bot", { status: 500, count: 1_000 });
    const child = bot({ SHARD_IDS: "2-3" });
    await child.until("the module's start", () => child.told.length > 0);
    discord.faults.rest.clear();
    expect(await child.ended).toBe(78);
    expect((await child.event("configuration.invalid"))["problems"]).toEqual(problems);
    expect(discord.counts.dials).toBe(0);
  });
});

describe.concurrent("GATEWAY_COMPRESSION", () => {
  for (const compression of ["zstd-stream", "zlib-stream", "none"]) {
    promise(`${compression} carries events`, {}, async ({ bot, discord }) => {
      const child = bot({ GATEWAY_COMPRESSION: compression });
      await child.event("bot.ready");
      const id = say(discord, "x".repeat(1_900));
      await handler(child, "handled", id);
    });
  }
});

describe.concurrent("IDENTIFY_RESERVE and IDENTIFY_OVERRIDE", () => {
  const four = { shards: 4, maxConcurrency: 4 };
  /** Two of 1,000 are left until 20 s after the first answer, whenever a busy machine comes to ask for it. */
  const twoLeft = ({ discord }: World) =>
    recordingApi((before) => {
      const limit = { total: 1_000, reset_after: 20_000, max_concurrency: 4 };
      const session_start_limit = { ...limit, remaining: before === 0 ? 2 : 1_000 };
      return { body: { url: discord.gatewayUrl, shards: 4, session_start_limit } };
    });

  promise(
    "by default nothing identifies below a tenth of the total; it goes on after the reset",
    four,
    async (world) => {
      const { bot, discord } = world;
      const api = await twoLeft(world);
      try {
        const child = bot({ DISCORD_API_URL: api.url });
        const waiting = await child.event("identify.waiting");
        expect(waiting).toMatchObject({ left: 2, reserve: 100 });
        expect(waiting["fix"]).toMatch(/IDENTIFY_RESERVE.*IDENTIFY_OVERRIDE=on/);
        const ready = await child.event("bot.ready");
        expect(Date.parse(String(ready["time"]))).toBeGreaterThanOrEqual(Date.parse(String(waiting["until"])) - 200);
        const spent = child.events("identify.spent").map(({ time }) => Date.parse(String(time)));
        expect(Math.min(...spent)).toBeGreaterThanOrEqual(Date.parse(String(waiting["until"])) - 200);
        expect(discord.counts.identifies).toBe(4);
        expect((await child.get("/state")).body).toMatchObject({
          identify: { waitingUntil: null },
          metrics: { WaitingForBudget: 0 },
        });
        expect(api.seen).toHaveLength(2);
      } finally {
        api.stop();
      }
    },
  );

  promise(
    "the wait shows in /state, and neither /live nor a person is alarmed by it",
    { ...four, identifyRemaining: 2 },
    async (world) => {
      const { bot, discord } = world;
      const child = bot({ METRICS_INTERVAL_MS: "1000" });
      const waiting = await child.event("identify.waiting");
      const { body } = await child.get("/state");
      const identify = body["identify"] as Line;
      expect(identify).toMatchObject({ left: 2, total: 1_000, reserve: 100 });
      // Told from two clocks that a fast rate sets some ms apart.
      const apart = Date.parse(String(identify["waitingUntil"])) - Date.parse(String(waiting["until"]));
      expect(Math.abs(apart)).toBeLessThan(200);
      expect(body).toMatchObject({ metrics: { WaitingForBudget: 1, Fatal: 0 }, readyShare: 0 });
      expect(body["shards"]).toMatchObject(Array(4).fill({ state: "waitingForBudget" }));
      expect((await child.get("/live")).status).toBe(200);
      expect((await child.get("/ready")).status).toBe(503);
      const seen = child.metrics().length;
      await child.until("more metric lines", () => child.metrics().length > seen + 10);
      expect(discord.counts).toMatchObject({ identifies: 0, dials: 0, rest: { requests: 1 } });
      expect(child.events("identify.waiting")).toHaveLength(1);
    },
  );

  for (const [name, value] of [
    ["IDENTIFY_RESERVE", "0"],
    ["IDENTIFY_OVERRIDE", "on"],
  ] as const) {
    promise(`${name}=${value}: two start, two wait, and go on after the reset`, four, async (world) => {
      const { bot, discord } = world;
      const api = await twoLeft(world);
      try {
        const child = bot({ DISCORD_API_URL: api.url, [name]: value });
        const { until } = await child.event("identify.waiting");
        await child.event("bot.ready");
        const spent = child.events("identify.spent").map(({ time }) => Date.parse(String(time)));
        const before = spent.filter((time) => time < Date.parse(String(until)) - 200);
        expect([before.length, spent.length]).toEqual([2, 4]);
        expect(discord.counts.identifies).toBe(4);
      } finally {
        api.stop();
      }
    });
  }
});

describe.concurrent("DRAIN_MS", () => {
  promise("bounds what a running handler gets after SIGTERM", {}, async ({ bot, discord }) => {
    const child = bot({ DRAIN_MS: "3000" });
    await child.event("bot.ready");
    const id = say(discord, "hold");
    await handler(child, "handling", id);
    child.kill("SIGTERM");
    await child.event("bot.draining");
    await handler(child, "aborted", id);
    expect(await child.ended).toBe(0);
    expect((await child.event("bot.stopped"))["tookMs"]).toBeGreaterThanOrEqual(3_000);
  });

  promise("ends as soon as the handlers are done, whose requests still go out", {}, async ({ bot, discord }) => {
    const child = bot({ DRAIN_MS: "115000" });
    await child.event("bot.ready");
    const id = say(discord, "hold");
    await handler(child, "handling", id);
    child.kill("SIGTERM");
    await discord.waitFor("gone");
    await expect(child.call("rest.request", { method: "GET", path: "/users/@me" })).resolves.toMatchObject({
      bot: true,
    });
    await child.call("release", id);
    expect(await child.ended).toBe(0);
    expect(timesHandled([child], id)).toBe(1);
    expect((await child.event("bot.stopped"))["tookMs"]).toBeLessThan(115_000);
  });
});

describe.concurrent("EGRESS_ADDRESSES", () => {
  promise("are named when the edge bans them", {}, async ({ bot, discord }) => {
    discord.faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 3_600 });
    const child = bot({ EGRESS_ADDRESSES: "203.0.113.7,203.0.113.8" });
    expect(await child.event("edge.banned")).toMatchObject({ via: "rest", address: "203.0.113.7, 203.0.113.8" });
    expect((await child.get("/state")).body["edge"]).toMatchObject({ address: "203.0.113.7, 203.0.113.8" });
  });
});

describe.concurrent("what is refused", () => {
  const refused: readonly (readonly [string, Readonly<Record<string, string | undefined>>, RegExp])[] = [
    ["no token", { DISCORD_TOKEN: undefined }, /^DISCORD_TOKEN is not set/],
    ["a token with REST's prefix", { DISCORD_TOKEN: "Bot abcdefghijkl" }, /^DISCORD_TOKEN starts with "Bot "/],
    [
      "plain http off loopback",
      { DISCORD_API_URL: "http://example.com/api", CLOCK_RATE: undefined },
      /^DISCORD_API_URL/,
    ],
    ["an unknown compression", { GATEWAY_COMPRESSION: "gzip" }, /^GATEWAY_COMPRESSION is "gzip"/],
    ["a shard beyond the count", { SHARD_COUNT: "2", SHARD_IDS: "0-2" }, /^SHARD_IDS has 2 while SHARD_COUNT is 2/],
    [
      "a DynamoDB ledger of no region",
      { LEDGER: "dynamodb:sessions" },
      /^LEDGER the table sessions is unreadable \(RegionMissing\); set AWS_REGION/,
    ],
    [
      "a fast clock off loopback",
      { DISCORD_API_URL: "https://example.com/api/v10", CLOCK_RATE: "2" },
      /^CLOCK_RATE is 2 while DISCORD_API_URL is https:\/\/example.com/,
    ],
    [
      "a module that is not there",
      { BOT_MODULE: "./nowhere.ts" },
      /^BOT_MODULE is ".\/nowhere.ts"; there is no such file/,
    ],
    ["a ledger that cannot be", { LEDGER: `file:${REMOTE}` }, /^LEDGER .* name a directory/],
  ];
  for (const [what, environment, problem] of refused) {
    promise(`${what}: exit 78 and one line with the name and the fix`, {}, async ({ bot, discord }) => {
      const child = bot(environment);
      expect(await child.ended).toBe(78);
      expect(child.events("configuration.invalid")).toMatchObject([{ problems: [expect.stringMatching(problem)] }]);
      expect(discord.counts).toMatchObject({ dials: 0, rest: { requests: 0 } });
    });
  }

  promise("every problem stands in one line", {}, async ({ bot }) => {
    const child = bot({
      DISCORD_TOKEN: "",
      SHARD_COUNT: "many",
      LEDGER: "s3:x",
      ON_FATAL: "maybe",
      DRAIN_MS: "-1",
      BOT_MODULE: "nowhere.ts",
      LOG_LEVEL: "silent",
    });
    expect(await child.ended).toBe(78);
    expect(child.lines).toHaveLength(1);
    const { problems } = await child.event("configuration.invalid");
    const names = (problems as string[]).map((problem) => problem.split(" ", 1)[0]);
    expect(names).toEqual(
      ["DISCORD_TOKEN", "SHARD_COUNT", "LEDGER", "ON_FATAL", "DRAIN_MS", "LOG_LEVEL", "BOT_MODULE"].filter(
        (name) => name !== "LOG_LEVEL",
      ),
    );
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
