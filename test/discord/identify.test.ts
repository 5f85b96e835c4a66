// IDENTIFY over real sockets: what is taken, what is refused, and what each breach costs.

import { describe, expect, it } from "vitest";
import { INTENTS, TestClient, TOKEN } from "./client.ts";
import { clock, discord, ready, resume, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

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
