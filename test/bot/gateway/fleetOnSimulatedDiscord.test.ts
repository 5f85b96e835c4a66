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

type Fault = [string, (faults: SimulatedDiscord["faults"]["gateway"]) => void];

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

  it.each<Fault>([
    ["a TCP reset", (faults) => faults.reset("all")],
    ["op 7", (faults) => faults.reconnect("all")],
    ["op 9 true", (faults) => faults.invalidSession("all", true)],
    ...[1000, 1001, 4000, 4001, 4002, 4005, 4008, 4242].map(
      (code): Fault => [`close ${code}`, (faults) => faults.close("all", code)],
    ),
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
      "no acknowledgements and a slow answer to the close",
      (faults) => {
        faults.noAcks("all");
        faults.ignoreClose("all", 3_000);
      },
    ],
    ["acknowledgements later than the next beat", (faults) => faults.lateAcks("all", 11_000)],
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

  it.each<Fault>([
    ["op 9 false", (faults) => faults.invalidSession("all", false)],
    ...[4003, 4007, 4009].map((code): Fault => [`close ${code}`, (faults) => faults.close("all", code)]),
    ["an outage that outlives the sessions", (faults) => faults.outage({ durationMs: 200_000 })],
    [
      "more events missed than a replay holds",
      (faults) => {
        faults.outage({ durationMs: 10_000 });
        for (let event = 0; event < 5; event++) say("missed");
        faults.replayLimit(2);
      },
    ],
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

  it("acknowledgements that come before the next beat cost no connection", async () => {
    const subject = await ready(4, { heartbeatIntervalMs: 10_000 });
    discord.faults.gateway.lateAcks("all", 9_000);
    await clock.pass(300_000);
    expect(discord.counts).toMatchObject({ dials: 4, identifies: 4 });
    expect(subject.telemetry.samples.get("HeartbeatAckMilliseconds")?.at(-1)).toBeGreaterThanOrEqual(9_000);
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
