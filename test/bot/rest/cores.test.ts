// The cores that decide when: bucket, global limit, invalid budget, edge breaker, retries, agenda.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Bucket } from "../../../bot/rest/bucket.ts";
import { type EdgeAnswer, EdgeBreaker } from "../../../bot/rest/edge.ts";
import { GlobalLimit, InvalidBudget } from "../../../bot/rest/governor.ts";
import { Agenda } from "../../../bot/rest/queue.ts";
import { RetryBudget, retryDelay } from "../../../bot/rest/retry.ts";

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

describe("EdgeBreaker", () => {
  const ROUTE = "POST /a";
  const OTHER = "GET /b";
  const answer = (retryAfterMs: number | undefined, given: Partial<EdgeAnswer> = {}): EdgeAnswer => {
    return { route: ROUTE, sentAt: 900, retryAfterMs, othersUnderWay: 0, ...given };
  };
  const banned = (retryAfterMs: number | undefined, othersUnderWay = 0): EdgeBreaker => {
    const breaker = new EdgeBreaker();
    breaker.hit(1000, answer(retryAfterMs, { othersUnderWay }), 0);
    return breaker;
  };

  it.each([
    ["a short Retry-After is obeyed exactly", 5000, 6000],
    ["10 min still is", 600_000, 601_000],
    ["a longer one is asked about after 60 s", 3_600_000, 61_000],
    ["and so is one just above 10 min", 600_001, 61_000],
    ["none at all: 60 s", undefined, 61_000],
    ["a zero counts as none", 0, 61_000],
  ])("%s", (_, retryAfterMs, probeAt) => {
    const breaker = banned(retryAfterMs);
    expect(breaker.banned).toBe(true);
    expect(breaker.probeAt()).toBe(probeAt);
    expect(breaker.gate(2000, OTHER)).toMatchObject({ kind: "shut", whole: true });
  });

  it("asks at growing gaps, one probe at a time", () => {
    const breaker = banned(undefined);
    const gaps: number[] = [];
    let now = 1000;
    for (let round = 0; round < 8; round++) {
      const at = breaker.probeAt() ?? Number.NaN;
      gaps.push(at - now);
      now = at;
      breaker.probing();
      expect(breaker.probeAt()).toBeUndefined();
      breaker.probeFailed(now, undefined, 0);
    }
    expect(gaps).toEqual([60_000, 120_000, 240_000, 480_000, 960_000, 1_800_000, 1_800_000, 1_800_000]);
  });

  it("clears when a probe passes after the ban's end", () => {
    const breaker = banned(5000);
    breaker.probing();
    expect(breaker.probePassed(6010)).toEqual([{ kind: "cleared", route: undefined, bannedForMs: 5010 }]);
    expect(breaker.gate(6010, OTHER).kind).toBe("open");
    expect(breaker.routes).toEqual([]);
    // It may have been the route's own: one goes, the others when it passes.
    expect(breaker.gate(6010, ROUTE).kind).toBe("probe");
    breaker.routeProbing(ROUTE);
    expect(breaker.gate(6010, ROUTE).kind).toBe("shut");
    expect(breaker.passed(6050, ROUTE, 6010)).toEqual([]);
    expect(breaker.gate(6050, ROUTE).kind).toBe("open");
  });

  it("asks at once when another, sent later, still passes, and narrows to the route if the probe does", () => {
    const breaker = banned(30_000);
    expect(breaker.passed(1100, OTHER, 950)).toEqual([]);
    expect(breaker.banned).toBe(true);
    expect(breaker.probeAt()).toBe(0);
    breaker.probing();
    expect(breaker.probePassed(1150)).toMatchObject([{ kind: "cleared" }, { kind: "banned", route: ROUTE }]);
    expect(breaker.banned).toBe(false);
    expect(breaker.routes).toEqual([ROUTE]);
    expect(breaker.gate(1200, OTHER).kind).toBe("open");
    expect(breaker.gate(1200, ROUTE)).toMatchObject({ kind: "shut", until: 31_000 });
    expect(breaker.gate(31_000, ROUTE).kind).toBe("probe");
    breaker.routeProbing(ROUTE);
    expect(breaker.gate(31_000, ROUTE).kind).toBe("shut");
    expect(breaker.passed(31_050, ROUTE, 31_000)).toMatchObject([{ kind: "cleared", route: ROUTE }]);
  });

  it("asks once, early, when all that was under way passes", () => {
    const breaker = banned(30_000);
    expect(breaker.passed(1100, OTHER, 850)).toEqual([]);
    expect(breaker.banned).toBe(true);
    expect(breaker.probeAt()).toBe(31_000);
    breaker.allBack();
    expect(breaker.probeAt()).toBe(0);
    breaker.probing();
    breaker.probeFailed(1150, 30_000, 0);
    expect(breaker.probeAt()).toBe(31_150);
    breaker.passed(1200, OTHER, 860);
    breaker.allBack();
    expect(breaker.probeAt()).toBe(31_150);
  });

  it("asks nothing early when another met the edge too, or nothing else was under way", () => {
    const busy = banned(30_000);
    busy.passed(1100, OTHER, 850);
    busy.hit(1110, answer(30_000, { route: "GET /c", sentAt: 860 }), 0);
    busy.allBack();
    expect(busy.probeAt()).toBe(31_110);
    const quiet = banned(undefined);
    quiet.allBack();
    expect(quiet.probeAt()).toBe(61_000);
  });

  it.each([
    ["sent after the blocked one and back before it: asks at once", OTHER, 950, true],
    ["sent before it: does not", OTHER, 850, false],
    ["on the same route: does not", ROUTE, 950, false],
  ])("%s", (_, route, sentAt, asks) => {
    const breaker = new EdgeBreaker();
    breaker.passed(980, route, sentAt);
    breaker.passed(990, ROUTE, 960);
    const effect = breaker.hit(1000, answer(30_000), 0);
    const known = { kind: "banned", route: undefined, retryAfterMs: 30_000 };
    expect(effect).toEqual(asks ? { kind: "suspected", route: ROUTE } : known);
    expect(breaker.probeAt()).toBe(asks ? 0 : 31_000);
  });

  it("does not narrow once two routes met the edge", () => {
    const breaker = banned(30_000);
    breaker.hit(1050, answer(30_000, { route: OTHER, sentAt: 940 }), 0);
    expect(breaker.passed(1100, "GET /c", 990)).toEqual([]);
    expect(breaker.banned).toBe(true);
  });

  it("keeps a route's ban with that route", () => {
    const breaker = banned(undefined);
    breaker.passed(1100, OTHER, 950);
    breaker.probing();
    breaker.probePassed(1150);
    breaker.routeProbing(ROUTE);
    const again = breaker.hit(70_000, answer(undefined, { sentAt: 69_000 }), 0);
    expect(again).toEqual({ kind: "extended", route: ROUTE });
    expect(breaker.banned).toBe(false);
    expect(breaker.gate(100_000, ROUTE)).toMatchObject({ kind: "shut", until: 70_000 + 120_000 });
  });
});

describe("EdgeBreaker, before it is settled whose ban it is", () => {
  const ROUTE = "POST /a";
  const OTHER = "GET /b";
  const ADDRESS = { kind: "banned", route: undefined, retryAfterMs: 30_000 };
  const met = (route = ROUTE, sentAt = 900, retryAfterMs = 30_000): EdgeAnswer => {
    return { route, sentAt, retryAfterMs, othersUnderWay: 2 };
  };
  const suspecting = (retryAfterMs = 30_000): EdgeBreaker => {
    const breaker = new EdgeBreaker();
    expect(breaker.hit(1000, met(ROUTE, 900, retryAfterMs), 0)).toEqual({ kind: "suspected", route: ROUTE });
    return breaker;
  };

  it("lets everything wait, refuses only what the edge has refused", () => {
    const breaker = suspecting();
    expect(breaker.banned).toBe(true);
    expect(breaker.gate(1001, OTHER)).toEqual({ kind: "shut", until: 1001, whole: true });
    expect(breaker.gate(1001, ROUTE)).toEqual({ kind: "shut", until: 31_000, whole: true });
    expect(breaker.told(1001)).toBeUndefined();
  });

  it.each<readonly [string, (breaker: EdgeBreaker) => readonly unknown[]]>([
    ["nothing came back in time", (breaker) => breaker.settle()],
    ["all came back, none of it passed", (breaker) => breaker.allBack()],
    ["another route met it, too", (breaker) => [breaker.hit(1100, met(OTHER), 0)]],
    [
      "the early probe met it, too",
      (breaker) => {
        breaker.passed(1100, OTHER, 950);
        breaker.probing();
        return [breaker.probeFailed(1200, 30_000, 0)];
      },
    ],
    ["another task has met it", (breaker) => breaker.hear(1100, { sinceMs: 0, probeInMs: 60_000 }, 10_000)],
  ])("it is the address's when %s", (_, happens) => {
    const breaker = suspecting();
    expect(happens(breaker)).toEqual([ADDRESS]);
    expect(breaker.suspected).toBe(false);
    expect(breaker.settle()).toEqual([]);
    expect(breaker.gate(1500, OTHER)).toMatchObject({ kind: "shut", whole: true });
  });

  it("settles within two seconds, and before its own probe", () => {
    expect(suspecting().settlesAt()).toBe(3000);
    expect(suspecting(1000).settlesAt()).toBe(2000);
  });

  it("is the route's alone when the others pass: nobody hears of the address", () => {
    const breaker = suspecting();
    breaker.passed(1100, OTHER, 850);
    breaker.allBack();
    breaker.probing();
    expect(breaker.probePassed(1150)).toEqual([
      { kind: "dismissed", route: undefined },
      { kind: "banned", route: ROUTE, retryAfterMs: 29_850 },
    ]);
    expect(breaker.gate(1151, OTHER)).toEqual({ kind: "open" });
  });
});

describe("EdgeBreaker, hearing of other tasks", () => {
  const ROUTE = "POST /a";
  const met: EdgeAnswer = { route: ROUTE, sentAt: 900, retryAfterMs: undefined, othersUnderWay: 0 };

  it("waits for what another has met, and asks later than that one", () => {
    const breaker = new EdgeBreaker();
    const told = { sinceMs: 4000, endsInMs: 3_600_000, probeInMs: 56_000 };
    expect(breaker.hear(10_000, told, 10_000)).toEqual([{ kind: "banned", route: undefined, retryAfterMs: 3_600_000 }]);
    expect(breaker.gate(10_001, ROUTE)).toMatchObject({ kind: "shut", whole: true });
    expect(breaker.probeAt()).toBe(10_000 + 56_000 + 10_000);
    // Each beat of the other's puts it off again.
    breaker.hear(70_000, { ...told, probeInMs: 115_000 }, 10_000);
    expect(breaker.probeAt()).toBe(70_000 + 115_000 + 10_000);
    expect(breaker.told(80_000)).toBeUndefined();
    expect(breaker.unheard(90_000)).toEqual([{ kind: "cleared", route: undefined, bannedForMs: 84_000 }]);
    expect(breaker.gate(90_001, ROUTE)).toEqual({ kind: "open" });
  });

  it("asks itself once nobody tells of asking, and tells the others then", () => {
    const breaker = new EdgeBreaker();
    breaker.hear(0, { sinceMs: 0, probeInMs: 60_000 }, 10_000);
    breaker.probing();
    expect(breaker.unheard(70_001)).toEqual([]);
    breaker.probeFailed(70_050, undefined, 0);
    expect(breaker.told(70_060)).toEqual({ sinceMs: 70_060, probeInMs: 119_990 });
  });

  it("keeps what it has met itself, whatever the others stop telling", () => {
    const breaker = new EdgeBreaker();
    breaker.hear(0, { sinceMs: 0, probeInMs: 60_000 }, 10_000);
    breaker.hit(1000, met, 0);
    expect(breaker.unheard(2000)).toEqual([]);
    expect(breaker.banned).toBe(true);
  });

  it("puts its own asking off for one that goes before it, and for none that waits for it", () => {
    const breaker = new EdgeBreaker();
    breaker.hit(1000, met, 0);
    breaker.hear(2000, { sinceMs: 0, probeInMs: 90_000 }, Infinity);
    expect(breaker.probeAt()).toBe(61_000);
    breaker.hear(2000, { sinceMs: 0, probeInMs: 90_000 }, 10_000);
    expect(breaker.probeAt()).toBe(102_000);
    // That one has the say from now on.
    expect(breaker.told(3000)).toBeUndefined();
    expect(breaker.unheard(50_000)).toMatchObject([{ kind: "cleared" }]);
  });

  it("takes over what an ended task has left, and tells the others", () => {
    const breaker = new EdgeBreaker();
    breaker.inherit(0, { sinceMs: 5000, probeInMs: 55_000 });
    expect(breaker.probeAt()).toBe(55_000);
    expect(breaker.told(1000)).toEqual({ sinceMs: 6000, probeInMs: 54_000 });
    expect(breaker.unheard(1000)).toEqual([]);
  });
});

describe("retryDelay", () => {
  const attempt = { method: "POST", nonced: false, fault: "network", sent: true, faults: 1, sinceFirstMs: 10 } as const;
  it.each([
    ["a POST that may have arrived", attempt, false],
    ["a POST of which no byte left", { ...attempt, sent: false }, true],
    ["a POST with an enforced nonce", { ...attempt, nonced: true }, true],
    ["the same when Discord may have forgotten the nonce", { ...attempt, nonced: true, sinceFirstMs: 115_000 }, false],
    ["a PATCH", { ...attempt, method: "PATCH" }, false],
    ["a GET", { ...attempt, method: "GET" }, true],
    ["a PUT", { ...attempt, method: "PUT" }, true],
    ["a DELETE", { ...attempt, method: "DELETE" }, true],
    ["a GET for the fifth time", { ...attempt, method: "GET", faults: 5 }, false],
  ] as const)("%s", (_, given, again) => {
    expect(retryDelay(given, 0.5) !== undefined).toBe(again);
  });

  it("spreads over the whole gap, which doubles", () => {
    const get = { ...attempt, method: "GET" } as const;
    expect(retryDelay(get, 0)).toBe(0);
    expect(retryDelay(get, 0.999)).toBe(999);
    expect(retryDelay({ ...get, faults: 4 }, 0.999)).toBe(7992);
  });

  it("has a budget: an outage earns no more than a tenth of its traffic", () => {
    const budget = new RetryBudget();
    let spent = 0;
    for (let call = 0; call < 1000; call++) {
      budget.earned();
      if (budget.spend()) spent += 1;
    }
    expect(spent).toBeLessThanOrEqual(200);
    expect(spent).toBeGreaterThanOrEqual(100);
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
