// A process that stood still: told apart from a dead peer, and a suspended machine's connections are tried at once.

import { describe, expect, it } from "vitest";
import type { Clock } from "../../../bot/clock.ts";
import { type Stall, watchStalls } from "../../../bot/gateway/stallWatch.ts";
import { virtualClock } from "../../virtualClock.ts";
import { virtualFleet } from "./virtualFleet.ts";

describe("the stall watch", () => {
  it.each([
    { loopMs: 0, suspendedMs: 0, told: [] },
    { loopMs: 1_900, suspendedMs: 0, told: [] },
    { loopMs: 5_000, suspendedMs: 0, told: [{ gapMs: 5_000, cause: "loop" }] },
    { loopMs: 0, suspendedMs: 600_000, told: [{ gapMs: 600_000, cause: "suspend" }] },
  ])("loop $loopMs ms, suspended $suspendedMs ms", async ({ loopMs, suspendedMs, told }) => {
    const real = virtualClock();
    let behindMs = 0;
    let asleepMs = 0;
    const clock: Clock = { ...real, now: () => real.now() + behindMs, wall: () => real.wall() + behindMs + asleepMs };
    const stalls: Stall[] = [];
    const stop = watchStalls(clock, (stall) => stalls.push(stall));
    await real.advance(10_500);
    behindMs = loopMs;
    asleepMs = suspendedMs;
    await real.advance(10_000);
    stop();
    expect(stalls).toEqual(told);
    expect(real.pending()).toBe(0);
  });
});

describe("a machine that was suspended", () => {
  it("beats at once, and leaves what does not answer within 5 s", async () => {
    const subject = virtualFleet(4, 1);
    const { clock, gateway } = subject;
    const wall = clock.wall.bind(clock);
    let asleepMs = 0;
    clock.wall = () => wall() + asleepMs;
    subject.fleet.start();
    await subject.runUntil(() => subject.ready() === 1, 10_000);
    await clock.advance(100_000);
    for (const peer of gateway.peers) peer.deaf = true;
    asleepMs = 60_000;
    expect(await subject.runUntil(() => gateway.resumes.length === 1, 60_000)).toBeLessThanOrEqual(1_000 + 5_000 + 600);
    expect(subject.telemetry.events.find(({ name }) => name === "process.stalled")?.fields).toEqual({
      gapMs: 60_000,
      cause: "suspend",
    });
  });
});

describe("a peer whose bytes we have not read yet", () => {
  it("is not taken for dead, and is once they are read and no ACK was among them", async () => {
    const subject = virtualFleet(4, 1);
    const { clock, gateway } = subject;
    subject.fleet.start();
    await subject.runUntil(() => subject.ready() === 1, 10_000);
    for (const peer of gateway.peers) {
      peer.behind = true;
      peer.acknowledges = false;
    }
    await clock.advance(600_000);
    expect(gateway.closes).toEqual([]);
    for (const peer of gateway.peers) peer.behind = false;
    await clock.advance(6_000);
    expect(gateway.closes).toEqual([{ code: 4000 }]);
    expect(subject.ready()).toBe(1);
    expect(gateway.violations).toEqual([]);
  });
});
