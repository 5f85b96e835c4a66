// Payloads, heartbeats, dials and events over real sockets, by the rules and against them.

import { describe, expect, it } from "vitest";
import { systemClock } from "../../bot/clock.ts";
import { INTENTS, TestClient, TOKEN } from "./client.ts";
import { clock, discord, ready, resume, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

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

  it("are timed by the clock that was given, however fast it runs", async () => {
    const fast = systemClock(200);
    await start({ clock: fast });
    const { client } = await ready();
    const from = fast.now();
    expect(await client.end()).toBe(4000);
    // The last heartbeat was heard a moment before `from`.
    expect((discord.violations[0]?.at ?? 0) - from).toBeGreaterThan(41_250);
    expect(rules()).toEqual(["heartbeat.late"]);
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
