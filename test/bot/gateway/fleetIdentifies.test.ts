// What a fleet spends of the IDENTIFY budget and how it learns of it, on a virtual clock against a strict gateway.

import { describe, expect, it } from "vitest";
import { createIdentifyPermits, sharedBudget } from "../../../bot/ledger/identifyPermits.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import { virtualClock } from "../../virtualClock.ts";
import { ready, virtualFleet } from "./virtualFleet.ts";

describe("the daily budget", () => {
  it("holds everybody at the default reserve, says until when, and goes on by itself", async () => {
    const subject = virtualFleet(2, 4);
    subject.gateway.maxConcurrency = 4;
    subject.gateway.remaining = 2;
    subject.fleet.start();
    await subject.clock.advance(1_000_000);
    expect(subject.gateway.identifies).toEqual([]);
    expect(subject.gateway.dials).toEqual([]);
    expect(subject.fleet.status().shards.map(({ state }) => state)).toEqual(Array(4).fill("waitingForBudget"));
    expect(subject.telemetry.levels.get("WaitingForBudget")).toBe(1);
    const waiting = subject.telemetry.events.filter(({ name }) => name === "identify.waiting");
    expect(waiting.length).toBeLessThanOrEqual(3);
    expect(waiting[0]?.fields).toMatchObject({ left: 2, reserve: 100 });
    expect(String(waiting[0]?.fields["fix"])).toContain("IDENTIFY_OVERRIDE=on");
    // A ban of REST tells nothing about the budget: they wait all the same.
    subject.fleet.setRestBan(subject.clock.wall() + 60_000);
    expect(subject.telemetry.levels.get("WaitingForBudget")).toBe(1);
    expect(subject.fleet.status().identify.waitingUntil).not.toBeNull();
    subject.fleet.setRestBan(undefined);
    subject.gateway.remaining = 1000;
    expect(await subject.runUntil(() => subject.ready() === 4, 3_700_000, 1_000)).toBeDefined();
    expect(subject.telemetry.levels.get("WaitingForBudget")).toBe(0);
  });

  it.each([{ identifyReserve: 0 }, { identifyOverride: true }])("spends what is left with %j", async (options) => {
    const subject = virtualFleet(2, 4, options);
    subject.gateway.maxConcurrency = 4;
    subject.gateway.remaining = 2;
    subject.fleet.start();
    await subject.clock.advance(60_000);
    expect(subject.ready()).toBe(2);
    expect(subject.gateway.identifies).toHaveLength(2);
    const states = subject.fleet.status().shards.map(({ state }) => state);
    expect(states.filter((state) => state === "waitingForBudget")).toHaveLength(2);
    expect(subject.gateway.violations).toEqual([]);
    subject.gateway.remaining = 1000;
    expect(await subject.runUntil(() => subject.ready() === 4, 3_700_000, 1_000)).toBeDefined();
  });

  it("is read once when a new day begins, though nobody identifies", async () => {
    const subject = await ready(4);
    expect(subject.telemetry.levels.get("IdentifiesRemaining")).toBe(996);
    expect(subject.fetches).toBe(1);
    subject.gateway.remaining = 1000;
    await subject.clock.advance(3_500_000);
    expect(subject.fetches).toBe(1);
    await subject.clock.advance(200_000);
    expect(subject.fetches).toBe(2);
    expect(subject.telemetry.levels.get("IdentifiesRemaining")).toBe(1000);
    expect(subject.gateway.identifies).toHaveLength(4);
  });

  it("is read again when the answer is old, and never hammered while it fails", async () => {
    let fails = false;
    let asked = 0;
    const subject = await ready(1, {
      async fetchGateway() {
        asked++;
        if (fails) throw new Error("down");
        return {
          url: "wss://gateway.test",
          shards: 1,
          total: 1000,
          remaining: 900,
          resetAfterMs: 3_600_000,
          maxConcurrency: 1,
        };
      },
    });
    await subject.clock.advance(700_000);
    fails = true;
    for (const peer of [...subject.gateway.peers]) peer.end(4009);
    await subject.clock.advance(300_000);
    expect(subject.gateway.identifies).toHaveLength(1);
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(120);
    fails = false;
    expect(await subject.runUntil(() => subject.ready() === 1, 60_000)).toBeDefined();
  });
});

describe("GET /gateway/bot", () => {
  const answer = {
    url: "wss://gateway.test",
    shards: 2,
    total: 1000,
    remaining: 900,
    resetAfterMs: 3_600_000,
    maxConcurrency: 1,
  };

  it.each([2, "auto"] as const)("is asked once at a start with SHARD_COUNT=%s", async (shardCount) => {
    const subject = virtualFleet(1, 2, { shardCount });
    subject.fleet.start();
    expect(await subject.runUntil(() => subject.ready() === 2, 20_000)).toBeDefined();
    expect(subject.fetches).toBe(1);
  });

  it("is not asked while REST is banned, in silence, and within a second of the lift", async () => {
    let asked = 0;
    const subject = virtualFleet(1, 2, {
      async fetchGateway() {
        asked++;
        return answer;
      },
    });
    subject.fleet.setRestBan(subject.clock.wall() + 3_600_000);
    subject.fleet.start();
    await subject.clock.advance(1_800_000);
    expect(asked).toBe(0);
    expect(subject.telemetry.lines.filter(({ message }) => message.includes("/gateway/bot"))).toEqual([]);
    subject.fleet.setRestBan(undefined);
    expect(await subject.runUntil(() => asked === 1, 1_000)).toBeDefined();
    expect(await subject.runUntil(() => subject.ready() === 2, 10_000)).toBeDefined();
  });

  it("that a ban refuses while it is asked is no news, and a lift cuts its backoff short", async () => {
    let banned = true;
    let asked = 0;
    const subject = virtualFleet(1, 2, {
      async fetchGateway() {
        asked++;
        if (banned) {
          subject.fleet.setRestBan(subject.clock.wall() + 3_600_000);
          throw new Error("banned");
        }
        return answer;
      },
    });
    subject.fleet.start();
    await subject.clock.advance(1_800_000);
    expect(asked).toBe(1);
    expect(subject.telemetry.lines.filter(({ message }) => message.includes("/gateway/bot"))).toEqual([]);
    banned = false;
    subject.fleet.setRestBan(undefined);
    expect(await subject.runUntil(() => asked === 2, 1_000)).toBeDefined();
  });
});

describe("after a start by RESUME, GET /gateway/bot", () => {
  /** A fleet of 4 that has resumed every session, none of it by the answer below. */
  const resumed = async (options: { fails?: () => boolean; banned?: boolean } = {}) => {
    const first = await ready(4);
    const { clock, gateway } = first;
    void first.fleet.stop({ keepSessions: true });
    await clock.advance(1_000);
    const asked: number[] = [];
    const second = virtualFleet(2, 4, {
      clock,
      connect: gateway.connect,
      storedSessions: first.fleet.sessions(),
      async fetchGateway() {
        asked.push(clock.now() - from);
        if (options.fails?.()) throw new Error("down");
        return { url: "wss://gateway.test", shards: 5, ...BUDGET };
      },
    });
    const from = clock.now();
    if (options.banned) second.fleet.setRestBan(clock.wall() + 3_600_000);
    second.fleet.start();
    await clock.advance(59_000);
    expect(second.ready()).toBe(4);
    expect(gateway.resumes).toHaveLength(4);
    expect(asked).toEqual([]);
    return { ...second, clock, gateway, asked };
  };
  const BUDGET = { total: 1000, remaining: 990, resetAfterMs: 3_600_000, maxConcurrency: 16 };

  it("is asked once a minute or two later, for what is left and for the count, and then day by day", async () => {
    const { fleet, clock, telemetry, asked } = await resumed();
    expect(fleet.status().identify).toMatchObject({ left: null, total: null, resetAt: null });
    await clock.advance(70_000);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toBeGreaterThanOrEqual(60_000);
    expect(fleet.status().identify).toMatchObject({ left: 990, total: 1000, reserve: 100 });
    expect(telemetry.levels.get("IdentifiesRemaining")).toBe(990);
    expect(telemetry.levels.get("ReshardAdvised")).toBe(1);
    await clock.advance(3_500_000);
    expect(asked).toHaveLength(1);
    await clock.advance(200_000);
    expect(asked).toHaveLength(2);
    void fleet.stop({ keepSessions: true });
    await clock.advance(1_000);
    expect(clock.pending()).toBe(0);
  });

  it("is asked by the first IDENTIFY alone where that comes before", async () => {
    const { clock, gateway, asked } = await resumed();
    [...gateway.peers][0]?.end(4009);
    await clock.advance(3_000_000);
    expect(gateway.identifies).toHaveLength(5);
    expect(asked).toHaveLength(1);
  });

  it("is not asked while REST is banned, nor by a fleet that has stopped", async () => {
    const { fleet, clock, asked } = await resumed({ banned: true });
    await clock.advance(600_000);
    expect(asked).toEqual([]);
    fleet.setRestBan(undefined);
    await clock.advance(1_000);
    expect(asked).toHaveLength(1);
    const other = await resumed();
    void other.fleet.stop({ keepSessions: true });
    await other.clock.advance(1_000);
    expect(other.clock.pending()).toBe(0);
  });

  it("is asked again slowly while it fails, and at once when an IDENTIFY needs it", async () => {
    let fails = true;
    const { fleet, clock, gateway, asked } = await resumed({ fails: () => fails });
    await clock.advance(7_200_000);
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.length).toBeLessThan(40);
    expect(asked.every((at, index) => index === 0 || at - (asked[index - 1] ?? 0) >= 60_000)).toBe(true);
    fails = false;
    const before = asked.length;
    [...gateway.peers][0]?.end(4009);
    await clock.advance(15_000);
    expect(asked.length).toBe(before + 1);
    expect(fleet.status().ready).toBe(4);
  });
});

describe("IDENTIFYs", () => {
  it("that nobody answers are not followed by the other shards' of the key", async () => {
    const subject = virtualFleet(1, 16);
    subject.gateway.answersIdentify = false;
    subject.fleet.start();
    await subject.clock.advance(600_000);
    expect(subject.gateway.identifies.length).toBeGreaterThan(2);
    expect(subject.gateway.identifies.length).toBeLessThanOrEqual(25);
    subject.gateway.answersIdentify = true;
    expect(await subject.runUntil(() => subject.ready() === 16, 300_000)).toBeDefined();
    expect(subject.gateway.violations).toEqual([]);
  });

  it("without leave are not sent, and keep nobody else from theirs", async () => {
    let denials = 3;
    const subject = virtualFleet(1, 3, {
      async identifyPermit() {
        if (denials-- > 0) throw new Error("another process has the key");
        return "granted";
      },
    });
    subject.fleet.start();
    const took = await subject.runUntil(() => subject.ready() === 3, 300_000);
    // Three keys, one after the other, 5 s apart; what was denied asks again within a second or two.
    expect(took).toBeLessThanOrEqual(20_000);
    expect(subject.gateway.identifies).toHaveLength(3);
    expect(subject.gateway.violations).toEqual([]);
  });

  it("of one process that ask for leave at once are each counted once by all processes together", async () => {
    const items = createMemoryItems();
    const clock = virtualClock();
    const permits = createIdentifyPermits({ clock, items });
    let asked = 0;
    const subject = virtualFleet(1, 8, {
      async identifyPermit(shard, maxConcurrency, budget) {
        // Whoever asks last is answered first.
        await subject.clock.sleep(1_000 - 100 * asked++);
        return permits.take(`${shard % maxConcurrency}`, budget && { ...budget, maxConcurrency });
      },
    });
    subject.gateway.maxConcurrency = 8;
    subject.gateway.remaining = 950;
    subject.fleet.start();
    expect(await subject.runUntil(() => subject.ready() === 8, 60_000)).toBeDefined();
    expect(await sharedBudget(items)).toMatchObject({ left: 942 });
  });

  it("that other processes have spent too are waited for as one's own are, and come back at the reset", async () => {
    let left: number | undefined = 100;
    const subject = virtualFleet(1, 3, {
      identifyPermit: async () => (left === undefined ? "granted" : { left }),
    });
    subject.gateway.remaining = 950;
    subject.fleet.start();
    await subject.clock.advance(5_000);
    expect(subject.fleet.status().shards.map(({ state }) => state)).toEqual(Array(3).fill("waitingForBudget"));
    expect(subject.fleet.status().identify).toMatchObject({ left: 100, reserve: 100 });
    expect(subject.telemetry.levels.get("WaitingForBudget")).toBe(1);
    expect(subject.telemetry.levels.get("IdentifiesRemaining")).toBe(100);
    const waiting = subject.telemetry.events.filter(({ name }) => name === "identify.waiting");
    expect(waiting.map(({ fields }) => fields["left"])).toEqual([100]);
    expect(subject.gateway.identifies).toEqual([]);
    left = undefined;
    const took = await subject.runUntil(() => subject.ready() === 3, 3_700_000, 1_000);
    expect(took).toBeDefined();
    expect(subject.gateway.violations).toEqual([]);
  });

  it("are held back from the start on, however late the shard count is known", async () => {
    let fails = true;
    const subject = virtualFleet(1, 2, {
      shardCount: "auto",
      identifyDelayMs: 60_000,
      async fetchGateway() {
        if (fails) throw new Error("down");
        return {
          url: "wss://gateway.test",
          shards: 2,
          total: 1000,
          remaining: 900,
          resetAfterMs: 3_600_000,
          maxConcurrency: 2,
        };
      },
    });
    subject.fleet.start();
    await subject.clock.advance(50_000);
    fails = false;
    expect(await subject.runUntil(() => subject.gateway.identifies.length > 0, 60_000)).toBeDefined();
    expect(subject.gateway.identifies[0]?.at).toBeGreaterThanOrEqual(60_000);
    expect(subject.gateway.identifies[0]?.at).toBeLessThan(85_000);
  });
});
