// The fleet's promises in numbers, over real sockets against the simulated Discord, measured on a clock that both share.

import { describe, expect, it } from "vitest";
import { createDispatcher } from "../../../bot/gateway/dispatch.ts";
import { allReady, begin, clock, discord, discordPerTest, ready } from "./fleetOnDiscord.ts";

const BEAT_MS = 41_250;

discordPerTest();

describe("over real sockets", () => {
  it.each([
    { maxConcurrency: 1, rulesMs: 75_000 },
    { maxConcurrency: 4, rulesMs: 15_000 },
  ])("16 shards at max_concurrency $maxConcurrency are ready within 0.5 s of $rulesMs ms", async (row) => {
    const started = await begin(16, { maxConcurrency: row.maxConcurrency });
    const took = await clock.until("ready", allReady(started, 16), 120_000);
    expect(took).toBeGreaterThanOrEqual(row.rulesMs);
    expect(took).toBeLessThanOrEqual(row.rulesMs + 500);
    expect(discord.counts.identifies).toBe(16);
    expect(discord.violations).toEqual([]);
  });

  it.each(["refuse", "reset"] as const)(
    "an outage of 30 s (%s) costs 8 shards no IDENTIFY, under 60 dials, 5 s",
    async (how) => {
      const started = await ready(8);
      await clock.pass(60_000);
      const { dials } = discord.counts;
      let over = false;
      discord.faults.gateway.outage({ how });
      await clock.pass(30_000);
      void discord.faults.gateway.endOutage().then(() => {
        over = true;
      });
      await clock.until("the outage's end", () => over, 100);
      expect(await clock.until("ready", allReady(started, 8), 5_000)).toBeLessThanOrEqual(5_000);
      // Refused dials meet no listener; the fleet has counted them.
      expect((started.telemetry.counts.get("Dials") ?? 0) - 8).toBeLessThan(60);
      expect(discord.counts.dials - dials).toBeLessThan(60);
      expect(discord.counts.identifies).toBe(8);
      expect(discord.violations).toEqual([]);
    },
  );

  it.each(["no acknowledgements", "a black hole"])(
    "%s: left within two intervals and 1 s, though no close is answered",
    async (what) => {
      const started = await ready(4, { heartbeatIntervalMs: BEAT_MS });
      await clock.pass(100_000);
      const faults = discord.faults.gateway;
      if (what === "a black hole") faults.blackHole("all");
      else {
        faults.noAcks("all");
        faults.ignoreClose("all");
      }
      const resumed = () => started.telemetry.counts.get("ResumesSucceeded") === 4;
      expect(await clock.until("4 RESUMEs", resumed, 2 * BEAT_MS + 1_000)).toBeLessThanOrEqual(2 * BEAT_MS + 1_000);
      expect(discord.counts.identifies).toBe(4);
      expect(discord.violations).toEqual([]);
    },
  );

  it("1,000 sends at once cause no 4008 and no late heartbeat, and each is answered", async () => {
    const started = await ready(1, { guilds: 1, heartbeatIntervalMs: 10_000, privilegedIntents: 2 }, { intents: 515 });
    const [guild] = discord.world.guilds.values();
    let answered = 0;
    let failed = 0;
    for (let ask = 0; ask < 1_000; ask++) {
      if (ask < 100) started.fleet.setPresence({ status: ask % 2 === 0 ? "online" : "idle" });
      const query = { guildId: guild?.id ?? "", userIds: [guild?.ownerId ?? ""] };
      started.fleet.requestGuildMembers(query).then(
        () => answered++,
        () => failed++,
      );
    }
    await clock.until("all settled", () => answered + failed === 1_000, 900_000);
    expect(failed).toBe(0);
    expect(started.fleet.status().shards[0]?.lastClose).toBeNull();
    expect(started.telemetry.counts.get("MissedHeartbeatAcks")).toBeUndefined();
    const sent = started.telemetry.samples.get("PayloadsPerMinute") ?? [];
    expect(Math.max(...sent)).toBeGreaterThan(100);
    expect(Math.max(...sent)).toBeLessThanOrEqual(118);
    expect(discord.violations).toEqual([]);
  });

  it("a handler of 30 s under a burst of 1,000 events causes no reconnect", async () => {
    let handled = 0;
    const dispatcher = createDispatcher({
      clock,
      telemetry: { count() {}, level() {}, observe() {}, event() {}, log() {}, flush() {} },
      handler: (type) => (type === "MESSAGE_CREATE" ? () => clock.sleep(handled++ === 0 ? 30_000 : 1) : undefined),
      waitDeadlineMs: 300_000,
      runDeadlineMs: 900_000,
    });
    const started = await ready(
      1,
      { guilds: 1, heartbeatIntervalMs: 10_000 },
      {
        onDispatch: (shard, sequence, type, data) => dispatcher.dispatch(shard, sequence, type, data),
        onSession: dispatcher.onSession,
      },
    );
    const [guild] = discord.world.guilds.values();
    const channelId = guild?.channels[0]?.id ?? "";
    for (let burst = 0; burst < 1_000; burst++) {
      discord.sendMessage({ guildId: guild?.id ?? "", channelId, authorId: guild?.ownerId ?? "", content: `${burst}` });
    }
    await clock.until("all handled", () => handled === 1_000, 60_000);
    expect(discord.counts.dials).toBe(1);
    expect(started.fleet.status().shards[0]?.lastClose).toBeNull();
    expect(discord.violations).toEqual([]);
  });

  it("a budget of 2 with 4 shards: by default nobody starts, it says until when and what overrides it", async () => {
    const started = await begin(4, { identifyRemaining: 2, resetAfterMs: 600_000 });
    await clock.pass(590_000);
    expect(discord.counts).toMatchObject({ dials: 0, identifies: 0 });
    expect(started.fleet.status().shards.map(({ state }) => state)).toEqual(Array(4).fill("waitingForBudget"));
    const waiting = started.telemetry.events.find(({ name }) => name === "identify.waiting")?.fields;
    expect(waiting).toMatchObject({ left: 2, reserve: 100, fix: expect.stringContaining("IDENTIFY_OVERRIDE=on") });
    const waitsMs = Date.parse(String(waiting?.["until"])) - clock.wall();
    expect(await clock.until("ready", allReady(started, 4), waitsMs + 15_000)).toBeGreaterThan(waitsMs - 100);
    expect(discord.violations).toEqual([]);
  });

  it("a budget of 2 with 4 shards and no reserve: two start, two wait for the reset", async () => {
    const started = await begin(4, { identifyRemaining: 2, resetAfterMs: 600_000 }, { identifyReserve: 0 });
    await clock.pass(590_000);
    expect(discord.counts.identifies).toBe(2);
    expect(started.ready()).toBe(2);
    expect(started.fleet.status().shards.filter(({ state }) => state === "waitingForBudget")).toHaveLength(2);
    await clock.until("ready", allReady(started, 4), 25_000);
    expect(discord.violations).toEqual([]);
  });
});
