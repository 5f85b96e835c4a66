// RESUME and whole sessions over real sockets: a good client has no violation, each breach is counted.

import { describe, expect, it } from "vitest";
import { type DialOptions, TestClient, TOKEN } from "./client.ts";
import { clock, discord, ready, resume, rules, simulatePerTest, start } from "./fixture.ts";

simulatePerTest();

describe("a good client", () => {
  it.each<DialOptions>([{}, { compress: "zlib-stream" }, { compress: "zstd-stream" }])(
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
