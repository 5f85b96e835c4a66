// The edge breaker: what a block of the address or of one route stops, who asks whether it is over, and when.

import { describe, expect, it } from "vitest";
import { type EdgeAnswer, EdgeBreaker } from "../../../bot/rest/edge.ts";

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
