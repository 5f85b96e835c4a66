// The fleet against the simulated Discord, which is written from the documentation alone: faults one by one, no rule broken.

import { describe, expect, it } from "vitest";
import { systemClock } from "../../../bot/clock.ts";
import type { SimulatedDiscord } from "../../discord/index.ts";
import { allReady, clock, discord, discordPerTest, next, ready } from "./fleetOnDiscord.ts";
import type { FleetUnderTest } from "./fleetUnderTest.ts";

discordPerTest();

/** Each server hears one message more, live or replayed. */
function say(content: string): number {
  for (const guild of discord.world.guilds.values()) {
    const channelId = guild.channels[0]?.id ?? "";
    discord.sendMessage({ guildId: guild.id, channelId, authorId: guild.ownerId, content });
  }
  return discord.world.guilds.size;
}

const messages = (subject: FleetUnderTest): number =>
  subject.dispatched.filter(({ type }) => type === "MESSAGE_CREATE").length;

describe("against the simulated Discord", () => {
  it.each(["zstd-stream", "zlib-stream", "none"] as const)("4 shards start over %s", async (compression) => {
    // Compressing goes on in threads, where no still clock sees it.
    const subject = await ready(4, { guilds: 12 }, { compression, clock: systemClock() });
    const said = say("hello");
    await subject.until("the messages", () => messages(subject) === said);
    expect(discord.counts.identifies).toBe(4);
    expect(discord.violations).toEqual([]);
  });

  it.each<[string, (faults: SimulatedDiscord["faults"]["gateway"]) => void]>([
    ["a TCP reset", (faults) => faults.reset("all")],
    ["op 7", (faults) => faults.reconnect("all")],
    ["op 9 true", (faults) => faults.invalidSession("all", true)],
    ["close 1000", (faults) => faults.close("all", 1000)],
    ["close 4000", (faults) => faults.close("all", 4000)],
    ["close 4008", (faults) => faults.close("all", 4008)],
    ["a black hole", (faults) => faults.blackHole("all")],
    ["no acknowledgements", (faults) => faults.noAcks("all")],
    [
      "no acknowledgements and no answer to the close",
      (faults) => {
        faults.noAcks("all");
        faults.ignoreClose("all");
      },
    ],
    [
      "op 7 before HELLO",
      (faults) => {
        faults.greetings("reconnect only", "reconnect then hello");
        faults.reset("all");
      },
    ],
    [
      "a replay that is cut",
      (faults) => {
        faults.cutReplay(1);
        faults.reset("all");
      },
    ],
    [
      "a dead resume host",
      (faults) => {
        faults.resumeHostDead();
        faults.reset("all");
      },
    ],
    ["an outage of 30 s", (faults) => faults.outage({ durationMs: 30_000 })],
    [
      "an edge ban",
      (faults) => {
        faults.refuseUpgrades({ status: 429, retryAfterSeconds: 20, durationMs: 20_000 });
        faults.reset("all");
      },
    ],
  ])("%s costs no IDENTIFY and loses no event", async (_what, fault) => {
    const subject = await ready(4, { guilds: 4, heartbeatIntervalMs: 10_000 });
    const resumes = () => subject.sessions.filter(({ session }) => session === "resumed").length;
    fault(discord.faults.gateway);
    const said = say("missed or not");
    await subject.until("4 RESUMEs", () => resumes() >= 4);
    await subject.until("ready", allReady(subject, 4));
    await subject.until("the messages", () => messages(subject) === said);
    expect(discord.counts.identifies).toBe(4);
    expect(discord.violations).toEqual([]);
  });

  it.each<[string, (faults: SimulatedDiscord["faults"]["gateway"]) => void]>([
    ["op 9 false", (faults) => faults.invalidSession("all", false)],
    ["close 4009", (faults) => faults.close("all", 4009)],
    [
      "refused IDENTIFYs",
      (faults) => {
        faults.close("all", 4009);
        faults.refuseIdentifies(2);
      },
    ],
  ])("%s: 4 shards identify again within the rules", async (_what, fault) => {
    const subject = await ready(4, { maxConcurrency: 2 });
    fault(discord.faults.gateway);
    await subject.until("dropped", () => subject.sessions.filter(({ session }) => session === "dropped").length === 4);
    await subject.until("ready", allReady(subject, 4));
    expect(discord.violations).toEqual([]);
  });

  it("a process that ends and its successor: 4 RESUMEs, no IDENTIFY, every event of the gap once", async () => {
    const first = await ready(4, { guilds: 4 });
    await first.stop(true);
    const said = say("in the gap");
    const second = next(4, { stored: first.fleet.sessions() });
    await second.until("ready", allReady(second, 4));
    await second.until("the messages", () => messages(second) === said);
    expect(discord.counts).toMatchObject({ identifies: 4, resumed: 4 });
    expect(second.fetches).toBe(0);
    expect(discord.violations).toEqual([]);
  });

  it("privileged intents that are switched off: fatal, and nobody dials again", async () => {
    const options = { intents: 513 | 32_768, intentNames: ["MESSAGE_CONTENT"] as const };
    const subject = await ready(2, { privilegedIntents: 32_768 }, options);
    discord.faults.gateway.excuse("identify.disallowed-intents");
    discord.faults.gateway.setPrivilegedIntents(0);
    await subject.until("fatal", () => subject.fatals.length === 1);
    expect(subject.fatals[0]).toMatchObject({ code: "4014", fix: expect.stringContaining("Message Content Intent") });
    const { dials } = discord.counts;
    await clock.pass(20_000);
    expect(discord.counts.dials).toBe(dials);
    expect(discord.violations).toEqual([]);
  });
});
