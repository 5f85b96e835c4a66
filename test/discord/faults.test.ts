// Each fault does what it says over real sockets, and none of them is held against a client that behaves.

import { constants, inflateSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type VirtualClock, virtualClock } from "../virtualClock.ts";
import { type RestAnswer, rest, TestClient, TOKEN, USER_AGENT } from "./client.ts";
import { type SimulatedDiscord, type SimulatedDiscordOptions, startSimulatedDiscord } from "./index.ts";

let clock: VirtualClock;
let discord: SimulatedDiscord;

const start = async (options: Partial<SimulatedDiscordOptions> = {}): Promise<void> => {
  discord = await startSimulatedDiscord({ clock, token: TOKEN, ...options });
};
const rules = (): string[] => discord.violations.map(({ rule }) => rule);

async function greeted(url = discord.gatewayUrl): Promise<TestClient> {
  const client = new TestClient(url);
  await client.next(10);
  return client;
}

async function ready(): Promise<{ client: TestClient; sessionId: string; resumeUrl: string }> {
  const client = await greeted();
  client.identify();
  const { d } = await client.next("READY");
  await client.next("GUILD_CREATE");
  client.send(1, 2);
  await client.next(11);
  const { session_id, resume_gateway_url } = Object(d);
  return { client, sessionId: session_id, resumeUrl: resume_gateway_url };
}

beforeEach(() => {
  clock = virtualClock();
});

afterEach(() => discord.stop());

describe("gateway faults", () => {
  it("reset ends the TCP connection without a close frame; the session lives", async () => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    discord.faults.gateway.reset(0);
    expect(await client.end()).toBe(1006);
    const again = await greeted(resumeUrl);
    again.resume(sessionId, 2);
    await again.next("RESUMED");
    expect(rules()).toEqual([]);
  });

  it("a black hole hears nothing, says nothing and answers no close", async () => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    discord.faults.gateway.blackHole(0);
    const before = client.received.length;
    client.send(1, 2);
    client.close(4000);
    const other = await greeted(resumeUrl);
    other.resume(sessionId, 2);
    await other.next("RESUMED");
    await clock.advance(100_000);
    expect(client.received.length).toBe(before);
    expect(discord.counts.heartbeats).toBe(1);
    expect(rules()).not.toContain("resume.generic-host");
  });

  it("no ACKs: heartbeats count and are not answered; a close with 1000 then is wrong", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.noAcks(0);
    const before = client.received.length;
    client.send(1, 2);
    await discord.waitFor(() => discord.counts.heartbeats === 2);
    client.close(1000);
    await client.end();
    await discord.waitFor("gone");
    expect(client.received.length).toBe(before);
    expect(rules()).toEqual(["close.resumable"]);
  });

  it("late ACKs come late", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.lateAcks(0, 7_000);
    const before = client.received.length;
    client.send(1, 2);
    await discord.waitFor(() => discord.counts.heartbeats === 2);
    await clock.advance(6_999);
    expect(client.received.length).toBe(before);
    await clock.advance(1);
    await client.next(11, before);
  });

  it("an ignored close leaves the connection open until the client cuts it, and its code counts", async () => {
    await start();
    const { client, sessionId } = await ready();
    discord.faults.gateway.ignoreClose(0);
    client.close(1000);
    discord.dispatch("INTERACTION_CREATE", { id: "1" });
    await client.next("INTERACTION_CREATE");
    expect(client.closed).toBeUndefined();
    client.terminate();
    await discord.waitFor("gone");
    const again = await greeted(discord.resumeUrl);
    again.resume(sessionId, 3);
    expect((await again.next(9)).d).toBe(false);
  });

  it("a slow close is answered after its time", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.ignoreClose(0, 3_000);
    client.close(4000);
    discord.dispatch("INTERACTION_CREATE", { id: "1" });
    await client.next("INTERACTION_CREATE");
    await clock.advance(2_999);
    expect(client.closed).toBeUndefined();
    await clock.advance(1);
    expect(await client.end()).toBe(4000);
    expect(discord.sessions()).toMatchObject([{ shard: 0, sequence: 3, attached: false }]);
  });

  it("op 7: the connection is closed with 1001 after 5 s, and staying is counted", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.reconnect(0);
    await client.next(7);
    await clock.advance(5_000);
    expect(await client.end()).toBe(1001);
    expect(rules()).toEqual(["reconnect.ignored"]);
  });

  it("op 7: leaving with 4000 keeps the session, with 1000 ends it and is counted", async () => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    discord.faults.gateway.reconnect(0);
    await client.next(7);
    client.close(4000);
    await discord.waitFor("gone");
    const again = await greeted(resumeUrl);
    again.resume(sessionId, 2);
    await again.next("RESUMED");
    discord.faults.gateway.reconnect("all");
    await again.next(7);
    expect(rules()).toEqual([]);
    again.close(1000);
    await discord.waitFor("gone");
    expect(rules()).toEqual(["close.resumable"]);
  });

  it.each(["reconnect then hello", "reconnect only"] as const)("greeting `%s` says op 7 first", async (greeting) => {
    await start();
    discord.faults.gateway.greetings(greeting);
    const client = new TestClient(discord.gatewayUrl);
    await client.next(7);
    if (greeting === "reconnect then hello") await client.next(10);
    expect(client.received.map(({ op }) => op)).toEqual(greeting === "reconnect only" ? [7] : [7, 10]);
  });

  it("greeting `silence` opens and says nothing, once", async () => {
    await start();
    discord.faults.gateway.greetings("silence");
    const silent = new TestClient(discord.gatewayUrl);
    await discord.waitFor(() => discord.counts.dials === 1);
    await greeted();
    expect(silent.received).toEqual([]);
    expect(silent.closed).toBeUndefined();
  });

  it.each([true, false])("op 9 %s on a live session", async (resumable) => {
    await start();
    const { client, sessionId } = await ready();
    discord.faults.gateway.invalidSession(0, resumable);
    expect((await client.next(9)).d).toBe(resumable);
    // The same connection may be used again, for either.
    client.resume(sessionId, 2);
    if (resumable) await client.next("RESUMED");
    else await client.until(() => client.received.filter(({ op }) => op === 9).length === 2);
  });

  it("an IDENTIFY can be refused, or taken and never answered", async () => {
    await start();
    discord.faults.gateway.refuseIdentifies(1);
    discord.faults.gateway.holdReady(1);
    const client = await greeted();
    client.identify();
    expect((await client.next(9)).d).toBe(false);
    await clock.advance(5_000);
    client.identify();
    client.send(1, null);
    await client.next(11);
    expect(client.received.some(({ t }) => t === "READY")).toBe(false);
    expect(discord.readyShards()).toEqual([]);
    expect(rules()).toEqual([]);
  });

  it.each([
    { code: 4000, lives: true },
    { code: 4008, lives: true },
    { code: 1001, lives: true },
    { code: 4009, lives: false },
    { code: 4003, lives: false },
    { code: 4014, lives: false },
  ])("close $code: the session lives: $lives", async ({ code, lives }) => {
    await start();
    const { client, sessionId } = await ready();
    discord.faults.gateway.close(0, code);
    expect(await client.end()).toBe(code);
    const again = await greeted(discord.resumeUrl);
    again.resume(sessionId, 2);
    await again.next(lives ? "RESUMED" : 9);
  });

  it("a dead resume host refuses connections, the generic one takes them", async () => {
    await start();
    discord.faults.gateway.resumeHostDead();
    const refused = new TestClient(discord.resumeUrl);
    await refused.end();
    expect(Object(refused.failed).code).toBe("ECONNREFUSED");
    await greeted();
    await discord.faults.gateway.resumeHostBack();
    await greeted(discord.resumeUrl);
  });

  it("an outage resets what exists, refuses what comes, counts it and ends by itself", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.outage({ durationMs: 30_000 });
    expect(await client.end()).toBe(1006);
    const refused = new TestClient(discord.gatewayUrl);
    await refused.end();
    await discord.waitFor(() => discord.counts.dialsRefused === 1);
    await clock.advance(30_000);
    await greeted();
    expect(discord.counts.dials).toBe(3);
  });

  it("refused upgrades carry the edge's answer, and a dial before the announced time is counted", async () => {
    await start();
    discord.faults.gateway.refuseUpgrades({ status: 429, retryAfterSeconds: 60, durationMs: 60_000 });
    const dial = async () => {
      const client = new TestClient(discord.gatewayUrl);
      await client.until(() => client.refusedWith !== undefined);
      return client.refusedWith;
    };
    expect(await dial()).toBe(429);
    expect(rules()).toEqual([]);
    await clock.advance(59_999);
    expect(await dial()).toBe(429);
    expect(rules()).toEqual(["dial.edge"]);
    await clock.advance(1);
    await greeted();
    expect(discord.counts).toMatchObject({ gatewayEdgeHits: 2, dialsRefused: 2 });
  });

  it.each([
    { name: "expiry", fault: () => discord.faults.gateway.expireSessions() },
    { name: "replay overflow", fault: () => discord.faults.gateway.replayLimit(2) },
  ])("$name makes a RESUME too late", async ({ fault }) => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    client.close(4000);
    await discord.waitFor("gone");
    for (const id of ["1", "2", "3"]) discord.dispatch("INTERACTION_CREATE", { id });
    fault();
    const again = await greeted(resumeUrl);
    again.resume(sessionId, 2);
    expect((await again.next(9)).d).toBe(false);
    // What the server has refused may be thrown away.
    await clock.advance(5_000);
    again.identify();
    await again.next("READY");
    expect(rules()).toEqual([]);
  });

  it("a replay that is cut goes on where the client says", async () => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    client.close(4000);
    await discord.waitFor("gone");
    for (const id of ["1", "2", "3"]) discord.dispatch("INTERACTION_CREATE", { id });
    discord.faults.gateway.cutReplay(2);
    const cut = await greeted(resumeUrl);
    cut.resume(sessionId, 2);
    expect(await cut.end()).toBe(1006);
    expect(cut.received.filter(({ op }) => op === 0).map(({ s }) => s)).toEqual([3, 4]);
    await discord.waitFor("gone");
    const again = await greeted(resumeUrl);
    again.resume(sessionId, 4);
    await again.next("RESUMED");
    expect(again.received.filter(({ op }) => op === 0).map(({ s, t }) => [s, t])).toEqual([
      [5, "INTERACTION_CREATE"],
      [6, "RESUMED"],
    ]);
    expect(rules()).toEqual([]);
  });

  it("events come twice, or never", async () => {
    await start();
    await ready();
    discord.faults.gateway.duplicateEvents(1);
    expect(discord.dispatch("INTERACTION_CREATE", { id: "1" }).map(({ sequence }) => sequence)).toEqual([3, 4]);
    discord.faults.gateway.dropEvents(1);
    expect(discord.dispatch("INTERACTION_CREATE", { id: "2" })).toEqual([]);
    expect(discord.dispatch("INTERACTION_CREATE", { id: "3" }).map(({ sequence }) => sequence)).toEqual([5]);
  });

  it("a privileged intent switched off closes with 4003, then 4014", async () => {
    await start({ privilegedIntents: 1 << 15 });
    const intents = 1 | (1 << 15);
    const client = await greeted();
    client.identify({ intents });
    await client.next("READY");
    discord.faults.gateway.setPrivilegedIntents(0);
    expect(await client.end()).toBe(4003);
    const again = await greeted();
    again.identify({ intents });
    expect(await again.end()).toBe(4014);
  });

  it("a server in an outage is told as unavailable, one that is left without it", async () => {
    await start();
    const { client } = await ready();
    const [id = ""] = discord.world.guilds.keys();
    discord.faults.gateway.guild(id, "unavailable");
    expect((await client.next("GUILD_DELETE")).d).toEqual({ id, unavailable: true });
    const before = client.received.length;
    discord.faults.gateway.guild(id, "available");
    await client.next("GUILD_CREATE", before);
    discord.faults.gateway.guild(id, "removed");
    expect((await client.next("GUILD_DELETE", before)).d).toEqual({ id });
  });

  it("a rule can be excused while a test breaks it itself", async () => {
    await start();
    const { client } = await ready();
    const over = discord.faults.gateway.excuse("heartbeat.late");
    await clock.advance(61_875);
    await client.end();
    over();
    expect(rules()).toEqual([]);
  });
});

describe("zlib-stream", () => {
  it("messages can come in two frames, and still end with the flush marker", async () => {
    await start();
    discord.faults.gateway.splitFrames(true);
    const socket = new WebSocket(`${discord.gatewayUrl}/?v=10&encoding=json&compress=zlib-stream`, {
      headers: { "User-Agent": USER_AGENT },
    });
    const frames: Buffer[] = [];
    await new Promise<void>((resolve) => {
      socket.on("message", (data: Buffer) => {
        if (frames.push(data) === 2) resolve();
      });
    });
    const marker = Buffer.from([0, 0, 0xff, 0xff]);
    expect(frames.map((frame) => frame.subarray(-4).equals(marker))).toEqual([false, true]);
    const hello = inflateSync(Buffer.concat(frames), { finishFlush: constants.Z_SYNC_FLUSH });
    expect(JSON.parse(hello.toString())).toMatchObject({ op: 10, d: { heartbeat_interval: 41_250 } });
    socket.terminate();
  });
});

describe("REST faults", () => {
  const call = (
    ...request: Parameters<typeof rest> extends [string, ...infer Rest] ? Rest : never
  ): Promise<RestAnswer> => rest(discord.apiUrl, ...request);
  const channel = (): string => [...discord.world.channels.keys()][0] ?? "";
  const post = () => call("POST", `/channels/${channel()}/messages`, { content: "x" });
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

describe("the simulator itself", () => {
  it("waits: resolves on the change, rejects past its limit, on abort and when it stops", async () => {
    await start();
    const late = discord.waitFor(() => false, 1_000);
    const expectation = expect(late).rejects.toThrow("1000 ms");
    await clock.advance(1_000);
    await expectation;
    const abort = new AbortController();
    const aborted = expect(discord.waitFor(() => false, abort.signal)).rejects.toThrow("aborted");
    abort.abort();
    await aborted;
    const dialled = discord.waitFor(() => discord.counts.dials === 1);
    await greeted();
    await dialled;
    const stopped = expect(discord.waitFor(() => false)).rejects.toThrow("stopped");
    await discord.stop();
    await stopped;
  });

  it("stops with clients attached and leaves no timer", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.blackHole(0);
    const other = await greeted();
    other.send(1, null);
    await other.next(11);
    await discord.stop();
    await Promise.all([client.end(), other.end()]);
    expect(clock.pending()).toBe(0);
  });
});
