// The status port as a supervisor sees it: /live, /ready and /state, before, during and after trouble.

import { describe, expect } from "vitest";
import { metricNames } from "../../shared/metrics.ts";
import { handler, type Line, promise, say } from "./world.ts";

describe.concurrent("/live", () => {
  promise("is 503 while preflight waits for an answer", { rate: 1 }, async ({ bot, discord }) => {
    discord.faults.rest.hang("GET /gateway/bot", { durationMs: 600_000 });
    const child = bot();
    await discord.waitFor(() => discord.requests.length > 0);
    expect(await child.get("/live")).toEqual({ status: 503, body: { live: false } });
    expect(await child.get("/ready")).toEqual({ status: 503, body: { ready: false } });
    expect((await child.get("/state")).body).toMatchObject({
      phase: "preflight",
      shards: [],
      shardCount: null,
      readyShare: 0,
    });
  });

  promise("is 200 once the answer stays unclear, long before the bot is ready", {}, async ({ bot, discord }) => {
    discord.faults.rest.hang("GET /gateway/bot", { durationMs: 100_000 });
    const child = bot();
    await child.until("the module's start", () => child.told.some(({ kind }) => kind === "start"));
    expect(await child.get("/live")).toEqual({ status: 200, body: { live: true } });
    await child.event("bot.ready");
    expect(await child.get("/ready")).toEqual({ status: 200, body: { ready: true } });
  });

  promise(
    "stays 200 in an outage, while /ready is 503; both are 200 after it",
    { shards: 2, maxConcurrency: 2 },
    async (world) => {
      const { bot, discord } = world;
      const child = bot();
      await child.event("bot.ready");
      discord.faults.gateway.outage({ how: "reset" });
      await child.until(
        "both shards lost",
        () => child.events("shard.state").filter(({ from }) => from === "ready").length === 2,
      );
      expect((await child.get("/live")).status).toBe(200);
      expect((await child.get("/ready")).status).toBe(503);
      await discord.faults.gateway.endOutage();
      await child.until("both resumed", () => child.events("session.resumed").length === 2);
      expect((await child.get("/live")).status).toBe(200);
      expect((await child.get("/ready")).status).toBe(200);
      expect(discord.counts.identifies).toBe(2);
      expect(child.events("bot.ready")).toHaveLength(1);
    },
  );
});

describe.concurrent("/ready", () => {
  promise("needs nine in ten shards", { shards: 10, maxConcurrency: 16 }, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    discord.faults.gateway.refuseDials("both", "refuse");
    discord.faults.gateway.reset(0);
    await child.event("shard.state", ({ from }) => from === "ready");
    expect((await child.get("/ready")).status).toBe(200);
    expect((await child.get("/state")).body).toMatchObject({ readyShare: 0.9, metrics: { ShardsNotReady: 1 } });
    discord.faults.gateway.reset(1);
    await child.event("shard.state", ({ from, shard }) => from === "ready" && shard === 1);
    expect((await child.get("/ready")).status).toBe(503);
  });
});

describe.concurrent("/state", () => {
  promise("tells all that the outer face lists", { shards: 2, maxConcurrency: 2 }, async ({ bot, discord, clock }) => {
    const child = bot();
    await child.event("bot.ready");
    await handler(child, "handled", say(discord, "one"));
    const held = say(discord, "hold", 1);
    await handler(child, "handling", held);
    discord.faults.gateway.close(0, 4000);
    await child.event("session.resumed");
    await discord.waitFor(() => discord.counts.heartbeats > 3);

    const { status, body } = await child.get("/state");
    expect(status).toBe(200);
    const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(body).toEqual({
      phase: "running",
      at: iso,
      shardCount: 2,
      readyShare: 1,
      shards: [
        {
          shard: 0,
          shardCount: 2,
          state: "ready",
          received: 4,
          finished: 4,
          lastClose: { code: 4000, by: "discord", at: iso },
          ackMs: expect.any(Number),
          since: iso,
          deadline: iso,
        },
        {
          shard: 1,
          shardCount: 2,
          state: "ready",
          received: 3,
          finished: 2,
          lastClose: null,
          ackMs: expect.any(Number),
          since: iso,
          deadline: iso,
        },
      ],
      identify: { left: 998, total: 1_000, resetAt: iso, reserve: 100, waitingUntil: null },
      edge: {
        address: null,
        rest: { state: "clear", since: null, until: null, routes: [] },
        gateway: { state: "clear", since: null, until: null },
      },
      invalid: { count: 0, limit: 10_000, level: "ok" },
      requests: {
        queued: 0,
        inFlight: 0,
        unauthorized: false,
        perSecond: 50,
        latencyMs: { p50: expect.any(Number), p99: expect.any(Number) },
        refusals: 0,
      },
      fatal: null,
      metrics: expect.any(Object),
    });
    const metrics = body["metrics"] as Record<string, number>;
    expect(Object.keys(metrics)).toEqual(metricNames());
    expect(metrics).toMatchObject({
      Identifies: 2,
      ResumesTried: 1,
      ResumesSucceeded: 1,
      Dials: 3,
      HandlersRunning: 1,
    });
    expect(metrics["Events"]).toBe(7);
    const resetAt = Date.parse(String((body["identify"] as Line)["resetAt"]));
    expect(Math.abs(resetAt - clock.wall() - 86_400_000)).toBeLessThan(600_000);
    await child.call("release", held);
    await handler(child, "handled", held);
  });

  promise("totals count on, over metric lines that begin anew", {}, async ({ bot, discord }) => {
    const child = bot({ METRICS_INTERVAL_MS: "2000" });
    await child.event("bot.ready");
    for (let count = 0; count < 3; count++) {
      await handler(child, "handled", say(discord, `m${count}`));
      const seen = child.metrics().length;
      await child.until("another metric line", () => child.metrics().length > seen);
    }
    const { metrics } = (await child.get("/state")).body as { metrics: Record<string, number> };
    expect(metrics["Events"]).toBe(5);
    await child.until("the line with the last event", () => {
      return child.metrics().reduce((sum, line) => sum + Number(line["Events"]), 0) === 5;
    });
    expect(metrics["Heartbeat"]).toBeGreaterThanOrEqual(3);
  });

  promise(
    "shows both edges while they ban, with events, flushed metrics and their end",
    {},
    async ({ bot, discord }) => {
      const child = bot({ EGRESS_ADDRESSES: "203.0.113.7", METRICS_INTERVAL_MS: "60000" });
      await child.event("bot.ready");
      const lift = discord.faults.rest.banEdge({ shape: "static-json", retryAfterSeconds: 30 });
      await expect(
        child.call("rest.request", { method: "GET", path: "/users/@me", deadlineMs: 25_000 }),
      ).rejects.toMatchObject({ kind: "edgeBanned" });
      const banned = await child.event("edge.banned");
      expect(banned).toMatchObject({
        via: "rest",
        status: 429,
        address: "203.0.113.7",
        retryAfterMs: 30_000,
        route: null,
      });
      await child.until("a flushed line", () => child.metrics().some((line) => line["EdgeBanned"] === 1));
      expect((await child.get("/state")).body["edge"]).toMatchObject({
        address: "203.0.113.7",
        rest: { state: "banned", since: expect.any(String), until: expect.any(String) },
        gateway: { state: "clear" },
      });
      expect((await child.get("/ready")).status).toBe(200);
      lift();
      await child.event("edge.cleared", ({ via }) => via === "rest");

      const liftGateway = discord.faults.gateway.refuseUpgrades({ status: 429, retryAfterSeconds: 20 });
      discord.faults.gateway.reset("all");
      const refused = await child.event("edge.banned", ({ via }) => via === "gateway");
      expect(refused).toMatchObject({ status: 429, retryAfterMs: 20_000 });
      expect((await child.get("/state")).body).toMatchObject({
        edge: { gateway: { state: "banned" } },
        metrics: { EdgeBanned: 1 },
      });
      expect((await child.get("/live")).status).toBe(200);
      liftGateway();
      await child.event("edge.cleared", ({ via }) => via === "gateway");
      await child.event("session.resumed");
      expect((await child.get("/state")).body).toMatchObject({
        edge: { gateway: { state: "clear" } },
        metrics: { EdgeBanned: 0 },
      });
      expect(discord.counts.identifies).toBe(1);
    },
  );

  promise("counts invalid requests and shows API limits as events", {}, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    discord.faults.rest.limitNext("GET /users/@me", 1, { scope: "user", retryAfterSeconds: 2 });
    await child.call("rest.request", { method: "GET", path: "/users/@me" });
    const limited = await child.event("rest.limited");
    expect(limited).toMatchObject({ scope: "user", route: "GET /users/@me" });
    expect(limited["retryAfterMs"]).toBeGreaterThanOrEqual(2_000);
    expect((await child.get("/state")).body).toMatchObject({ invalid: { count: 1 }, metrics: { InvalidRequests: 1 } });
  });
});

describe.concurrent("the port", () => {
  promise("knows three routes and one method", {}, async ({ bot }) => {
    const child = bot();
    const { statusPort } = await child.event("bot.started");
    const ask = (route: string, init?: RequestInit) => fetch(`http://127.0.0.1:${statusPort}${route}`, init);
    expect((await ask("/")).status).toBe(404);
    expect((await ask("/live?verbose=1")).headers.get("content-type")).toMatch("application/json");
    expect((await ask("/state", { method: "POST" })).status).toBe(405);
  });
});
