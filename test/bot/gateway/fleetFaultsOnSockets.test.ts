// Every way a real connection can end: what the fleet does next, seen from the other side of the socket.

import { describe, expect, it } from "vitest";
import { systemClock } from "../../../bot/clock.ts";
import { tokenHash } from "../../../bot/ledger/hash.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { Secret } from "../../../shared/secret.ts";
import { clock, fleet, gateway, gatewayPerTest, ready, resumed, sent, started } from "./fleetOnTinyGateway.ts";
import { TOKEN } from "./fleetUnderTest.ts";

gatewayPerTest();

describe("Discord closes", () => {
  it.each([1000, 1001, 1005, 4000, 4001, 4002, 4005, 4008, 4242])("with %i: RESUME", async (code) => {
    const subject = await ready();
    // 1005 stands for a close frame that names none.
    gateway.connections[0]?.webSocket.close(code === 1005 ? undefined : code);
    await subject.until("resumed", () => resumed(subject));
    expect(sent(2)).toHaveLength(1);
    const closed = subject.telemetry.events.find(({ fields }) => fields["closeCode"] === code);
    expect(closed?.fields).toMatchObject({ shard: 0, from: "ready", to: "waiting", closedBy: "discord" });
  });

  it.each([4003, 4007, 4009])("with %i: IDENTIFY", async (code) => {
    const subject = await ready();
    gateway.connections[0]?.webSocket.close(code);
    await subject.until("identified again", () => sent(2).length === 2 && subject.ready() === 1);
    expect(sent(6)).toHaveLength(0);
    expect(subject.sessions.map(({ session }) => session)).toEqual(["started", "dropped", "started"]);
  });

  it.each([
    [4004, "DISCORD_TOKEN"],
    [4010, "SHARD_COUNT"],
    [4011, "SHARD_COUNT"],
    [4012, "version 10"],
    [4013, "intents"],
    [4014, "Message Content Intent"],
  ])("with %i: all shards stop, and a person is told %s", async (code, word) => {
    const intents = { intents: 513 | 32_768, intentNames: ["GUILDS", "GUILD_MESSAGES", "MESSAGE_CONTENT"] as const };
    const subject = await ready({ shardCount: 2, ...intents });
    gateway.connections[1]?.webSocket.close(code);
    await subject.until("fatal", () => subject.fatals.length === 1);
    expect(subject.fatals[0]?.code).toBe(String(code));
    expect(subject.fatals[0]?.fix).toContain(word);
    await subject.until("no socket is left", () =>
      gateway.connections.every(({ closeCode }) => closeCode !== undefined),
    );
    expect(subject.fleet.status().shards.map(({ state }) => state)).toEqual(["stopped", "stopped"]);
    expect(gateway.dials).toBe(2);
  });
});

describe("Discord asks", () => {
  it("for a reconnect: closes with a code that keeps the session, and resumes at the resume host", async () => {
    const subject = await ready();
    gateway.connections[0]?.send({ op: 7, d: null });
    await subject.until("resumed", () => resumed(subject));
    await subject.until("closed", () => gateway.connections[0]?.closeCode === 4000);
    expect(sent(2)).toHaveLength(1);
  });

  it("for a reconnect, and names a resume host with a fragment: resumes there", async () => {
    gateway.resumeUrl += "#there";
    const subject = await ready();
    gateway.connections[0]?.send({ op: 7, d: null });
    await subject.until("resumed", () => resumed(subject));
    expect(gateway.connections[1]?.path).toBe("/resume");
  });

  it("for a reconnect before HELLO: dials again", async () => {
    gateway.greets = "reconnect";
    const subject = started();
    await subject.until("two dials", () => gateway.dials >= 2);
    gateway.greets = "hello";
    await subject.until("ready", () => subject.ready() === 1);
    expect(sent(2)).toHaveLength(1);
  });

  it("for a beat: beats at once", async () => {
    const subject = await ready();
    gateway.connections[0]?.send({ op: 1, d: null });
    await subject.until("a beat", () => sent(1).length === 1);
  });

  it("with op 9 true: RESUME", async () => {
    const subject = await ready();
    gateway.connections[0]?.send({ op: 9, d: true });
    await subject.until("resumed", () => resumed(subject));
    expect(sent(2)).toHaveLength(1);
  });

  it("with op 9 false: IDENTIFY after 1 to 5 s", async () => {
    const subject = await ready();
    // By then the key of the first IDENTIFY is free again.
    await clock.pass(10_000);
    const at = clock.now();
    gateway.connections[0]?.send({ op: 9, d: false });
    await subject.until("identified again", () => sent(2).length === 2);
    const waitedMs = (sent(2)[1]?.at ?? 0) - at;
    expect(waitedMs).toBeGreaterThanOrEqual(1_000);
    expect(waitedMs).toBeLessThanOrEqual(5_000);
    expect(sent(6)).toHaveLength(0);
  });

  it("with op 9 after a RESUME: IDENTIFY", async () => {
    const subject = await ready();
    gateway.sessions.length = 0;
    gateway.connections[0]?.socket.resetAndDestroy();
    await subject.until("identified again", () => sent(2).length === 2 && subject.ready() === 1);
    expect(sent(6)).toHaveLength(1);
  });
});

describe("a connection", () => {
  it("without acknowledgements is left though the peer never answers the close", async () => {
    gateway.heartbeatIntervalMs = 2_000;
    gateway.acknowledges = false;
    const subject = await ready();
    // A peer that reads no more answers neither beats nor the close.
    gateway.connections[0]?.socket.pause();
    await subject.until("a missed acknowledgement", () => subject.telemetry.counts.get("MissedHeartbeatAcks") === 1);
    gateway.acknowledges = true;
    await subject.until("resumed", () => resumed(subject));
    expect(sent(2)).toHaveLength(1);
    const { lastClose } = subject.fleet.status().shards[0] ?? {};
    expect(lastClose).toMatchObject({ code: 4000, by: "us" });
  });

  it("that is cut in the middle of a replay resumes again where the replay ended", async () => {
    const subject = await ready();
    gateway.refuses = "reset";
    gateway.connections[0]?.socket.resetAndDestroy();
    await subject.until("a refused dial", () => gateway.dials > 1);
    for (let event = 0; event < 4; event++) gateway.dispatch(0, "MESSAGE_CREATE", { event });
    gateway.onResume = (connection, session) => {
      for (const event of session?.events.slice(1, 3) ?? []) connection.send({ op: 0, ...event });
      connection.webSocket.close(4000);
      gateway.onResume = undefined;
      return true;
    };
    gateway.refuses = undefined;
    await subject.until("resumed", () => resumed(subject));
    expect(sent(6).map(({ d }) => Reflect.get(Object(d), "seq"))).toEqual([1, 3]);
    expect(subject.dispatched.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("that brings an event twice hands it on once", async () => {
    const subject = await ready();
    const sequence = gateway.dispatch(0, "MESSAGE_CREATE", {});
    gateway.connections[0]?.send({ op: 0, s: sequence, t: "MESSAGE_CREATE", d: {} });
    gateway.dispatch(0, "LAST", {});
    await subject.until("the last", () => subject.dispatched.at(-1)?.type === "LAST");
    expect(subject.dispatched.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  });

  it("with bytes that do not inflate is left and resumed", async () => {
    const subject = await ready({ compression: "zstd-stream", clock: systemClock() });
    gateway.connections[0]?.webSocket.send(Buffer.from("no frame at all"), { binary: true });
    await subject.until("resumed", () => resumed(subject));
    expect(sent(2)).toHaveLength(1);
  });
});

describe("the edge", () => {
  it.each([
    { status: 429, headers: { "Retry-After": "20" }, body: "" },
    { status: 403, headers: {}, body: "<html>Access denied</html>" },
    { status: 503, headers: {}, body: "error code: 1015" },
  ])("refuses with HTTP $status: told once, probed, and told when it is over", async (refusal) => {
    const subject = await ready();
    gateway.refuses = refusal;
    gateway.connections[0]?.socket.resetAndDestroy();
    await subject.until("banned", () => subject.telemetry.events.some(({ name }) => name === "edge.banned"));
    expect(subject.telemetry.events.find(({ name }) => name === "edge.banned")?.fields).toMatchObject({
      via: "gateway",
      status: refusal.status,
      retryAfterMs: refusal.status === 429 ? 20_000 : null,
    });
    expect(subject.fleet.status().edge.state).toBe("banned");
    gateway.refuses = undefined;
    await subject.until("ready", () => subject.ready() === 1);
    expect(subject.telemetry.events.filter(({ name }) => name.startsWith("edge."))).toHaveLength(2);
    expect(subject.fleet.status().edge.state).toBe("clear");
    expect(gateway.dials).toBe(3);
  });

  it("is not what refuses with HTTP 502", async () => {
    const subject = await ready();
    gateway.refuses = { status: 502, body: "a count of 1015 members" };
    gateway.connections[0]?.socket.resetAndDestroy();
    await subject.until("some dials", () => gateway.dials > 2);
    expect(subject.fleet.status().edge.state).toBe("clear");
  });
});

describe("stored sessions", () => {
  const stored = (fields: Partial<StoredSession> = {}): StoredSession => ({
    shard: 0,
    shardCount: 1,
    sessionId: "session-0",
    resumeGatewayUrl: gateway.resumeUrl,
    sequence: 1,
    intents: 513,
    tokenHash: tokenHash(new Secret(TOKEN)),
    writtenAt: Date.now(),
    ...fields,
  });

  it("are resumed by the next process without any REST call", async () => {
    const first = await ready({ shardCount: 4 });
    await first.stop(true);
    expect(gateway.connections.map(({ closeCode }) => closeCode)).toEqual([4000, 4000, 4000, 4000]);
    const sessions = first.fleet.sessions();
    expect(sessions).toHaveLength(4);
    gateway.dispatch(2, "MESSAGE_CREATE", {});
    const second = await ready({ shardCount: 4, stored: sessions });
    expect(second.fetches).toBe(0);
    expect(sent(2)).toHaveLength(4);
    expect(second.dispatched.filter(({ type }) => type === "MESSAGE_CREATE")).toEqual([
      { shard: 2, sequence: 2, type: "MESSAGE_CREATE", replayed: true },
    ]);
  });

  it("decide the count of SHARD_COUNT=auto", async () => {
    const first = await ready({ shardCount: 2 });
    await first.stop(true);
    const second = started({ shardCount: "auto", stored: first.fleet.sessions(), info: { shards: 5 } });
    await second.until("ready", () => second.ready() === 2);
    expect(second.fleet.status().shardCount).toBe(2);
  });

  it.each<[string, Partial<StoredSession>]>([
    ["token", { tokenHash: "0000000000000000" }],
    ["intents", { intents: 1 }],
    ["shard count", { shardCount: 2 }],
  ])("of another %s are dropped", async (_what, fields) => {
    const subject = await ready({ stored: [stored(fields)] });
    expect(sent(6)).toHaveLength(0);
    expect(sent(2)).toHaveLength(1);
    expect(subject.sessions[0]?.session).toBe("dropped");
  });

  it("with a plain resume URL use the generic host unless plain is allowed", async () => {
    const subject = started({ stored: [stored()], plainAllowed: false });
    await subject.until("a RESUME", () => sent(6).length === 1);
    expect(gateway.connections[0]?.path).toBe("/");
    await subject.stop(true);
  });
});

describe("stopping", () => {
  it("without keeping sessions closes with 1000 and forgets them", async () => {
    const subject = await ready();
    await subject.stop(false);
    await subject.until("closed", () => gateway.connections[0]?.closeCode === 1000);
    expect(subject.fleet.sessions()).toEqual([]);
  });

  it("does not wait for a peer that never answers", async () => {
    const subject = await ready();
    gateway.connections[0]?.socket.pause();
    await subject.stop(true);
    expect(subject.fleet.sessions()).toHaveLength(1);
  });
});

describe("sending", () => {
  it("makes one update of presences set in one go, and refuses one that is too large", async () => {
    const subject = await ready();
    for (let shade = 0; shade < 20; shade++) {
      subject.fleet.setPresence({ status: "online", activities: [{ name: `${shade}`, type: 0 }] });
    }
    await subject.until("a presence", () => sent(3).length > 0);
    expect(sent(3)[0]?.d).toMatchObject({ status: "online", activities: [{ name: "19" }], since: null, afk: false });
    expect(subject.telemetry.counts.get("PresenceUpdates")).toBe(1);
    expect(() =>
      subject.fleet.setPresence({ status: "online", activities: [{ name: "x".repeat(5_000), type: 0 }] }),
    ).toThrow(/3072 bytes/);
  });

  it("carries the presence in the IDENTIFY and asserts it again after READY", async () => {
    const subject = fleet();
    subject.fleet.setPresence({ status: "dnd" });
    subject.fleet.start();
    await subject.until("asserted", () => sent(3).length === 1);
    expect(sent(2)[0]?.d).toMatchObject({ presence: { status: "dnd", activities: [], since: null, afk: false } });
    gateway.connections[0]?.webSocket.close(4009);
    await subject.until("asserted again", () => sent(3).length === 2);
  });
});

describe("guild members", () => {
  it("are gathered from their chunks", async () => {
    const subject = await ready({ shardCount: 2 });
    const request = subject.fleet.requestGuildMembers({ guildId: String(5n << 22n), userIds: ["1", "2", "3"] });
    await subject.until("op 8", () => sent(8).length === 1);
    const asked = sent(8)[0];
    expect(gateway.connections[asked?.connection ?? 0]?.shard).toBe(1);
    expect(asked?.d).toMatchObject({ user_ids: ["1", "2", "3"] });
    const nonce = Reflect.get(Object(asked?.d), "nonce");
    gateway.dispatch(1, "GUILD_MEMBERS_CHUNK", { nonce, members: [{ id: "1" }], chunk_index: 0, chunk_count: 2 });
    gateway.dispatch(1, "GUILD_MEMBERS_CHUNK", {
      nonce,
      members: [{ id: "2" }],
      not_found: ["3"],
      chunk_index: 1,
      chunk_count: 2,
    });
    expect(await request).toEqual({ members: [{ id: "1" }, { id: "2" }], presences: [], notFound: ["3"] });
  });

  it("are given up when the session ends in which they were asked for, and can be asked for anew", async () => {
    const subject = await ready();
    const request = subject.fleet
      .requestGuildMembers({ guildId: "1", userIds: ["2"] })
      .catch((error: unknown) => error);
    await subject.until("op 8", () => sent(8).length === 1);
    gateway.connections[0]?.send({ op: 9, d: false });
    expect(await request).toMatchObject({ kind: "sessionEnded" });
    const again = subject.fleet.requestGuildMembers({ guildId: "1", userIds: ["2"] });
    await subject.until("op 8 again", () => sent(8).length === 2);
    expect(sent(8)[1]?.connection).toBe(1);
    const nonce = Reflect.get(Object(sent(8)[1]?.d), "nonce");
    gateway.dispatch(0, "GUILD_MEMBERS_CHUNK", { nonce, members: [{ id: "2" }], chunk_index: 0, chunk_count: 1 });
    expect(await again).toMatchObject({ members: [{ id: "2" }] });
  });

  it("are refused with the time left when Discord limits them", async () => {
    const subject = await ready();
    const request = subject.fleet.requestGuildMembers({ guildId: "1" }).catch((error: unknown) => error);
    await subject.until("op 8", () => sent(8).length === 1);
    const nonce = Reflect.get(Object(sent(8)[0]?.d), "nonce");
    gateway.dispatch(0, "RATE_LIMITED", { opcode: 8, retry_after: 12.5, meta: { guild_id: "1", nonce } });
    expect(await request).toMatchObject({ kind: "rateLimited", retryAfterMs: 12_500 });
  });
});
