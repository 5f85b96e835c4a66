// The dial queue: nobody waits in good times, one probe goes in bad ones, and a dead host is known to all.

import { describe, expect, it } from "vitest";
import { type DialQueue, dialQueue } from "../../../bot/gateway/dialQueue.ts";

const half = () => 0.5;
const RESUME = "wss://resume.test";
const GENERIC = "wss://gateway.test";

/** A queue whose shards all dial. */
const dialling = (shards: number): DialQueue => {
  const queue = dialQueue(shards);
  for (let shard = 0; shard < shards; shard++) queue.ask(shard, -10_000, false, -10_000, half);
  queue.step(-10_000, half);
  return queue;
};

describe("the dial queue", () => {
  it("lets all dial at once in good times, up to its budget a second", () => {
    const queue = dialQueue(70);
    for (let shard = 0; shard < 200; shard++) queue.ask(shard, 0, false, 0, half);
    expect(queue.step(0, half).dial).toHaveLength(70);
    expect(queue.step(999, half).dial).toHaveLength(0);
    expect(queue.step(1_000, half).dial).toHaveLength(70);
  });

  it("opens when half of those that want a connection fail within 5 s, then probes with one at a time", () => {
    const queue = dialling(4);
    queue.failed(0, RESUME, 0, half);
    queue.ask(0, 0, false, 0, half);
    expect(queue.step(1, half).dial).toEqual([0]);
    queue.failed(1, RESUME, 100, half);
    for (const shard of [1, 2, 3]) queue.ask(shard, 20_000, false, 0, half);
    const { dial, wakeAt } = queue.step(100, half);
    expect(dial).toEqual([]);
    expect(wakeAt).toBe(100 + 750);
    expect(queue.step(850, half).dial).toEqual([1]);
    expect(queue.step(900, half).dial).toEqual([]);
    queue.failed(1, RESUME, 900, half);
    queue.ask(1, 900, false, 0, half);
    expect(queue.step(900, half)).toEqual({ dial: [], wakeAt: 900 + 1_500 });
    expect(queue.step(2_400, half).dial).toEqual([2]);
  });

  it("opens when the failures of two shards come slowly, as a black hole's do, and no HELLO between them", () => {
    for (const isHeard of [false, true]) {
      const queue = dialling(42);
      queue.failed(0, GENERIC, 0, half);
      if (isHeard) queue.hello(GENERIC, 3_000, half);
      queue.failed(1, GENERIC, 6_000, half);
      for (const shard of [0, 1]) queue.ask(shard, 6_000, false, 6_000, half);
      expect(queue.step(6_000, half).dial).toEqual(isHeard ? [0, 1] : []);
    }
  });

  it("asks nobody about an outage who waits for a turn to identify", () => {
    const queue = dialQueue(42);
    for (const shard of [0, 1, 2, 3]) queue.ask(shard, 0, false, 0, half);
    expect(queue.step(0, half).dial).toEqual([0, 1, 2, 3]);
    queue.leave(3, 1, half);
    for (const shard of [0, 1]) {
      queue.failed(shard, GENERIC, 10, half);
      queue.ask(shard, 10, false, 10, half);
    }
    expect(queue.step(10, half)).toEqual({ dial: [], wakeAt: 10 + 750 });
  });

  it("opens when two hosts fail, and a HELLO lets the others follow within a second", () => {
    const queue = dialling(100);
    queue.failed(0, RESUME, 0, half);
    queue.failed(1, GENERIC, 10, half);
    for (let shard = 0; shard < 50; shard++) queue.ask(shard, shard === 49 ? 60_000 : 5_000, shard === 49, 0, half);
    const [probe] = queue.step(1_000, half).dial;
    expect(probe).toBe(0);
    queue.hello(GENERIC, 1_100, Math.random);
    expect(queue.step(1_900, half).dial).toHaveLength(48);
    expect(queue.step(59_000, half).dial).toEqual([]);
    expect(queue.step(60_000, half).dial).toEqual([49]);
  });

  it("gives up a probe that leaves or never reports", () => {
    const queue = dialQueue(1);
    queue.failed(0, RESUME, 0, half);
    queue.ask(0, 0, false, 0, half);
    expect(queue.step(1_000, half).dial).toEqual([0]);
    queue.leave(0, 1_100, half);
    queue.ask(0, 1_100, false, 0, half);
    expect(queue.step(1_200, half).dial).toEqual([]);
    expect(queue.step(10_000, half).dial).toEqual([0]);
    queue.ask(1, 10_000, false, 10_000, half);
    expect(queue.step(29_999, half).dial).toEqual([]);
    expect(queue.step(30_000, half).dial).toEqual([1]);
  });

  it("waits out an edge ban's Retry-After before its probe", () => {
    const queue = dialQueue(8);
    queue.failed(0, RESUME, 0, half, { retryAfterMs: 90_000 });
    queue.failed(1, RESUME, 5, half, { retryAfterMs: 90_000 });
    for (const shard of [0, 1]) queue.ask(shard, 0, false, 0, half);
    expect(queue.edge()).toEqual({ since: 0, until: 90_000 });
    expect(queue.step(89_999, half).dial).toEqual([]);
    expect(queue.step(90_000, half).dial).toEqual([0]);
    queue.hello(RESUME, 90_100, half);
    expect(queue.edge()).toBeNull();
  });

  it("lets dials through one by one while REST is banned", () => {
    const queue = dialQueue(8);
    queue.restBan(60_000);
    for (const shard of [0, 1, 2]) queue.ask(shard, 0, false, 0, half);
    expect(queue.step(0, half)).toEqual({ dial: [0], wakeAt: 3_000 });
    expect(queue.step(2_999, half).dial).toEqual([]);
    expect(queue.step(3_000, half).dial).toEqual([1]);
    queue.restBan(undefined);
    expect(queue.step(3_001, half).dial).toEqual([2]);
  });

  it("knows a host that failed twice, until it answers", () => {
    const queue = dialQueue(100);
    queue.failed(0, RESUME, 0, half);
    expect(queue.isDown(RESUME, 10)).toBe(false);
    queue.failed(1, RESUME, 10, half);
    expect(queue.isDown(RESUME, 20)).toBe(true);
    queue.hello(RESUME, 30, half);
    expect(queue.isDown(RESUME, 40)).toBe(false);
  });

  it("remembers the hosts that failed last, not all that ever failed", () => {
    const queue = dialQueue(1_000);
    const host = (number: number) => `wss://resume-${number}.test`;
    for (let number = 0; number < 300; number++) {
      for (const shard of [0, 1]) queue.failed(shard, host(number), number, half);
    }
    expect(queue.isDown(host(0), 300)).toBe(false);
    expect(queue.isDown(host(299), 300)).toBe(true);
  });

  it("goes on when the probe is sent away before HELLO, by op 7 say", () => {
    const queue = dialQueue(1);
    queue.failed(0, RESUME, 0, half);
    queue.ask(0, 0, false, 0, half);
    expect(queue.step(750, half).dial).toEqual([0]);
    queue.ask(0, 800, false, 800, half);
    expect(queue.step(800, half)).toEqual({ dial: [], wakeAt: 800 + 1_500 });
    expect(queue.step(2_300, half).dial).toEqual([0]);
  });
});
