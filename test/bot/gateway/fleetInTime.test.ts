// The fleet's promises about time, on a virtual clock against a strict gateway: starts, outages, zombies, bans.

import { describe, expect, it } from "vitest";
import { ready, virtualFleet } from "./virtualFleet.ts";

describe("first start", () => {
  it.each([
    { shards: 16, concurrency: 1, rulesMs: 75_000 },
    { shards: 16, concurrency: 4, rulesMs: 15_000 },
    { shards: 16, concurrency: 16, rulesMs: 0 },
  ])("$shards shards at max_concurrency $concurrency are ready within 0.5 s of the rules' $rulesMs ms", async (row) => {
    const subject = virtualFleet(3, row.shards);
    subject.gateway.maxConcurrency = row.concurrency;
    subject.fleet.start();
    const took = await subject.runUntil(() => subject.ready() === row.shards, 200_000, 10);
    expect(took).toBeGreaterThanOrEqual(row.rulesMs);
    expect(took).toBeLessThanOrEqual(row.rulesMs + 500);
    expect(subject.gateway.violations).toEqual([]);
    expect(subject.fetches).toBe(1);
    const order = subject.gateway.identifies.map(({ shard }) => Math.floor(shard / row.concurrency));
    expect(order).toEqual(order.toSorted((one, other) => one - other));
  });
});

describe("an outage of 30 s", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "costs 8 shards no IDENTIFY, few dials and 5 s of recovery (seed %i)",
    async (seed) => {
      const subject = await ready(8, {}, seed);
      const { gateway, clock } = subject;
      await clock.advance(60_000);
      const before = { dials: gateway.dials.length, identifies: gateway.identifies.length };
      gateway.fallback = "refuses";
      for (const peer of [...gateway.peers]) peer.end(undefined);
      await clock.advance(30_000);
      gateway.publish("MESSAGE_CREATE");
      gateway.fallback = "up";
      const took = await subject.runUntil(() => subject.ready() === 8, 60_000);
      expect(took).toBeLessThanOrEqual(5_000);
      expect(gateway.identifies.length).toBe(before.identifies);
      expect(gateway.dials.length - before.dials).toBeLessThan(60);
      expect(subject.handled.filter(({ type }) => type === "MESSAGE_CREATE")).toHaveLength(8);
      expect(gateway.violations).toEqual([]);
    },
  );

  it("is over within 5 s for shards that have no session yet", async () => {
    const subject = virtualFleet(5, 4);
    subject.gateway.maxConcurrency = 4;
    subject.gateway.fallback = "refuses";
    subject.fleet.start();
    await subject.clock.advance(300_000);
    expect(subject.gateway.dials.length).toBeLessThan(200);
    subject.gateway.fallback = "up";
    expect(await subject.runUntil(() => subject.ready() === 4, 60_000)).toBeLessThanOrEqual(5_000);
    expect(subject.gateway.violations).toEqual([]);
  });
});

describe("a busy shard", () => {
  it.each([
    [undefined, 115],
    [20, 20],
  ])("sends as much as its limit allows, %s, and no more", async (sendLimit, most) => {
    const { clock, fleet, telemetry } = await ready(1, { sendLimit });
    for (let guild = 0; guild < 500; guild++) {
      fleet.requestGuildMembers({ guildId: String(guild), userIds: ["1"] }).catch(() => {});
    }
    await clock.advance(200_000);
    const lately = telemetry.samples.get("PayloadsPerMinute") ?? [];
    expect(Math.max(...lately)).toBeLessThanOrEqual(most);
    expect(Math.max(...lately)).toBeGreaterThan(0.7 * most);
  });
});

describe("a dead peer", () => {
  it.each(["no acknowledgement", "black hole"])("is left within two intervals and a second: %s", async (kind) => {
    const subject = await ready(1);
    const { gateway, clock } = subject;
    await clock.advance(100_000);
    for (const peer of gateway.peers) {
      if (kind === "black hole") peer.deaf = true;
      else peer.acknowledges = false;
    }
    const took = await subject.runUntil(() => gateway.resumes.length > 0, 200_000);
    expect(took).toBeLessThanOrEqual(2 * gateway.heartbeatIntervalMs + 1_000);
    expect(gateway.closes.at(-1)?.code).toBe(4000);
    await clock.advance(1_000);
    expect(subject.ready()).toBe(1);
    expect(gateway.identifies).toHaveLength(1);
    expect(subject.telemetry.counts.get("MissedHeartbeatAcks")).toBe(1);
  });

  it("that never says HELLO is left too, for the other host", async () => {
    const subject = await ready(1);
    const { gateway } = subject;
    gateway.moods.set("wss://resume-0.test", "silent");
    for (const peer of [...gateway.peers]) peer.end(undefined);
    await subject.clock.advance(100);
    expect(await subject.runUntil(() => subject.ready() === 1, 60_000)).toBeDefined();
    expect(gateway.resumes.at(-1)?.host).toBe("wss://gateway.test");
    expect(gateway.identifies).toHaveLength(1);
  });
});

describe("the resume ladder", () => {
  it("leaves a dead resume host for the generic one with the session kept", async () => {
    const subject = await ready(8);
    const { gateway } = subject;
    await subject.clock.advance(60_000);
    for (const host of [0, 1, 2]) gateway.moods.set(`wss://resume-${host}.test`, "refuses");
    for (const peer of [...gateway.peers]) peer.end(1001);
    await subject.clock.advance(100);
    expect(await subject.runUntil(() => subject.ready() === 8, 60_000)).toBeDefined();
    expect(gateway.identifies).toHaveLength(8);
    expect(subject.dropped).toEqual([]);
    expect(gateway.resumes.map(({ host }) => host)).toEqual(Array(8).fill("wss://gateway.test"));
  });

  it("gives an old session one RESUME, then identifies", async () => {
    const subject = await ready(1);
    const { gateway, clock } = subject;
    await clock.advance(60_000);
    gateway.fallback = "refuses";
    for (const peer of [...gateway.peers]) peer.end(undefined);
    await clock.advance(200_000);
    gateway.fallback = "up";
    expect(await subject.runUntil(() => subject.ready() === 1, 60_000)).toBeDefined();
    expect(gateway.resumes).toHaveLength(1);
    expect(gateway.identifies).toHaveLength(2);
    expect(subject.dropped).toEqual([0]);
  });
});

describe("bans", () => {
  it("meets an edge ban with one probe at a time, and says when it is over", async () => {
    const subject = await ready(8);
    const { gateway, clock, telemetry } = subject;
    await clock.advance(60_000);
    const before = gateway.dials.length;
    gateway.fallback = "banned";
    for (const peer of [...gateway.peers]) peer.end(undefined);
    await clock.advance(120_000);
    expect(gateway.dials.length - before).toBeLessThanOrEqual(8 + 4);
    expect(subject.fleet.status().edge.state).toBe("banned");
    expect(telemetry.events.filter(({ name }) => name === "edge.banned")).toHaveLength(1);
    gateway.fallback = "up";
    expect(await subject.runUntil(() => subject.ready() === 8, 60_000)).toBeDefined();
    const cleared = telemetry.events.filter(({ name }) => name === "edge.cleared");
    expect(cleared.map(({ fields }) => Number.isInteger(fields["bannedForMs"]))).toEqual([true]);
    expect(subject.fleet.status().edge.state).toBe("clear");
  });

  it("stops IDENTIFYs but no RESUME while REST is banned", async () => {
    const subject = await ready(4);
    const { gateway, clock } = subject;
    await clock.advance(60_000);
    subject.fleet.setRestBan(clock.wall() + 600_000);
    const [first, second, ...rest] = [...gateway.peers];
    first?.end(4009);
    second?.end(4009);
    for (const peer of rest) peer.end(4000);
    await clock.advance(60_000);
    expect(subject.ready()).toBe(2);
    expect(gateway.resumes).toHaveLength(2);
    expect(gateway.identifies).toHaveLength(4);
    subject.fleet.setRestBan(undefined);
    expect(await subject.runUntil(() => subject.ready() === 4, 60_000)).toBeDefined();
  });
});

describe("requests for members", () => {
  it("that nobody waits for any more take nobody else's turn", async () => {
    const { fleet, clock } = await ready(1);
    const abort = new AbortController();
    for (let ask = 0; ask < 500; ask++) {
      fleet.requestGuildMembers({ guildId: "1", userIds: ["1"] }, abort.signal).catch(() => {});
    }
    abort.abort(new Error("no longer wanted"));
    let answered = false;
    void fleet.requestGuildMembers({ guildId: "1", userIds: ["1"] }).then(() => {
      answered = true;
    });
    await clock.advance(5_000);
    expect(answered).toBe(true);
  });
});

describe("shards that are not there", () => {
  it("SHARD_IDS beyond the count that auto finds: said once, and nothing is dialled", async () => {
    const counts: number[] = [];
    const subject = virtualFleet(1, 2, {
      shardCount: "auto",
      shardIds: [2, 3],
      onNoShard: (count) => counts.push(count),
    });
    subject.fleet.start();
    await subject.clock.advance(900_000);
    expect(counts).toEqual([2]);
    expect(subject.gateway.dials).toEqual([]);
    expect(subject.fetches).toBe(1);
    expect(subject.clock.pending()).toBe(0);
  });

  it.each([
    [
      [1, 2, 5],
      ["SHARD_IDS has 2, 5 while SHARD_COUNT=auto finds 2, 0 to 1: leave out what is not there, or set SHARD_COUNT"],
    ],
    [[0, 1], []],
  ])("SHARD_IDS %j of two shards: those that there are run, the others are named once", async (shardIds, told) => {
    const subject = virtualFleet(1, 2, { shardCount: "auto", shardIds });
    subject.fleet.start();
    await subject.clock.advance(900_000);
    const warnings = subject.telemetry.lines.filter(({ level }) => level === "warn");
    expect(warnings.map(({ message }) => message)).toEqual(told);
    const shards = subject.fleet.status().shards.map(({ shard, state }) => [shard, state]);
    expect(shards).toEqual(shardIds.filter((id) => id < 2).map((id) => [id, "ready"]));
  });

  it.each([2, "auto"] as const)(
    "members asked for before the start wait for it, SHARD_COUNT %s",
    async (shardCount) => {
      const subject = virtualFleet(1, 2, { shardCount });
      const request = subject.fleet.requestGuildMembers({ guildId: String(1n << 22n), userIds: ["1"] });
      await subject.clock.advance(5_000);
      subject.fleet.start();
      await subject.clock.advance(15_000);
      expect(await request).toMatchObject({ members: [] });
    },
  );
});
