// Each REST fault does what it says over real sockets, and none is held against a client that behaves.

import { describe, expect, it } from "vitest";
import { call, clock, discord, post, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

describe("REST faults", () => {
  const CREATE = "POST /channels/{channel_id}/messages";

  it.each([
    { shape: "text-1015", status: 429, body: "error code: 1015" },
    { shape: "html", status: 429, body: expect.stringContaining("<html>") },
    { shape: "static-json", status: 429, body: { code: 0, message: expect.stringContaining("blocked") } },
    { shape: "forbidden-40333", status: 403, body: { code: 40333, message: "internal network error" } },
  ] as const)("an edge ban of shape $shape", async ({ shape, status, body }) => {
    await start();
    const lift = discord.faults.rest.banEdge({ shape });
    const banned = await call("GET", "/gateway");
    expect(banned).toMatchObject({ status, body });
    for (const header of ["via", "retry-after", "x-ratelimit-limit"]) expect(banned.headers[header]).toBeUndefined();
    lift();
    expect((await call("GET", "/gateway")).headers["via"]).toBe("1.1 google");
    expect(discord.counts).toMatchObject({ edgeHits: 1 });
    expect(rules()).toEqual([]);
  });

  it("an edge ban counts hits before its time, on every route", async () => {
    await start();
    discord.faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 300, durationMs: 300_000 });
    expect((await call("GET", "/gateway")).headers["retry-after"]).toBe("300");
    await clock.advance(100_000);
    expect((await post()).headers["retry-after"]).toBe("200");
    expect(rules()).toEqual(["rest.edge"]);
    await clock.advance(200_000);
    expect((await post()).status).toBe(200);
    expect(rules()).toEqual(["rest.edge"]);
    expect(discord.counts.edgeHits).toBe(2);
  });

  it("an edge ban that is long bears one GET /gateway a minute", async () => {
    await start();
    discord.faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: 3_600 });
    await post();
    for (let minute = 0; minute < 3; minute++) {
      await clock.advance(60_000);
      await call("GET", "/gateway");
    }
    expect(rules()).toEqual([]);
    await clock.advance(59_000);
    await call("GET", "/gateway");
    expect(rules()).toEqual(["rest.edge"]);
  });

  it("an edge ban of one route leaves the others", async () => {
    await start();
    discord.faults.rest.banEdge({ shape: "html", route: CREATE });
    expect((await post()).status).toBe(429);
    expect((await call("GET", "/users/@me")).status).toBe(200);
  });

  it("5xx answers come for a count or a time, as JSON or HTML", async () => {
    await start();
    discord.faults.rest.serverErrors(CREATE, { count: 2, status: 502, html: true });
    expect(await post()).toMatchObject({ status: 502, body: expect.stringContaining("<html>") });
    expect((await post()).status).toBe(502);
    expect((await post()).status).toBe(200);
    discord.faults.rest.serverErrors("any", { durationMs: 1_000, status: 503 });
    expect((await post()).body).toMatchObject({ code: 0 });
    await clock.advance(1_000);
    expect((await post()).status).toBe(200);
    expect(discord.counts.rest).toMatchObject({ messagesCreated: 2, serverErrors: 3 });
  });

  it.each([true, false])("a reset whose request took effect: %s", async (applied) => {
    await start();
    discord.faults.rest.reset(CREATE, { applied });
    await expect(post()).rejects.toThrow();
    expect(discord.counts.rest.messagesCreated).toBe(applied ? 1 : 0);
    expect(discord.requests.at(-1)).toMatchObject({ status: 0, by: "fault" });
  });

  it("a slow body comes when its time has come", async () => {
    await start();
    discord.faults.rest.slowBody("GET /gateway", 5_000);
    let done = false;
    const answer = call("GET", "/gateway").then((given) => {
      done = true;
      return given;
    });
    await discord.waitFor(() => discord.requests.length === 1);
    await clock.advance(4_999);
    expect(done).toBe(false);
    await clock.advance(1);
    expect((await answer).body).toEqual({ url: discord.gatewayUrl });
  });

  it("a truncated body is cut, or half a document", async () => {
    await start();
    discord.faults.rest.truncateBody("GET /gateway", "cut");
    await expect(call("GET", "/gateway")).rejects.toThrow();
    discord.faults.rest.truncateBody("GET /gateway", "half JSON");
    await expect(call("GET", "/gateway")).rejects.toThrow(SyntaxError);
    expect((await call("GET", "/gateway")).status).toBe(200);
  });

  it("a bucket's hash flips once, with each request, or on its 429s", async () => {
    await start();
    const hash = async () => (await post()).headers["x-ratelimit-bucket"];
    const before = await hash();
    discord.faults.rest.flipHash("create message");
    const after = await hash();
    expect(after).not.toBe(before);
    expect(await hash()).toBe(after);
    discord.faults.rest.flipHash("create message", "each request");
    expect(await hash()).not.toBe(await hash());
    discord.faults.rest.flipHash("create message", "on 429");
    expect(await hash()).not.toBe(after);
  });

  it("the clock of X-RateLimit-Reset is off, Reset-After is not", async () => {
    await start();
    discord.faults.rest.skewClock(40);
    const { headers } = await post();
    expect(headers["x-ratelimit-reset-after"]).toBe("1.000");
    expect(Number(headers["x-ratelimit-reset"])).toBeCloseTo(clock.wall() / 1_000 + 41, 3);
  });

  it("a limit changes unannounced, and a hidden one comes and goes", async () => {
    await start();
    discord.faults.rest.changeLimit("create message", { limit: 1 });
    expect((await post()).headers["x-ratelimit-limit"]).toBe("1");
    expect((await post()).status).toBe(429);
    const remove = discord.faults.rest.hiddenLimit("GET /users/@me", 1, 60_000);
    await call("GET", "/users/@me");
    const limited = await call("GET", "/users/@me");
    expect(limited).toMatchObject({ status: 429, headers: { "retry-after": "60", "x-ratelimit-scope": "user" } });
    remove();
    await clock.advance(60_000);
    expect((await call("GET", "/users/@me")).status).toBe(200);
    expect(rules()).toEqual([]);
  });

  it("a 429 without a body, and one of scope shared, which is no invalid request", async () => {
    await start();
    discord.faults.rest.limitNext(CREATE, 1, {
      scope: "shared",
      retryAfterSeconds: 45,
      code: 20028,
      bodySeconds: 44.5,
    });
    const shared = await post();
    expect(shared.headers).toMatchObject({ "x-ratelimit-scope": "shared", "retry-after": "45" });
    expect(shared.body).toMatchObject({ code: 20028, retry_after: 44.5 });
    expect(discord.counts.rest.invalid).toBe(0);
    await clock.advance(45_000);
    discord.faults.rest.limitNext(CREATE, 1, {
      scope: "user",
      retryAfterSeconds: 1,
      headerSeconds: null,
      bodyless: true,
    });
    const bare = await post();
    expect(bare).toMatchObject({ status: 429, body: "" });
    expect(bare.headers["retry-after"]).toBeUndefined();
  });

  it("connections are refused and taken again on the same port", async () => {
    await start();
    await call("GET", "/gateway");
    discord.faults.rest.refuseConnections("refuse", { durationMs: 10_000 });
    await expect(call("GET", "/gateway")).rejects.toThrow();
    await clock.advance(10_000);
    expect((await call("GET", "/gateway")).status).toBe(200);
  });
});
