// One client among several of the same bot: its share, the others' invalid requests and bans, and its lease.

import { describe, expect, it } from "vitest";
import { EdgeBanned } from "../../../bot/rest/client.ts";
import { Demand, GlobalLimit } from "../../../bot/rest/governor.ts";
import { channel, given, kindOf, ok, outcome } from "./given.ts";
import { limits, until } from "./harness.ts";

const ALONE = { perSecond: 50, invalid: 0, bans: [], lifted: false };
const BAN = { sinceMs: 0, endsInMs: 3_600_000, probeInMs: 60_000 };

describe("a share of the limit", () => {
  it("is kept from then on, and what is wanted beyond it is told", async () => {
    const made = await given(() => ok(), { rate: 5 });
    const { client, discord } = made;
    client.heed({ ...ALONE, perSecond: 5 });
    expect(client.status().globalPerSecond).toBe(5);
    await Promise.all(
      Array.from({ length: 6 }, (_, number) => client.request({ method: "GET", path: channel(number) })),
    );
    const calls = Array.from({ length: 40 }, (_, number) =>
      client.request({ method: "GET", path: channel(100 + number) }),
    );
    expect(client.traffic().demand).toBeGreaterThan(7);
    client.heed({ ...ALONE, perSecond: 40 });
    await Promise.all(calls);
    const times = discord.arrivals.map(({ at }) => at);
    // The sixth had to wait for the first one's second to end.
    expect((times[5] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1000);
  });

  it("keeps what the limit has given way", () => {
    const limit = new GlobalLimit(50);
    limit.blocked(0, 1000);
    limit.share(20);
    expect(limit.limit).toBe(18);
    limit.share(1);
    expect(limit.limit).toBe(1);
  });

  it("wants what was sent in the last 5 s and what waits", () => {
    const demand = new Demand();
    expect(demand.perSecond(100_000, 0)).toBe(0);
    for (let sent = 0; sent < 20; sent++) demand.sent(100_000);
    demand.sent(103_500);
    expect(demand.perSecond(104_900, 0)).toBe(4.2);
    // Few wait since each waits for an answer first: twice as much. Many wait: what they need.
    expect(demand.perSecond(104_900, 1)).toBe(8.4);
    expect(demand.perSecond(104_900, 9)).toBe(13.2);
    expect(demand.perSecond(105_000, 9)).toBe(9.2);
    expect(demand.perSecond(200_000, 0)).toBe(0);
  });
});

describe("the invalid requests of others with the same address", () => {
  it.each([
    [2_500, "background", "shed"],
    [2_500, "user", "done"],
    [5_000, "user", "invalidBudget"],
  ] as const)("count: %i of theirs, and a %s request is %s", async (invalid, priority, expected) => {
    const made = await given(() => ok());
    made.client.heed({ ...ALONE, invalid });
    expect(await kindOf(made.client.request({ method: "GET", path: channel(1), priority }))).toBe(expected);
    expect(made.telemetry.levels.get("InvalidRequests")).toBe(invalid);
    expect(made.client.traffic().invalid).toBe(0);
  });

  it("stop what waits, too", async () => {
    const made = await given(() => ({ ...ok(), headers: limits("a", 1, 0, 60_000) }));
    await made.client.request({ method: "GET", path: channel(1) });
    const waiting = outcome(made.client.request({ method: "GET", path: channel(1), query: { limit: 2 } }));
    made.client.heed({ ...ALONE, invalid: 6_000 });
    expect(await waiting).toMatchObject({ kind: "invalidBudget" });
  });
});

describe("a ban that another has met", () => {
  it("stops this one without a hit of its own, is told as every ban, and ends when the other says so", async () => {
    const made = await given(() => ok());
    const { client, discord, telemetry } = made;
    client.heed({ ...ALONE, bans: [{ ban: BAN, lateMs: 10_000 }] });
    expect(await outcome(client.request({ method: "GET", path: channel(1) }))).toBeInstanceOf(EdgeBanned);
    expect(client.traffic().ban).toBeUndefined();
    expect(telemetry.events).toMatchObject([
      { name: "edge.banned", fields: { via: "rest", route: null, status: null } },
    ]);
    client.heed({ ...ALONE, lifted: true });
    expect(telemetry.events.at(-1)).toMatchObject({ name: "edge.cleared" });
    await client.request({ method: "GET", path: channel(1) });
    expect(discord.arrivals).toHaveLength(1);
  });

  it("is this one's to ask about when the other has ended", async () => {
    const made = await given(() => ok(), { rate: 20 });
    made.client.inherit({ sinceMs: 0, endsInMs: 5_000, probeInMs: 5_000 });
    expect(made.client.traffic().ban).toMatchObject({ endsInMs: expect.any(Number) });
    await made.client.request({ method: "GET", path: channel(1) });
    expect(made.discord.arrivals.map((arrival) => arrival.path)).toEqual(["/api/v10/gateway", `/api/v10${channel(1)}`]);
  });
});

describe("a lease", () => {
  it("is asked for at the moment of sending, not of calling", async () => {
    const made = await given(() => ({ ...ok(), headers: limits("a", 1, 0, 2_000) }), { rate: 10 });
    let mayAct = true;
    const call = (limit: number): Promise<unknown> =>
      made.client.request({ method: "GET", path: channel(1), query: { limit } }, () => mayAct);
    await call(1);
    const second = call(2);
    mayAct = false;
    await made.clock.sleep(4_000);
    expect(made.discord.arrivals).toHaveLength(1);
    mayAct = true;
    await second;
  });

  it("that stays uncertain ends the call unsent; others' calls go on meanwhile", async () => {
    const made = await given(() => ok(), { rate: 50 });
    const held = outcome(
      made.client.request({ method: "POST", path: `${channel(1)}/messages`, body: {} }, () => false),
    );
    await made.client.request({ method: "GET", path: channel(1) });
    expect(await held).toMatchObject({ kind: "unleased" });
    await until(() => made.client.status().queued === 0);
    expect(made.discord.arrivals).toHaveLength(1);
  });

  it("is asked for again before a retry", async () => {
    let mayAct = true;
    const made = await given(
      () => {
        mayAct = false;
        return { status: 502, body: "bad gateway" };
      },
      { rate: 50 },
    );
    const call = made.client.request({ method: "GET", path: channel(1) }, () => mayAct);
    expect(await outcome(call)).toMatchObject({ kind: "unleased" });
    expect(made.discord.arrivals).toHaveLength(1);
  });
});
