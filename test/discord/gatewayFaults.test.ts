// Each gateway fault does what it says over real sockets, and none is held against a client that behaves.

import { describe, expect, it } from "vitest";
import { TestClient } from "./client.ts";
import { clock, discord, greeted, ready, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

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

  it("a black hole keeps the connection open, whatever either side does", async () => {
    await start();
    const { client } = await ready();
    discord.faults.gateway.blackHole(0);
    const before = client.received.length;
    discord.dispatch("INTERACTION_CREATE", { id: "1" });
    client.close(4000);
    // Two whole handshakes later an answer would have come.
    await greeted();
    await greeted();
    expect([client.closed, client.received.length]).toEqual([undefined, before]);
    client.terminate();
    await discord.waitFor(() => discord.readyShards().length === 0);
    expect(discord.counts.clientCloses).toEqual({ 1006: 1 });
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

  it("expiry leaves sessions alone that have their connection", async () => {
    await start();
    const { client, sessionId, resumeUrl } = await ready();
    discord.faults.gateway.expireSessions();
    client.close(4000);
    await discord.waitFor("gone");
    const again = await greeted(resumeUrl);
    again.resume(sessionId, 2);
    await again.next("RESUMED");
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
