// Requests across tasks: shares of one limit, invalid requests and bans of one address, as tables.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Deal, dealAnew, fairShares, nameOf, type Sharer, stepTowards } from "../../../bot/ledger/dealing.ts";
import {
  createTrafficShare,
  type Neighbours,
  type ToldBan,
  type TrafficTask,
  trafficFrom,
} from "../../../bot/ledger/traffic.ts";
import { virtualClock } from "../../virtualClock.ts";

describe("fairShares", () => {
  it.each([
    ["alone, all of it", 50, [0], [50]],
    ["nobody wants any: evenly", 50, [0, 0], [25, 25]],
    ["a small demand in full, the rest to who wants more", 50, [5, 80], [5, 45]],
    ["large ones alike", 50, [300, 80, 2], [24, 24, 2]],
    ["what nobody wants is spread", 50, [10, 20], [25, 25]],
    ["one each at least", 50, [0, 1000], [1, 49]],
    ["also when there is less than that", 3, [9, 9, 9, 9], [1, 1, 1, 1]],
  ] as const)("%s", (_, total, demands, shares) => {
    expect(fairShares(total, demands)).toEqual(shares);
  });
});

describe("stepTowards", () => {
  it.each([
    ["what is held cannot be given out yet", [25, 25], [50, 1], [25, 1]],
    ["what is free can", [25, 25], [25, 1], [25, 25]],
    ["only so much as is free", [10, 40], [20, 10], [10, 30]],
  ] as const)("%s", (_, wanted, held, next) => {
    expect(stepTowards(50, wanted, held)).toEqual(next);
  });
});

describe("a deal", () => {
  const deal = (shares: Readonly<Record<string, number>>, number = 1): Deal => ({ number, shares });

  it.each<readonly [string, Sharer[], Deal | undefined, Deal[], Deal["shares"] | "the same"]>([
    ["a lone task gets all", [{ id: "a", demand: 0 }], undefined, [], { a: 50 }],
    [
      "a newcomer waits until the other has followed",
      [
        { id: "a", demand: 10, share: 50, follows: "a/1" },
        { id: "b", demand: 10 },
      ],
      deal({ a: 50 }),
      [],
      { a: 25, b: 1 },
    ],
    [
      "then it gets what has become free",
      [
        { id: "a", demand: 10, share: 25, follows: "a/2" },
        { id: "b", demand: 10, share: 1, follows: "a/2" },
      ],
      deal({ a: 25, b: 1 }, 2),
      [],
      { a: 25, b: 25 },
    ],
    [
      "nothing is dealt while one has not followed",
      [
        { id: "a", demand: 90, share: 25, follows: "a/2" },
        { id: "b", demand: 0, share: 1, follows: "a/1" },
      ],
      deal({ a: 25, b: 25 }, 2),
      [],
      "the same",
    ],
    [
      "nor while everybody has what it wants",
      [
        { id: "a", demand: 20, share: 25, follows: "a/2" },
        { id: "b", demand: 0, share: 25, follows: "a/2" },
      ],
      deal({ a: 25, b: 25 }, 2),
      [],
      "the same",
    ],
    [
      "what a task that is gone had is given out",
      [{ id: "a", demand: 20, share: 25, follows: "a/2" }],
      deal({ a: 25, b: 25 }, 2),
      [],
      { a: 50 },
    ],
    [
      "a new dealer reckons with what the old one may just have given",
      [
        { id: "b", demand: 90, share: 10, follows: "a/6" },
        { id: "c", demand: 90, share: 10, follows: "a/6" },
      ],
      undefined,
      [deal({ a: 5, b: 10, c: 35 }, 7)],
      { b: 15, c: 25 },
    ],
  ])("%s", (_, sharers, current, former, expected) => {
    const next = dealAnew(50, sharers, current, former, 9);
    if (expected === "the same") expect(next).toBe(current);
    else expect(next).toEqual({ number: 9, shares: expected });
  });
});

const ADDRESS = "203.0.113.7";
const BAN: ToldBan = { sinceMs: 1000, endsInMs: 600_000, probeInMs: 59_000 };

function task(id: string, rank: number, given: Partial<TrafficTask["record"]> = {}): TrafficTask {
  return { id, record: { rank, state: "active", address: ADDRESS, demand: 0, invalid: 0, ...given } };
}

function sharer(id: string, own: { demand?: number; invalid?: number; ban?: ToldBan } = {}) {
  const clock = virtualClock();
  const told: Neighbours[] = [];
  const state = { demand: 0, invalid: 0, ban: undefined as ToldBan | undefined, address: ADDRESS, ...own };
  const share = createTrafficShare({
    clock,
    id,
    perSecond: 50,
    address: () => state.address,
    own: () => state,
    heed: (neighbours) => void told.push(neighbours),
  });
  return { share, clock, state, told, last: () => told.at(-1) };
}

describe("a task among others", () => {
  it("uses a larger share only once its item says so, a smaller one at once", () => {
    const made = sharer("b");
    const dealer = (perSecond: number, number: number): TrafficTask =>
      task("a", 1, { deal: { number, shares: { a: 10, b: perSecond } } });
    expect(made.share.heard([dealer(30, 1), task("b", 2)])).toBe(true);
    expect(made.last()?.perSecond).toBe(1);
    expect(made.share.record()).toMatchObject({ share: 30, follows: nameOf("a", { number: 1, shares: {} }) });
    made.share.written();
    expect(made.last()?.perSecond).toBe(30);
    expect(made.share.heard([dealer(20, 2), task("b", 2)])).toBe(true);
    expect(made.last()?.perSecond).toBe(20);
    made.share.written();
    expect(made.share.heard([dealer(20, 2), task("b", 2)])).toBe(false);
  });

  it("begins anew at one a second when it was taken for dead meanwhile", () => {
    const made = sharer("b");
    made.share.heard([task("a", 1, { deal: { number: 1, shares: { a: 10, b: 40 } } }), task("b", 2)]);
    made.share.written();
    made.share.heard([task("a", 1, { deal: { number: 2, shares: { a: 50 } } }), task("b", 3)]);
    expect(made.last()?.perSecond).toBe(1);
    expect(made.share.record().share).toBeUndefined();
  });

  it.each([
    [
      "of its address, those that ended included",
      [task("a", 1, { invalid: 70 }), task("c", 3, { invalid: 5, state: "dead" })],
      75,
    ],
    ["not of another address", [task("a", 1, { invalid: 70, address: "203.0.113.8" })], 0],
  ] as const)("counts the invalid requests %s", (_, others, expected) => {
    const made = sharer("b", { invalid: 1000 });
    made.share.heard([...others, task("b", 2)]);
    expect(made.last()?.invalid).toBe(expected);
    expect(made.share.record().invalid).toBe(1000);
  });

  const bans = (others: readonly TrafficTask[], own?: ToldBan): Neighbours | undefined => {
    const made = sharer("b", own === undefined ? {} : { ban: own });
    made.share.heard([...others, task("b", 2)]);
    return made.last();
  };

  it.each([
    ["asks after the one that met the ban", [task("a", 1, { ban: BAN })], undefined, [20_000]],
    ["also when that one came later", [task("c", 3, { ban: BAN })], undefined, [10_000]],
    ["two have met it: the later one waits", [task("a", 1, { ban: BAN })], BAN, [20_000]],
    ["two have met it: the earlier one asks", [task("c", 3, { ban: BAN })], BAN, [Number.POSITIVE_INFINITY]],
    [
      "one of several that may be its own",
      [task("c", 3, { ban: BAN, address: "203.0.113.8, 203.0.113.7" })],
      undefined,
      [10_000],
    ],
    ["a rotated address starts clean", [task("a", 1, { ban: BAN, address: "203.0.113.8" })], undefined, []],
  ])("%s", (_, others, own, lateMs) => {
    expect(bans(others, own)?.bans).toEqual(lateMs.map((late) => ({ ban: BAN, lateMs: late })));
  });

  it("hears that the ban is lifted from those that told of it, not from their end", () => {
    const made = sharer("b");
    const others = (ban: ToldBan | undefined, state = "active") => [task("a", 1, { ban, state }), task("b", 2)];
    made.share.heard(others(BAN));
    expect(made.last()).toMatchObject({ lifted: false });
    made.share.heard(others(BAN, "dead"));
    expect(made.last()).toMatchObject({ lifted: false, bans: [] });
    made.share.heard(others(BAN));
    made.share.heard(others(undefined));
    expect(made.last()).toMatchObject({ lifted: true });
    made.share.heard(others(undefined));
    expect(made.last()).toMatchObject({ lifted: false });
  });

  it("is rid of a ban that turns out to be another NAT's", () => {
    const made = sharer("b");
    made.state.address = "203.0.113.7, 203.0.113.8";
    const met = (address: string) => [task("a", 1, { ban: BAN, address }), task("b", 2)];
    made.share.heard(met("203.0.113.7, 203.0.113.8"));
    expect(made.last()?.bans).toHaveLength(1);
    made.state.address = "203.0.113.8";
    made.share.heard(met("203.0.113.7"));
    expect(made.last()).toMatchObject({ bans: [], lifted: true });
  });

  it("knows when its item should tell of a ban, or of its end, at once", () => {
    const made = sharer("b");
    made.share.record();
    expect(made.share.outdated()).toBe(false);
    made.state.ban = BAN;
    expect(made.share.outdated()).toBe(true);
    made.share.record();
    expect(made.share.outdated()).toBe(false);
    made.state.ban = undefined;
    expect(made.share.outdated()).toBe(true);
  });
});

describe("an item", () => {
  it("brings back all that was written", () => {
    const whole = {
      address: ADDRESS,
      demand: 3.4,
      invalid: 7,
      share: 20,
      follows: "a/3",
      deal: { number: 3, shares: { a: 30, b: 20 } },
      ban: BAN,
    };
    expect(trafficFrom(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
  });

  it("of an older version is taken as it is, and what is no item is none", () => {
    const older = { address: null, demand: 0, invalid: 0 };
    expect(trafficFrom(older)).toEqual(older);
    expect(trafficFrom({ ...older, share: -1, deal: { number: 1, shares: { a: "x" } }, ban: { sinceMs: 1 } })).toEqual(
      older,
    );
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("address", "demand", "invalid", "share", "ban"), fc.jsonValue()),
        (value) => {
          const traffic = trafficFrom(value);
          expect(traffic === undefined || typeof traffic.demand === "number").toBe(true);
        },
      ),
    );
  });
});
