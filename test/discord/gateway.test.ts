// The gateway's rules over real sockets: a good client has no violation, and each breach is counted and answered as Discord does.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type VirtualClock, virtualClock } from "../virtualClock.ts";
import { INTENTS, TestClient, TOKEN } from "./client.ts";
import { type SimulatedDiscord, type SimulatedDiscordOptions, startSimulatedDiscord } from "./index.ts";

let clock: VirtualClock;
let discord: SimulatedDiscord;

const start = async (options: Partial<SimulatedDiscordOptions> = {}): Promise<void> => {
  discord = await startSimulatedDiscord({ clock, token: TOKEN, ...options });
};
const rules = (): string[] => discord.violations.map(({ rule }) => rule);

/** A session as a client keeps it. */
interface Held {
  readonly client: TestClient;
  readonly sessionId: string;
  readonly resumeUrl: string;
}

/** Dials, identifies and heartbeats, as a client does that has read READY. */
async function ready(fields: Record<string, unknown> = {}, options = {}): Promise<Held> {
  const client = new TestClient(discord.gatewayUrl, options);
  await client.next(10);
  client.identify(fields);
  const { d } = await client.next("READY");
  client.send(1, 1);
  await client.next(11);
  const { session_id, resume_gateway_url } = Object(d);
  return { client, sessionId: session_id, resumeUrl: resume_gateway_url };
}

async function resume(held: Held, sequence: number, url = held.resumeUrl, options = {}): Promise<TestClient> {
  const client = new TestClient(url, options);
  await client.next(10);
  client.resume(held.sessionId, sequence);
  return client;
}

beforeEach(() => {
  clock = virtualClock();
});

afterEach(() => discord.stop());

describe("a good client", () => {
  it.each([{}, { compress: "zlib-stream" }, { compress: "zstd-stream" }])(
    "starts, loses its connection and resumes: %o",
    async (options) => {
      await start({ guilds: 3 });
      const held = await ready({}, options);
      await held.client.until(() => held.client.received.filter(({ t }) => t === "GUILD_CREATE").length === 3);
      const [guild] = discord.world.guilds.values();
      const channel = guild?.channels[0];
      const say = (content: string) =>
        discord.sendMessage({
          guildId: guild?.id,
          channelId: channel?.id ?? "",
          authorId: guild?.ownerId ?? "",
          content,
        });
      say("heard");
      const heard = await held.client.next("MESSAGE_CREATE");
      held.client.close(4000);
      await discord.waitFor("gone");
      const missed = [say("missed 1"), say("missed 2")];

      const again = await resume(held, heard.s ?? 0, held.resumeUrl, options);
      await again.next("RESUMED");
      say("live");
      await again.until(() => again.received.filter(({ t }) => t === "MESSAGE_CREATE").length === 3);
      const types = again.received.filter(({ op }) => op === 0).map(({ t }) => t);
      expect(types).toEqual(["MESSAGE_CREATE", "MESSAGE_CREATE", "RESUMED", "MESSAGE_CREATE"]);
      expect(
        again.received
          .filter(({ t }) => t === "MESSAGE_CREATE")
          .slice(0, 2)
          .map(({ d }) => Object(d).id),
      ).toEqual(missed);
      const sequences = again.received.filter(({ op }) => op === 0).map(({ s }) => s);
      expect(sequences).toEqual([6, 7, 8, 9]);
      again.close(1000);
      await discord.waitFor("gone");
      expect(discord.violations).toEqual([]);
      expect(discord.counts).toMatchObject({ identifies: 1, resumes: 1, resumed: 1, replayed: 2, dials: 2 });
      expect(discord.counts.clientCloses).toEqual({ 4000: 1, 1000: 1 });
    },
  );

  it("gets READY with every server unavailable, then each server, and only its own shard's", async () => {
    await start({ shards: 2, guilds: 5, maxConcurrency: 2 });
    const zero = await ready({ shard: [0, 2] });
    const one = await ready({ shard: [1, 2] });
    await zero.client.until(() => zero.client.received.filter(({ t }) => t === "GUILD_CREATE").length === 3);
    await one.client.until(() => one.client.received.filter(({ t }) => t === "GUILD_CREATE").length === 2);
    const { d } = await zero.client.next("READY");
    const ids = [...discord.world.guilds.keys()];
    expect(Object(d).guilds).toEqual([ids[0], ids[2], ids[4]].map((id) => ({ id, unavailable: true })));
    expect(discord.readyShards()).toEqual([0, 1]);
    expect(discord.violations).toEqual([]);
  });
});

describe("IDENTIFY", () => {
  it.each([
    { name: "a wrong token", fields: { token: "x" }, code: 4004, rule: "identify.token" },
    { name: "a prefixed token", fields: { token: `Bot ${TOKEN}` }, code: 4004, rule: "identify.token" },
    { name: "an undefined intent", fields: { intents: 1 << 17 }, code: 4013, rule: "identify.intents" },
    { name: "an intent that is off", fields: { intents: 1 << 15 }, code: 4014, rule: "identify.disallowed-intents" },
    { name: "a shard out of range", fields: { shard: [1, 1] }, code: 4010, rule: "identify.shard" },
    { name: "a shard that is none", fields: { shard: [0] }, code: 4010, rule: "identify.shard" },
    { name: "no properties", fields: { properties: undefined }, code: 4001, rule: "identify.malformed" },
  ])("$name closes with $code", async ({ fields, code, rule }) => {
    await start();
    const client = new TestClient(discord.gatewayUrl);
    await client.next(10);
    client.identify(fields);
    expect(await client.end()).toBe(code);
    expect(rules()).toEqual([rule]);
  });

  it("with more than 2,500 servers on the shard closes with 4011", async () => {
    await start({ guilds: 2_501 });
    const client = new TestClient(discord.gatewayUrl);
    await client.next(10);
    client.identify();
    expect(await client.end()).toBe(4011);
    expect(rules()).toEqual(["identify.sharding-required"]);
  });

  it("waits for its key's 5 s, other keys do not", async () => {
    await start({ shards: 4, maxConcurrency: 2 });
    await ready({ shard: [0, 4] });
    await ready({ shard: [1, 4] });
    expect(rules()).toEqual([]);
    const early = new TestClient(discord.gatewayUrl);
    await early.next(10);
    await clock.advance(4_999);
    early.identify({ shard: [2, 4] });
    expect((await early.next(9)).d).toBe(false);
    expect(rules()).toEqual(["identify.window"]);
    await clock.advance(1);
    early.identify({ shard: [2, 4] });
    await early.next("READY");
    expect(discord.counts).toMatchObject({ identifies: 4, identifiesAccepted: 3 });
  });

  it("past the budget kills every session and the token", async () => {
    await start({ shards: 3, maxConcurrency: 3, identifyTotal: 2 });
    const zero = await ready({ shard: [0, 3] });
    const one = await ready({ shard: [1, 3] });
    const two = new TestClient(discord.gatewayUrl);
    await two.next(10);
    two.identify({ shard: [2, 3] });
    expect(await Promise.all([zero.client.end(), one.client.end(), two.end()])).toEqual([4004, 4004, 4004]);
    expect(rules()).toEqual(["identify.budget"]);
    const again = new TestClient(discord.gatewayUrl);
    await again.next(10);
    again.identify({ shard: [0, 3] });
    expect(await again.end()).toBe(4004);
  });

  it("with a token that was reset closes with 4004, and a person's fix makes it good", async () => {
    await start();
    discord.faults.gateway.revokeToken();
    const refused = new TestClient(discord.gatewayUrl);
    await refused.next(10);
    refused.identify();
    expect(await refused.end()).toBe(4004);
    expect(rules()).toEqual(["identify.token"]);
    discord.faults.gateway.forgive();
    await clock.advance(2_000);
    await ready();
    expect(rules()).toEqual(["identify.token"]);
  });

  it("must have a shard count of the assigned multiple", async () => {
    await start({ shardMultiple: 4, shards: 8, maxConcurrency: 8 });
    await ready({ shard: [0, 8] });
    const client = new TestClient(discord.gatewayUrl);
    await client.next(10);
    client.identify({ shard: [1, 6] });
    expect(await client.end()).toBe(4010);
    expect(rules()).toEqual(["identify.shard"]);
  });

  it("twice on a connection closes with 4005, and the session lives", async () => {
    await start();
    const held = await ready();
    held.client.identify();
    expect(await held.client.end()).toBe(4005);
    expect(rules()).toEqual(["identify.twice"]);
    await (await resume(held, 2)).next("RESUMED");
  });

  it("where a RESUME was possible is counted once, but not after the session's end", async () => {
    await start();
    const first = await ready();
    first.client.close(4000);
    await discord.waitFor("gone");
    await clock.advance(5_000);
    const second = await ready();
    expect(rules()).toEqual(["identify.resumable"]);
    second.client.close(1000);
    await discord.waitFor("gone");
    await clock.advance(5_000);
    const third = await ready();
    third.client.close(4000);
    await discord.waitFor("gone");
    await clock.advance(90_000);
    await ready();
    expect(rules()).toEqual(["identify.resumable"]);
  });

  it("with other intents throws nothing away: such a session could not be resumed for them", async () => {
    await start();
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    await clock.advance(5_000);
    await ready({ intents: INTENTS | (1 << 10) });
    expect(rules()).toEqual([]);
  });

  it("without GUILDS brings no server, with it one in an outage as unavailable", async () => {
    await start({ guilds: 2 });
    const [broken = "", whole] = discord.world.guilds.keys();
    discord.faults.gateway.guild(broken, "unavailable");
    const without = await ready({ intents: 1 << 9 });
    expect(without.client.received.map(({ t }) => t)).toEqual([null, "READY", null]);
    await clock.advance(5_000);
    const { client } = await ready();
    expect((await client.next("GUILD_DELETE")).d).toEqual({ id: broken, unavailable: true });
    expect((await client.next("GUILD_CREATE")).d).toMatchObject({ id: whole, unavailable: false });
  });

  it("on the resume host is wrong, unless op 9 came before", async () => {
    await start();
    const client = new TestClient(discord.resumeUrl);
    await client.next(10);
    client.resume("gone", 1);
    await client.next(9);
    client.identify();
    await client.next("READY");
    expect(rules()).toEqual([]);
    client.close(1000);
    await discord.waitFor("gone");
    await clock.advance(5_000);
    const other = new TestClient(discord.resumeUrl);
    await other.next(10);
    other.identify();
    await other.next("READY");
    expect(rules()).toEqual(["identify.resume-host"]);
  });
});

describe("RESUME", () => {
  it.each([
    { name: "an unknown session", id: "unknown", sequence: 1, token: TOKEN, op: 9, code: undefined, rule: undefined },
    {
      name: "a sequence ahead",
      id: undefined,
      sequence: 99,
      token: TOKEN,
      op: undefined,
      code: 4007,
      rule: "resume.sequence",
    },
    { name: "a wrong token", id: undefined, sequence: 1, token: "x", op: undefined, code: 4004, rule: "resume.token" },
    {
      name: "a prefixed token",
      id: undefined,
      sequence: 1,
      token: `Bot ${TOKEN}`,
      op: undefined,
      code: 4004,
      rule: "resume.token",
    },
  ])("with $name", async ({ id, sequence, token, op, code, rule }) => {
    await start();
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    const client = new TestClient(held.resumeUrl);
    await client.next(10);
    client.resume(id ?? held.sessionId, sequence, token);
    if (op !== undefined) expect((await client.next(op)).d).toBe(false);
    if (code !== undefined) expect(await client.end()).toBe(code);
    expect(rules()).toEqual(rule === undefined ? [] : [rule]);
  });

  it("after the session's lifetime gets op 9 false, a moment before it is taken", async () => {
    await start({ sessionLifetimeMs: 60_000 });
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    await clock.advance(59_999);
    const back = await resume(held, 2);
    await back.next("RESUMED");
    back.terminate();
    await discord.waitFor("gone");
    await clock.advance(60_000);
    expect((await (await resume(held, 2)).next(9)).d).toBe(false);
    expect(rules()).toEqual([]);
  });

  it("is no more possible once the client has closed with 1000", async () => {
    await start();
    const held = await ready();
    held.client.close(1000);
    await discord.waitFor("gone");
    expect((await (await resume(held, 2)).next(9)).d).toBe(false);
  });

  it("on the generic host is wrong while the resume host accepts, right while it does not", async () => {
    await start();
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    discord.faults.gateway.resumeHostDead();
    const once = await resume(held, 2, discord.gatewayUrl);
    await once.next("RESUMED");
    once.close(4000);
    await discord.waitFor("gone");
    // It comes back after the loss: the client may have tried it in between.
    await discord.faults.gateway.resumeHostBack();
    const twice = await resume(held, 3, discord.gatewayUrl);
    await twice.next("RESUMED");
    expect(rules()).toEqual([]);
    await clock.advance(1);
    twice.close(4000);
    await discord.waitFor("gone");
    await (await resume(held, 4, discord.gatewayUrl)).next("RESUMED");
    expect(rules()).toEqual(["resume.generic-host"]);
  });

  it("must come with the parameters that the session began with", async () => {
    await start();
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    await (await resume(held, 2, held.resumeUrl, { compress: "zlib-stream" })).next("RESUMED");
    expect(rules()).toEqual(["resume.parameters"]);
  });
});

describe("sending", () => {
  it("120 payloads in 60 s pass, the 121st closes with 4008 and the session lives", async () => {
    await start();
    const held = await ready();
    const acks = () => held.client.received.filter(({ op }) => op === 11).length;
    for (let count = 2; count < 120; count++) held.client.send(1, 1);
    await held.client.until(() => acks() === 119);
    await clock.advance(59_999);
    expect(rules()).toEqual([]);
    held.client.send(1, 1);
    expect(await held.client.end()).toBe(4008);
    expect(rules()).toEqual(["send.rate"]);
    await (await resume(held, 2)).next("RESUMED");
  });

  it.each([
    {
      name: "4,097 bytes",
      text: JSON.stringify({ op: 1, d: 1, x: "" }).replace('""', `"${"x".repeat(4_097 - 21)}"`),
      code: 4002,
      rule: "send.size",
    },
    { name: "no JSON", text: "{", code: 4002, rule: "send.decode" },
    { name: "no op", text: "[]", code: 4002, rule: "send.decode" },
    { name: "an unknown op", text: '{"op":99,"d":null}', code: 4001, rule: "send.opcode" },
    { name: "an op that only servers send", text: '{"op":0,"d":{}}', code: 4001, rule: "send.opcode" },
    { name: "a malformed presence", text: '{"op":3,"d":{}}', code: 4001, rule: "send.opcode" },
  ])("$name closes with $code", async ({ text, code, rule }) => {
    await start();
    const { client } = await ready();
    client.sendRaw(text);
    expect(await client.end()).toBe(code);
    expect(rules()).toEqual([rule]);
  });

  it("4,096 bytes pass", async () => {
    await start();
    const { client } = await ready();
    const before = client.received.length;
    client.sendRaw(`{"op":1,"d":1,"x":"${"x".repeat(4_096 - 21)}"}`);
    await client.next(11, before);
    expect(rules()).toEqual([]);
  });

  it("before IDENTIFY closes with 4003; a heartbeat may go before", async () => {
    await start();
    const client = new TestClient(discord.gatewayUrl);
    await client.next(10);
    client.send(1, null);
    await client.next(11);
    client.send(3, { since: null, activities: [], status: "online", afk: false });
    expect(await client.end()).toBe(4003);
    expect(rules()).toEqual(["send.unauthenticated"]);
  });

  it("a 6th presence within 20 s is dropped", async () => {
    await start();
    const { client } = await ready();
    const show = (status: string) => client.send(3, { since: null, activities: [], status, afk: false });
    for (const status of ["online", "idle", "dnd", "online", "idle", "dnd"]) show(status);
    await discord.waitFor(() => discord.counts.presences === 6);
    expect(discord.presence(0)).toMatchObject({ status: "idle" });
    expect(rules()).toEqual(["send.presence"]);
    await clock.advance(20_000);
    show("online");
    await discord.waitFor(() => discord.counts.presences === 7);
    expect(discord.presence(0)).toMatchObject({ status: "online" });
    expect(rules()).toEqual(["send.presence"]);
  });

  it("a member list comes in chunks, and again only after 30 s", async () => {
    await start({ privilegedIntents: 1 << 1 });
    const [guildId = ""] = discord.world.guilds.keys();
    // With the bot and the owner that is one more than a chunk holds.
    for (let count = 0; count < 999; count++) discord.world.addMember(guildId);
    const { client } = await ready({ intents: INTENTS | (1 << 1) });
    const ask = (nonce: string) => client.send(8, { guild_id: guildId, query: "", limit: 0, nonce });
    ask("first");
    await client.until(() => client.received.filter(({ t }) => t === "GUILD_MEMBERS_CHUNK").length === 2);
    const chunks = client.received
      .filter(({ t }) => t === "GUILD_MEMBERS_CHUNK")
      .map(({ d }) => Object(d).members.length);
    expect(chunks).toEqual([1_000, 1]);
    expect(rules()).toEqual([]);
    await clock.advance(10_000);
    ask("second");
    const limited = await client.next("RATE_LIMITED");
    expect(limited.d).toEqual({ opcode: 8, retry_after: 20, meta: { guild_id: guildId, nonce: "second" } });
    expect(rules()).toEqual(["send.members"]);
    await clock.advance(20_000);
    ask("third");
    await client.until(() => client.received.filter(({ t }) => t === "GUILD_MEMBERS_CHUNK").length === 4);
    expect(rules()).toEqual(["send.members"]);
  });
});

describe("member queries", () => {
  it.each([
    {
      name: "of several servers serve the first",
      fields: { guild_id: ["", "1"], query: "x", limit: 1 },
      answered: true,
    },
    { name: "of all members need GUILD_MEMBERS", fields: { query: "", limit: 0 }, answered: false },
    { name: "with presences need GUILD_PRESENCES", fields: { query: "x", limit: 1, presences: true }, answered: false },
  ])("$name, and are counted", async ({ fields, answered }) => {
    await start();
    const [guildId = ""] = discord.world.guilds.keys();
    const { client } = await ready();
    client.send(8, { guild_id: guildId, ...fields, ...("guild_id" in fields ? { guild_id: [guildId, "1"] } : {}) });
    await discord.waitFor(() => discord.violations.length === 1);
    if (answered) expect((await client.next("GUILD_MEMBERS_CHUNK")).d).toMatchObject({ guild_id: guildId });
    expect(client.received.some(({ t }) => t === "GUILD_MEMBERS_CHUNK")).toBe(answered);
    expect(rules()).toEqual(["send.members"]);
  });

  it("by id name those that are not found, and drop a nonce of more than 32 bytes", async () => {
    await start();
    const [guild] = discord.world.guilds.values();
    const { client } = await ready();
    client.send(8, { guild_id: guild?.id, user_ids: [guild?.ownerId, "1"], nonce: "n".repeat(33) });
    const { d } = await client.next("GUILD_MEMBERS_CHUNK");
    expect(d).toMatchObject({
      chunk_index: 0,
      chunk_count: 1,
      not_found: ["1"],
      members: [{ user: { id: guild?.ownerId } }],
    });
    expect(Object(d).nonce).toBeUndefined();
    expect(rules()).toEqual([]);
  });
});

describe("heartbeats", () => {
  it("in time move the deadline on, for as long as they come", async () => {
    await start();
    const { client } = await ready();
    for (let beat = 0; beat < 5; beat++) {
      const before = client.received.length;
      await clock.advance(41_250);
      client.send(1, 2);
      await client.next(11, before);
    }
    expect(rules()).toEqual([]);
  });

  it("go on from the sequence that RESUME named", async () => {
    await start();
    const held = await ready();
    held.client.close(4000);
    await discord.waitFor("gone");
    const again = await resume(held, 2);
    await again.next("RESUMED");
    again.send(1, 1);
    await again.next(11);
    expect(rules()).toEqual(["heartbeat.sequence"]);
  });

  it("late by half an interval close the connection, and the session lives", async () => {
    await start();
    const held = await ready();
    await clock.advance(61_874);
    expect(rules()).toEqual([]);
    await clock.advance(1);
    expect(await held.client.end()).toBe(4000);
    expect(rules()).toEqual(["heartbeat.late"]);
    await (await resume(held, 2)).next("RESUMED");
  });

  it.each([
    { name: "ahead of the server", beats: [50] },
    { name: "going backwards", beats: [2, 1] },
    { name: "null after a sequence", beats: [1, null] },
  ])("with a sequence $name are counted", async ({ beats }) => {
    await start();
    const { client } = await ready();
    await client.next("GUILD_CREATE");
    for (const beat of beats) client.send(1, beat);
    await discord.waitFor(() => discord.counts.heartbeats === beats.length + 1);
    expect(rules()).toEqual(["heartbeat.sequence"]);
  });
});

describe("dialling", () => {
  it.each([
    { name: "a browser's User-Agent", options: { userAgent: "Mozilla/5.0" }, rule: "dial.user-agent" },
    {
      name: "the token in the URL",
      options: { query: `v=10&encoding=json&token=${TOKEN}` },
      rule: "dial.token-in-url",
    },
    { name: "an old version", options: { query: "v=8&encoding=json" }, rule: "dial.version", code: 4012 },
    { name: "no version", options: { query: "encoding=json" }, rule: "dial.version", code: 4012 },
    {
      name: "an unknown compression",
      options: { query: "v=10&encoding=json&compress=gzip" },
      rule: "dial.encoding",
      code: 4002,
    },
  ])("with $name is counted", async ({ options, rule, code }) => {
    await start();
    const client = new TestClient(discord.gatewayUrl, options);
    if (code === undefined) await client.next(10);
    else expect(await client.end()).toBe(code);
    expect(rules()).toEqual([rule]);
  });

  it("after a fatal code is counted until someone has put it right", async () => {
    await start();
    const refused = new TestClient(discord.gatewayUrl);
    await refused.next(10);
    refused.identify({ intents: 1 << 15 });
    await refused.end();
    await clock.advance(1_000);
    await new TestClient(discord.gatewayUrl).next(10);
    expect(rules()).toEqual(["identify.disallowed-intents"]);
    await clock.advance(1);
    await new TestClient(discord.gatewayUrl).next(10);
    expect(rules()).toEqual(["identify.disallowed-intents", "dial.after-fatal"]);
    discord.faults.gateway.setPrivilegedIntents(1 << 15);
    await new TestClient(discord.gatewayUrl).next(10);
    expect(rules()).toHaveLength(2);
  });
});

describe("events", () => {
  it("follow the intents, and events without a server go to shard 0", async () => {
    await start({ shards: 2, maxConcurrency: 2 });
    await ready({ shard: [0, 2], intents: 1 | (1 << 9) });
    await ready({ shard: [1, 2], intents: 1 | (1 << 10) });
    const [even = "", odd = ""] = discord.world.guilds.keys();
    const to = (type: string, data: Record<string, unknown>) => discord.dispatch(type, data).map(({ shard }) => shard);
    expect(to("MESSAGE_DELETE", { id: "1", guild_id: even })).toEqual([0]);
    expect(to("MESSAGE_DELETE", { id: "1", guild_id: odd })).toEqual([]);
    expect(to("MESSAGE_REACTION_ADD", { guild_id: odd })).toEqual([1]);
    expect(to("INTERACTION_CREATE", { id: "1" })).toEqual([0]);
    expect(to("MESSAGE_CREATE", { id: "1" })).toEqual([]);
  });

  it.each([
    { name: "a message", mentionsBot: false, intents: INTENTS, content: "" },
    { name: "a message that mentions the bot", mentionsBot: true, intents: INTENTS, content: "hello" },
    { name: "a message with the intent", mentionsBot: false, intents: INTENTS | (1 << 15), content: "hello" },
  ])("$name: content is `$content`", async ({ mentionsBot, intents, content }) => {
    await start({ privilegedIntents: 1 << 15 });
    const { client } = await ready({ intents });
    const [guild] = discord.world.guilds.values();
    const channelId = guild?.channels[0]?.id ?? "";
    discord.sendMessage({
      guildId: guild?.id,
      channelId,
      authorId: guild?.ownerId ?? "",
      content: "hello",
      mentionsBot,
    });
    expect((await client.next("MESSAGE_CREATE")).d).toMatchObject({ content, guild_id: guild?.id });
  });

  it("of a direct message keep their content", async () => {
    await start();
    const { client } = await ready({ intents: 1 << 12 });
    const author = discord.world.addUser();
    discord.sendMessage({ channelId: discord.world.addDirectChannel().id, authorId: author.id, content: "hello" });
    expect((await client.next("MESSAGE_CREATE")).d).toMatchObject({ content: "hello" });
  });
});
