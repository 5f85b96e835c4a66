// The client against the strict simulated Discord: no 429, no breach, order kept, one hit on a banned edge.

import { describe, expect, it, type TestContext } from "vitest";
import { type Clock, systemClock } from "../../../bot/clock.ts";
import { createRestClient, EdgeBanned, type RestClient } from "../../../bot/rest/client.ts";
import { Secret } from "../../../shared/secret.ts";
import { type SimulatedDiscord, startSimulatedDiscord } from "../../discord/index.ts";
import { recordedTelemetry, soon, TOKEN } from "./harness.ts";

/** A client of a simulated Discord, with a token of its own or another's. */
function clientOf(discord: SimulatedDiscord, clock: Clock, token = TOKEN): RestClient {
  return createRestClient({
    clock,
    random: Math.random,
    telemetry: recordedTelemetry(),
    userAgent: "DiscordBot (https://example.com, 1.0)",
    apiUrl: discord.apiUrl,
    token: new Secret(token),
    globalPerSecond: 50,
    addresses: [],
    onEdge: () => {},
    onUnauthorized: () => {},
  });
}

async function given({ onTestFinished }: TestContext, rate: number, channelsPerGuild: number) {
  const clock = systemClock(rate);
  const discord = await startSimulatedDiscord({ clock, token: TOKEN, channelsPerGuild, guilds: 1 });
  const client = clientOf(discord, clock);
  onTestFinished(async () => {
    await client.stop(0);
    await discord.stop();
  });
  const [guild] = discord.world.guilds.values();
  return { clock, discord, client, channels: guild?.channels.map((channel) => channel.id) ?? [] };
}

const limitedOf = (discord: SimulatedDiscord): unknown => discord.counts.rest.limited;
const NO_429 = { user: 0, global: 0, shared: 0 };

describe("against the simulated Discord", () => {
  it.concurrent.for([
    ["leaking buckets", false, "never"],
    ["fixed windows", true, "never"],
    ["a bucket renamed with each answer", false, "each request"],
  ] as const)("messages over 40 channels: %s", async ([, fixed, flips], test) => {
    const { discord, client, channels } = await given(test, 12, 40);
    discord.faults.rest.fixedWindows(fixed);
    if (flips !== "never") discord.faults.rest.flipHash("create message", flips);
    const perChannel = flips === "never" ? 50 : 10;
    const calls: Promise<unknown>[] = [];
    for (let number = 0; number < perChannel; number++) {
      for (const channel of channels) {
        calls.push(
          client.request({ method: "POST", path: `/channels/${channel}/messages`, body: { content: `${number}` } }),
        );
      }
    }
    await Promise.all(calls);
    expect(limitedOf(discord)).toEqual(NO_429);
    expect(discord.violations).toEqual([]);
    expect(discord.counts.rest.messagesCreated).toBe(perChannel * 40);
    for (const channel of discord.world.channels.values()) {
      const contents = [...channel.messages.values()].map((message) => Number(message.data["content"]));
      expect(contents).toEqual([...contents.keys()]);
    }
  });

  it("a long ban costs one hit", async (test) => {
    const { discord, client, channels } = await given(test, 1, 5);
    discord.faults.rest.banEdge({ shape: "html", retryAfterSeconds: 3600 });
    const say = (channel: string): Promise<unknown> =>
      soon(client.request({ method: "POST", path: `/channels/${channel}/messages`, body: { content: "x" } })).catch(
        (error) => error,
      );
    expect(await say(channels[0] ?? "")).toBeInstanceOf(EdgeBanned);
    for (const result of await Promise.all(channels.map(say))) expect(result).toBeInstanceOf(EdgeBanned);
    expect(discord.counts.edgeHits).toBe(1);
    expect(discord.violations).toEqual([]);
  });

  it.for(["text-1015", "html", "static-json", "forbidden-40333"] as const)(
    "a ban as %s is waited out to the end",
    async (shape, test) => {
      const { discord, client, channels } = await given(test, 30, 5);
      const lift = discord.faults.rest.banEdge({ shape, retryAfterSeconds: 8 });
      const call = client.request({
        method: "POST",
        path: `/channels/${channels[0]}/messages`,
        body: { content: "x" },
      });
      await discord.waitFor(() => discord.counts.edgeHits === 1);
      lift();
      await call;
      expect(discord.counts.edgeHits).toBe(1);
      expect(discord.violations).toEqual([]);
    },
  );

  it("a storm of faults doubles no message and breaks no rule", async (test) => {
    const { discord, client, channels } = await given(test, 50, 10);
    const { rest } = discord.faults;
    rest.reset("POST /channels/{channel_id}/messages", { applied: true, count: 10 });
    rest.serverErrors("POST /channels/{channel_id}/messages", { applied: true, count: 10, status: 502, html: true });
    rest.truncateBody("POST /channels/{channel_id}/messages", "cut", { count: 5 });
    rest.truncateBody("POST /channels/{channel_id}/messages", "half JSON", { count: 5 });
    rest.hang("POST /channels/{channel_id}/messages", { applied: true, count: 3 });
    const results = await Promise.allSettled(
      channels.flatMap((channel) =>
        Array.from({ length: 8 }, (_, number) =>
          client.request({ method: "POST", path: `/channels/${channel}/messages`, body: { content: `${number}` } }),
        ),
      ),
    );
    expect(results).toHaveLength(80);
    for (const channel of discord.world.channels.values()) {
      const contents = [...channel.messages.values()].map((message) => message.data["content"]);
      expect(new Set(contents).size).toBe(contents.length);
    }
    expect(discord.violations).toEqual([]);
  });

  it("a bad token is shown once", async (test) => {
    const { clock, discord, client, channels } = await given(test, 1, 2);
    const wrong = clientOf(discord, clock, "wrong");
    const calls = Array.from({ length: 30 }, (_, number) =>
      wrong
        .request({ method: "GET", path: `/channels/${channels[0]}/messages`, query: { limit: number + 1 } })
        .catch((error: unknown) => error),
    );
    await Promise.all(calls);
    await wrong.stop(0);
    expect(discord.counts.rest.unauthorized).toBe(1);
    expect(client.status().unauthorized).toBe(false);
  });
});
