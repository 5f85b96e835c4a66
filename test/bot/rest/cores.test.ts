// The cores that decide when: bucket, global limit, invalid budget, agenda.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Bucket } from "../../../bot/rest/bucket.ts";
import { GlobalLimit, InvalidBudget } from "../../../bot/rest/governor.ts";
import { Agenda } from "../../../bot/rest/queue.ts";

const says = (remaining: number, resetAfterMs: number, limit = 5, hash = "a") => ({
  hash,
  limit,
  remaining,
  resetAfterMs,
});
/** A bucket after its first answer. */
function learnt(remaining: number, resetAfterMs: number, limit = 5): Bucket {
  const bucket = new Bucket();
  bucket.reserve(0);
  bucket.release();
  bucket.learn(0, says(remaining, resetAfterMs, limit));
  return bucket;
}
function sendAll(bucket: Bucket, now: number): number {
  let sent = 0;
  for (let ready = bucket.readyAt(now); ready !== "answer" && ready <= now && sent < 100; ready = bucket.readyAt(now)) {
    bucket.reserve(now);
    sent += 1;
  }
  return sent;
}

describe("Bucket", () => {
  it("is probed by one request, and sends what remains once it is known", () => {
    const bucket = new Bucket();
    expect(sendAll(bucket, 0)).toBe(1);
    bucket.release();
    bucket.learn(100, says(4, 4900));
    expect(sendAll(bucket, 100)).toBe(4);
    expect(bucket.readyAt(100)).toBe(5000);
  });

  it("without limit headers has no limit", () => {
    const bucket = new Bucket();
    bucket.reserve(0);
    bucket.unlimited();
    expect(sendAll(bucket, 0)).toBe(100);
  });

  it("does not believe answers that overtook others", () => {
    const bucket = learnt(4, 5000);
    expect(sendAll(bucket, 10)).toBe(4);
    for (const remaining of [0, 3, 1, 2]) {
      bucket.release();
      bucket.learn(50, says(remaining, 4950));
    }
    expect(sendAll(bucket, 60)).toBe(0);
  });

  it("believes the answer to a lone request: somebody else may have left room, or taken it", () => {
    const bucket = learnt(1, 5000);
    bucket.reserve(10);
    bucket.release();
    bucket.learn(900, says(3, 5000));
    expect(sendAll(bucket, 900)).toBe(3);
  });

  it("refills to the limit, less what is still in flight", () => {
    const bucket = learnt(2, 1000);
    expect(sendAll(bucket, 0)).toBe(2);
    expect(sendAll(bucket, 999)).toBe(0);
    expect(sendAll(bucket, 1000)).toBe(3);
  });

  it("takes over what another one knows, and gets no fuller by it", () => {
    const bucket = learnt(4, 1000);
    const other = learnt(1, 5000);
    bucket.inherit(other);
    expect(sendAll(bucket, 500)).toBe(1);
    expect(bucket.readyAt(500)).toBe(5000);
  });

  it("takes over what another one has in flight", () => {
    const bucket = learnt(4, 5000);
    const other = new Bucket();
    other.reserve(0);
    bucket.adopt(other);
    expect([bucket.inFlight, other.inFlight]).toEqual([1, 0]);
    expect(sendAll(bucket, 5000)).toBe(4);
  });

  it("never gets fuller by a new hash", () => {
    const bucket = learnt(3, 5000);
    bucket.reserve(10);
    bucket.release();
    bucket.learn(20, says(1, 5000, 5, "renamed"));
    expect(sendAll(bucket, 20)).toBe(1);
  });

  it("waits for every hash that a route is counted in", () => {
    const bucket = learnt(1, 1000);
    bucket.reserve(0);
    bucket.release();
    bucket.learn(10, says(2, 8000, 3, "other"));
    expect(sendAll(bucket, 10)).toBe(0);
    expect(bucket.readyAt(10)).toBe(1000);
    expect(sendAll(bucket, 1000)).toBe(2);
    expect(bucket.readyAt(1001)).not.toBe(1001);
  });

  it("asks one by one after answers got lost", () => {
    const bucket = learnt(4, 5000);
    bucket.reserve(0);
    bucket.lost(100);
    expect(sendAll(bucket, 100)).toBe(1);
    bucket.release();
    bucket.learn(150, says(3, 4800));
    expect(sendAll(bucket, 150)).toBe(1);
    bucket.release();
    bucket.learn(200, says(2, 4700));
    expect(sendAll(bucket, 1_100)).toBe(1);
    bucket.release();
    bucket.learn(1_150, says(2, 3900));
    expect(sendAll(bucket, 1_150)).toBe(2);
  });

  it("counts on nothing for ever: with every answer lost it still sends", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 30 }),
        (limit, gaps) => {
          const bucket = learnt(limit - 1, 1000, limit);
          let now = 0;
          for (const gap of gaps) {
            now += gap;
            const sent = sendAll(bucket, now);
            for (let lost = 0; lost < sent; lost++) bucket.lost(now + 1);
          }
          const ready = bucket.readyAt(now + 2);
          expect(ready).not.toBe("answer");
          expect(ready).toBeLessThan(now + 10_000);
        },
      ),
    );
  });

  it("is idle once forgetting it loses nothing", () => {
    const bucket = learnt(4, 5000);
    expect(bucket.idle(4999)).toBe(false);
    expect(bucket.idle(5000)).toBe(true);
    bucket.block(9000);
    expect(bucket.idle(5000)).toBe(false);
  });

  it("goes on one by one for a second after a probe was given up, which may still arrive and be counted", () => {
    const bucket = new Bucket();
    bucket.reserve(0);
    bucket.lost(20);
    expect(sendAll(bucket, 20)).toBe(1);
    bucket.release();
    bucket.learn(300, says(4, 1000));
    expect(sendAll(bucket, 300)).toBe(1);
    bucket.release();
    bucket.learn(1050, says(2, 2800));
    expect(sendAll(bucket, 1050)).toBeLessThanOrEqual(2);
  });

  it("begins each burst with a lone request until one given up has surely leaked away", () => {
    // Ten slots of a second, of which two were seen taken; a third one was given up.
    const bucket = learnt(8, 1900, 10);
    bucket.reserve(100);
    bucket.lost(120);
    expect(sendAll(bucket, 8_000)).toBe(1);
    bucket.release();
    bucket.learn(8_100, says(9, 1000, 10));
    expect(sendAll(bucket, 8_100)).toBeGreaterThan(1);
  });

  it("tells at least how long a newcomer waits", () => {
    const bucket = learnt(2, 5000);
    expect(bucket.waitAtLeast(0, 1)).toBe(0);
    expect(bucket.waitAtLeast(0, 2)).toBe(5000);
    expect(bucket.waitAtLeast(0, 7)).toBe(10_000);
  });
});

describe("GlobalLimit", () => {
  it("lets no second of the server's see more than the limit, however long answers take", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: 2000 }),
            fc.double({ min: 0, max: 1, noNaN: true }),
            fc.constantFrom<"settled" | "lost">("settled", "settled", "lost"),
          ),
          { minLength: 30, maxLength: 120 },
        ),
        (limit, latencies) => {
          const global = new GlobalLimit(limit);
          const arrivals: number[] = [];
          const ends = new Agenda<"settled" | "lost">();
          let now = 0;
          for (const [latency, share, end] of latencies) {
            for (;;) {
              for (let ended = ends.take(now); ended !== undefined; ended = ends.take(now)) global[ended](now);
              const ready = global.readyAt(now);
              if (ready !== "answer" && ready <= now) break;
              now = Math.min(ends.due ?? Infinity, ready === "answer" ? Infinity : ready);
            }
            global.sent();
            // What was given up may arrive up to a second later.
            arrivals.push(end === "lost" ? now + latency + share * 1000 : now + latency * share);
            ends.add(now + latency, end);
          }
          arrivals.sort((left, right) => left - right);
          for (const [index, at] of arrivals.entries()) {
            expect(arrivals.filter((other) => other >= at && other < at + 1000).length, `${index}`).toBeLessThanOrEqual(
              limit,
            );
          }
        },
      ),
    );
  });

  it("gives way by 10 % after a global 429, once per overrun, and recovers slowly", () => {
    const global = new GlobalLimit(50);
    global.blocked(0, 1000);
    global.blocked(1, 1000);
    expect(global.limit).toBe(45);
    expect(global.readyAt(500)).toBe(1000);
    global.blocked(2000, 3000);
    expect(global.limit).toBe(40);
    global.readyAt(3000 + 20_000);
    expect(global.limit).toBe(41);
    global.readyAt(3000 + 300_000);
    expect(global.limit).toBe(50);
  });
});

describe("InvalidBudget", () => {
  it.each([
    [999, "ok"],
    [1000, "warn"],
    [2499, "warn"],
    [2500, "shed"],
    [4000, "page"],
    [4999, "page"],
    [5000, "stop"],
  ])("%i in 10 min is %s", (count, level) => {
    const budget = new InvalidBudget();
    for (let index = 0; index < count; index++) budget.add(index);
    expect(budget.level(count)).toBe(level);
  });

  it("forgets after 10 min, and says when it lets go", () => {
    const budget = new InvalidBudget();
    for (let index = 0; index < 5000; index++) budget.add(index < 2 ? 0 : 30_000);
    const until = budget.stoppedUntil(60_000);
    expect(budget.level(until - 1)).toBe("stop");
    expect(budget.level(until)).toBe("page");
    expect(until).toBeGreaterThanOrEqual(600_000);
    expect(budget.count(700_000)).toBe(0);
    expect(budget.mayStop(700_000, 4999)).toBe(false);
    expect(budget.mayStop(700_000, 5000)).toBe(true);
  });
});

describe("Agenda", () => {
  it("gives back in the order of time", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 })), (dues) => {
        const agenda = new Agenda<number>();
        for (const due of dues) agenda.add(due, due);
        const taken: number[] = [];
        for (let item = agenda.take(100); item !== undefined; item = agenda.take(100)) taken.push(item);
        expect(taken).toEqual([...dues].sort((left, right) => left - right));
      }),
    );
  });
});
