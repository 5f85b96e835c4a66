// REST limits over real sockets: buckets and their headers, hidden and global limits, waits and refusals.

import { describe, expect, it } from "vitest";
import { TOKEN } from "./client.ts";
import { call, channelId, clock, discord, post, rules, simulatePerTest, start, times } from "./fixture.ts";

simulatePerTest();

describe("a bucket", () => {
  it("leaks: Reset-After is until full, Retry-After until the next slot", async () => {
    await start();
    const first = await post();
    expect(first.headers).toMatchObject({
      via: "1.1 google",
      "x-ratelimit-limit": "5",
      "x-ratelimit-remaining": "4",
      "x-ratelimit-reset-after": "1.000",
      "x-ratelimit-reset": ((clock.wall() + 1_000) / 1_000).toFixed(3),
    });
    expect(await times(4, post)).toEqual([200, 200, 200, 200]);
    await clock.advance(300);
    const limited = await post();
    expect(limited.status).toBe(429);
    expect(limited.headers).toMatchObject({
      "retry-after": "1",
      "x-ratelimit-scope": "user",
      "x-ratelimit-remaining": "0",
    });
    expect(limited.headers["x-ratelimit-reset-after"]).toBe("4.700");
    expect(limited.body).toEqual({ message: "You are being rate limited.", retry_after: 0.7, global: false });
    await clock.advance(1_000);
    expect((await post()).status).toBe(200);
    expect(rules()).toEqual([]);
  });

  it("with a fixed window gives all slots back at once", async () => {
    await start();
    discord.faults.rest.fixedWindows(true);
    expect(await times(5, post)).toEqual([200, 200, 200, 200, 200]);
    await clock.advance(4_999);
    const limited = await post();
    expect(limited.body).toMatchObject({ retry_after: 0.001 });
    await clock.advance(1_000);
    expect(await times(5, post)).toEqual([200, 200, 200, 200, 200]);
    expect(rules()).toEqual([]);
  });

  it("is one per channel, and creating and editing count apart under one hash", async () => {
    await start();
    const created = await post();
    await times(4, post);
    const id = Object(created.body).id;
    const edited = await call("PATCH", `/channels/${channelId}/messages/${id}`, { content: "changed" });
    expect(edited.status).toBe(200);
    expect(edited.headers["x-ratelimit-bucket"]).toBe(created.headers["x-ratelimit-bucket"]);
    expect(edited.headers["x-ratelimit-remaining"]).toBe("4");
    const [guildId = ""] = discord.world.guilds.keys();
    const other = `/channels/${discord.world.addChannel(guildId).id}/messages`;
    expect((await call("POST", other, { content: "x" })).headers["x-ratelimit-remaining"]).toBe("4");
  });

  it("of reactions is one for all of them in a channel", async () => {
    await start();
    const path = `/channels/${channelId}/messages/${Object((await post()).body).id}/reactions`;
    expect((await call("PUT", `${path}/${encodeURIComponent("👍")}/@me`)).status).toBe(204);
    expect((await call("DELETE", `${path}/name:1/@me`)).status).toBe(429);
    await clock.advance(1_000);
    expect((await call("PUT", `${path}/smile/@me`)).body).toMatchObject({ code: 10014 });
  });

  it("of deletes is another by the message's age", async () => {
    await start();
    const fresh = Object((await post()).body).id;
    const older = Object((await post()).body).id;
    const gone = await call("DELETE", `/channels/${channelId}/messages/${fresh}`);
    await clock.advance(10_000);
    const later = await call("DELETE", `/channels/${channelId}/messages/${older}`);
    expect([gone.status, later.status]).toEqual([204, 204]);
    expect([gone.headers["x-ratelimit-limit"], later.headers["x-ratelimit-limit"]]).toEqual(["5", "3"]);
    // 2015-01-01 and a day: older than 14 days, whether it exists or not.
    const ancient = await call("DELETE", `/channels/${channelId}/messages/${BigInt(86_400_000) << 22n}`);
    const thirteenDays = BigInt(clock.wall() - 13 * 86_400_000 - 1_420_070_400_000) << 22n;
    const recent = await call("DELETE", `/channels/${channelId}/messages/${thirteenDays}`);
    expect([ancient.headers["x-ratelimit-limit"], recent.headers["x-ratelimit-limit"]]).toEqual(["30", "5"]);
    expect(gone.headers["x-ratelimit-bucket"]).not.toBe(later.headers["x-ratelimit-bucket"]);
  });

  it("of GET /gateway/bot has 2 in 5 s, GET /gateway none", async () => {
    await start({ shards: 3, maxConcurrency: 4 });
    expect((await call("GET", "/gateway")).headers["x-ratelimit-limit"]).toBeUndefined();
    const answer = await call("GET", "/gateway/bot");
    expect(answer.body).toEqual({
      url: discord.gatewayUrl,
      shards: 3,
      session_start_limit: { total: 1_000, remaining: 1_000, reset_after: 86_400_000, max_concurrency: 4 },
    });
    expect(await times(2, () => call("GET", "/gateway/bot"))).toEqual([200, 429]);
  });
});

describe("limits that no header tells of", () => {
  it("a channel's name changes twice in 10 min, its other fields go on", async () => {
    await start();
    const patch = (fields: object) => call("PATCH", `/channels/${channelId}`, fields);
    await patch({ name: "one" });
    await patch({ name: "two" });
    const limited = await patch({ name: "three" });
    expect(limited.status).toBe(429);
    expect(Number(limited.headers["x-ratelimit-remaining"])).toBeGreaterThan(0);
    expect(limited.headers["retry-after"]).toBe("600");
    expect((await patch({ topic: "other" })).status).toBe(200);
    expect(rules()).toEqual([]);
    await clock.advance(599_000);
    await patch({ name: "three" });
    expect(rules()).toEqual(["rest.early"]);
  });

  it("a channel's webhooks share 30 in 60 s, and the 429 is `shared` and no invalid request", async () => {
    await start();
    const hooks = [discord.world.addWebhook(channelId), discord.world.addWebhook(channelId)];
    const run = (index: number) => {
      const hook = hooks[index % 2];
      return call("POST", `/webhooks/${hook?.id}/${hook?.token}`, { content: "x" }, { authorization: "" });
    };
    for (let index = 0; index < 30; index++) {
      expect((await run(index)).status).toBe(204);
      await clock.advance(400);
    }
    const limited = await run(0);
    expect(limited.status).toBe(429);
    expect(limited.headers).toMatchObject({ "x-ratelimit-scope": "shared", "retry-after": "48" });
    expect(limited.body).toMatchObject({ message: "The resource is being rate limited." });
    expect(discord.counts.rest).toMatchObject({ invalid: 0, limited: { shared: 1 } });
  });
});

describe("the global limit", () => {
  it("takes 50 a second, callbacks and webhooks not counted", async () => {
    await start();
    expect(new Set(await times(50, () => call("GET", "/users/@me")))).toEqual(new Set([200]));
    const limited = await call("GET", "/users/@me");
    expect(limited.status).toBe(429);
    expect(limited.headers).toMatchObject({
      "x-ratelimit-global": "true",
      "x-ratelimit-scope": "global",
      "retry-after": "1",
    });
    expect(limited.headers["x-ratelimit-limit"]).toBeUndefined();
    expect(limited.body).toMatchObject({ global: true, retry_after: 1 });
    const hook = discord.world.addWebhook(channelId);
    expect((await call("POST", `/webhooks/${hook.id}/${hook.token}`, { content: "x" })).status).toBe(204);
    expect(rules()).toEqual([]);
    await clock.advance(1_000);
    expect((await call("GET", "/users/@me")).status).toBe(200);
  });
});

describe("a wait that was announced", () => {
  it("must be kept by who knew of it, and by its own bucket only", async () => {
    await start();
    discord.faults.rest.limitNext("POST /channels/{channel_id}/messages", 1, { scope: "user", retryAfterSeconds: 10 });
    expect((await post()).status).toBe(429);
    expect((await call("GET", `/channels/${channelId}`)).status).toBe(200);
    await clock.advance(9_999);
    expect((await post()).status).toBe(200);
    expect(rules()).toEqual(["rest.early"]);
    await clock.advance(1);
    expect((await post()).status).toBe(200);
    expect(rules()).toEqual(["rest.early"]);
  });

  it.each([
    { name: "the header is longer", headerSeconds: 30, bodySeconds: 1 },
    { name: "the body is longer", headerSeconds: 1, bodySeconds: 30 },
  ])("is the longer of header and body: $name", async ({ headerSeconds, bodySeconds }) => {
    await start();
    const options = { scope: "user", retryAfterSeconds: 1, headerSeconds, bodySeconds } as const;
    discord.faults.rest.limitNext("POST /channels/{channel_id}/messages", 1, options);
    const limited = await post();
    expect(limited.headers["retry-after"]).toBe(String(headerSeconds));
    expect(limited.body).toMatchObject({ retry_after: bodySeconds });
    await clock.advance(29_999);
    await post();
    expect(rules()).toEqual(["rest.early"]);
  });

  it("of scope global holds every route but callbacks and webhooks", async () => {
    await start();
    const hook = discord.world.addWebhook(channelId);
    discord.faults.rest.limitNext("any", 1, { scope: "global", retryAfterSeconds: 20 });
    await call("GET", "/users/@me");
    await clock.advance(10_000);
    await call("POST", `/webhooks/${hook.id}/${hook.token}`, { content: "x" });
    expect(rules()).toEqual([]);
    await post();
    expect(rules()).toEqual(["rest.early"]);
  });

  it("of a hidden limit holds only requests of that kind", async () => {
    await start();
    discord.faults.rest.limitNext(`PATCH /channels/${channelId}`, 1, { scope: "hidden", retryAfterSeconds: 600 });
    const limited = await call("PATCH", `/channels/${channelId}`, { nsfw: true });
    expect(Number(limited.headers["x-ratelimit-remaining"])).toBeGreaterThan(0);
    await clock.advance(2_000);
    await call("PATCH", `/channels/${channelId}`, { topic: "x" });
    expect(rules()).toEqual([]);
    await call("PATCH", `/channels/${channelId}`, { nsfw: false });
    expect(rules()).toEqual(["rest.early"]);
  });
});

describe("refusals", () => {
  it.each(["Bot wrong", TOKEN, ""])(
    "401 for `%s`; one later request may confirm it, no more",
    async (authorization) => {
      await start();
      const ask = () => call("GET", "/users/@me", undefined, { authorization });
      expect((await ask()).status).toBe(401);
      await clock.advance(2_000);
      expect((await ask()).body).toEqual({ message: "401: Unauthorized", code: 0 });
      expect(rules()).toEqual([]);
      await ask();
      expect(rules()).toEqual(["rest.after-401"]);
    },
  );

  it("403 in a channel that is denied, 404 for what does not exist, 405 for a wrong method", async () => {
    await start();
    discord.world.channel(channelId).denied = 50013;
    expect(await post()).toMatchObject({ status: 403, body: { code: 50013 } });
    expect(await call("GET", "/channels/1")).toMatchObject({ status: 404, body: { code: 10003 } });
    expect(await call("GET", "/nothing")).toMatchObject({ status: 404, body: { code: 0, message: "404: Not Found" } });
    expect((await call("DELETE", "/gateway")).status).toBe(405);
    expect(discord.counts.rest).toMatchObject({ forbidden: 1, notFound: 2, invalid: 1 });
  });

  it("a User-Agent that is not Discord's form is stopped at the edge", async () => {
    await start();
    const answer = await call("GET", "/gateway", undefined, { "user-agent": "curl/8" });
    expect(answer).toMatchObject({ status: 403, body: { code: 40333 } });
    expect(answer.headers["via"]).toBeUndefined();
    expect(rules()).toEqual(["dial.user-agent"]);
  });

  it("too many of them ban the address, and the ban is kept", async () => {
    await start({ invalidRequestLimit: 10 });
    const ask = () => call("GET", "/users/@me", undefined, { authorization: "Bot wrong" });
    await times(10, ask);
    const banned = await call("GET", "/gateway");
    expect(banned).toMatchObject({ status: 429, body: "error code: 1015", headers: { "retry-after": "3600" } });
    expect(banned.headers["via"]).toBeUndefined();
    await clock.advance(3_600_000);
    expect((await call("GET", "/gateway")).status).toBe(200);
  });

  it("are forgotten after 10 min", async () => {
    await start({ invalidRequestLimit: 10 });
    const ask = () => call("GET", "/users/@me", undefined, { authorization: "Bot wrong" });
    await times(5, ask);
    await clock.advance(599_999);
    await times(4, ask);
    await clock.advance(1);
    await times(5, ask);
    expect((await call("GET", "/gateway")).status).toBe(200);
    await ask();
    expect((await call("GET", "/gateway")).status).toBe(429);
  });

  it("a body needs a Content-Type that the API takes, and must be JSON then", async () => {
    await start();
    expect(await call("POST", `/channels/${channelId}/messages`, "{", {})).toMatchObject({
      status: 400,
      body: { code: 50109 },
    });
    const plain = await call("POST", `/channels/${channelId}/messages`, "{}", { "content-type": "text/plain" });
    expect(plain).toMatchObject({ status: 400, body: { code: 50035 } });
    expect(rules()).toEqual(["rest.content-type"]);
  });
});
