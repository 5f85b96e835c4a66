// The outbox and the presence keeper: Discord's send limits hold for every mix of payloads, and order is kept.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Outbox } from "../../../bot/gateway/outbox.ts";
import { PresenceKeeper } from "../../../bot/gateway/presence.ts";

const most = (times: readonly number[], windowMs: number): number =>
  Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));

describe("the outbox", () => {
  it("never passes 115 payloads in 61 s, or 118 with heartbeats, and keeps the order", () => {
    const steps = fc.array(
      fc.record({
        waitMs: fc.integer({ min: 0, max: 20_000 }),
        urgent: fc.boolean(),
        offers: fc.integer({ min: 0, max: 60 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (given) => {
        const outbox = new Outbox();
        const all: number[] = [];
        const normal: string[] = [];
        const offered: string[] = [];
        let now = 0;
        for (const { waitMs, urgent, offers } of given) {
          now += waitMs;
          if (urgent && outbox.urgent(now)) all.push(now);
          for (let offer = 0; offer < offers && outbox.queued() < 1_000; offer++) {
            offered.push(String(offered.length));
            outbox.offer(offered.at(-1) ?? "");
          }
          const going = outbox.drain(now);
          normal.push(...going.map(({ text }) => text));
          for (let index = 0; index < going.length; index++) all.push(now);
          if (going.length > 0) expect(most(all, 61_000)).toBeLessThanOrEqual(118);
        }
        expect(most(all, 60_000)).toBeLessThanOrEqual(118);
        expect(normal).toEqual(offered.slice(0, normal.length));
      }),
    );
  });

  /** Sends whatever may go, when it may go; the times. */
  const sendAll = (outbox: Outbox, untilMs: number): number[] => {
    const times: number[] = [];
    for (let now = 0; now < untilMs; now = Math.ceil(outbox.nextAt(now) ?? untilMs)) {
      for (const _ of outbox.drain(now)) times.push(now);
    }
    return times;
  };

  it("sends 30 at once and the rest spread out, and keeps room for three urgent ones", () => {
    const outbox = new Outbox();
    for (let number = 0; number < 500; number++) outbox.offer(String(number));
    const times = sendAll(outbox, 60_000);
    expect(times.filter((at) => at === 0)).toHaveLength(30);
    expect(times.length).toBeGreaterThanOrEqual(112);
    expect([1, 2, 3, 4, 5, 6, 7, 8].filter((at) => outbox.urgent(60_000 + at)).length).toBeGreaterThanOrEqual(3);
  });

  it("lets go of what is taken back, in any order and once it went, and keeps the order of the rest", () => {
    const outbox = new Outbox();
    const offers = Array.from({ length: 1_000 }, (_, number) => outbox.offer(String(number)));
    for (const number of [5, 0, 999, 5]) offers[number]?.();
    expect(outbox.queued()).toBe(997);
    outbox.offer("last");
    const going = outbox.drain(0).map(({ text }) => text);
    expect(going.slice(0, 5)).toEqual(["1", "2", "3", "4", "6"]);
    offers[1]?.();
    expect(outbox.queued()).toBe(998 - going.length);
  });

  it("stays within Discord's limit when the network holds the first payloads up for four seconds", () => {
    const outbox = new Outbox();
    for (let number = 0; number < 900; number++) outbox.offer(String(number));
    const arrivals = sendAll(outbox, 300_000).map((at) => Math.max(at, 4_000));
    expect(most(arrivals, 60_000)).toBeLessThanOrEqual(120);
  });

  it.each([
    [41_250, 115],
    [30_000, 114],
    [10_000, 110],
    [1_000, 52],
    [1, 1],
  ])("keeps room for beats every %i ms: %i payloads go", (intervalMs, payloads) => {
    const outbox = new Outbox();
    outbox.beatsEvery(intervalMs);
    for (let number = 0; number < 500; number++) outbox.offer("x");
    const times = sendAll(outbox, 300_000);
    expect(most(times, 61_000)).toBeLessThanOrEqual(payloads);
    expect(most(times, 61_000)).toBeGreaterThanOrEqual(payloads - 2);
  });

  it("counts anew on a new connection", () => {
    const outbox = new Outbox();
    for (let number = 0; number < 45; number++) outbox.offer(String(number));
    expect(outbox.drain(0)).toHaveLength(30);
    outbox.connect();
    expect(outbox.drain(1)).toHaveLength(15);
  });

  it("refuses what is too large or too much, naming the limit", () => {
    const outbox = new Outbox();
    expect(() => outbox.offer("x".repeat(4_096))).not.toThrow();
    expect(() => outbox.offer(`${"x".repeat(4_094)}ä2`)).toThrow(expect.objectContaining({ kind: "tooLarge" }));
    for (let number = 1; number < 1_000; number++) outbox.offer("x");
    expect(() => outbox.offer("x")).toThrow(expect.objectContaining({ kind: "full" }));
  });
});

describe("the presence", () => {
  it("goes out at most 5 times in 20 s, the newest wish last", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 8_000 }), { minLength: 1, maxLength: 60 }), (waits) => {
        const keeper = new PresenceKeeper();
        const times: number[] = [];
        let shown = "";
        let now = 0;
        const pump = (): void => {
          const due = keeper.due(now);
          if (due === undefined) return;
          keeper.sent(now);
          times.push(now);
          shown = due.activities?.[0]?.name ?? "";
        };
        waits.forEach((waitMs, index) => {
          now += waitMs;
          keeper.want({ status: "online", activities: [{ name: String(index), type: 0 }] });
          pump();
        });
        for (let next = keeper.nextAt(now); next !== null; next = keeper.nextAt(now)) {
          now = next;
          pump();
        }
        expect(most(times, 20_000)).toBeLessThanOrEqual(5);
        expect(times[0]).toBe(waits[0]);
        for (const heldUpMs of [1_000, 5_000]) {
          const arrivals = times.map((at) => Math.max(at, (times[0] ?? 0) + heldUpMs));
          expect(most(arrivals, 20_000)).toBeLessThanOrEqual(5);
        }
        expect(shown).toBe(String(waits.length - 1));
      }),
    );
  });

  it("is asserted again after READY, and the same wish twice is sent once", () => {
    const keeper = new PresenceKeeper();
    keeper.assert();
    expect(keeper.due(0)).toBeUndefined();
    keeper.want({ status: "idle" });
    keeper.sent(0);
    keeper.want({ status: "idle" });
    expect(keeper.due(1)).toBeUndefined();
    keeper.assert();
    expect(keeper.due(4_999)).toBeUndefined();
    expect(keeper.due(5_000)).toEqual({ status: "idle" });
  });
});

describe("an outbox that says when it will send", () => {
  it("sends then, at whatever fraction of a millisecond", () => {
    const instant = fc.double({ min: 0, max: 1e10, noNaN: true });
    fc.assert(
      fc.property(instant, fc.double({ min: 0.01, max: 3, noNaN: true }), (from, stepMs) => {
        const outbox = new Outbox();
        outbox.connect();
        for (let payload = 0; payload < 300; payload++) outbox.offer("{}");
        let now = from;
        for (let beat = 0; beat < 118; beat++) {
          outbox.urgent(now);
          now += stepMs;
        }
        while (outbox.queued() > 0) {
          const at = outbox.nextAt(now) ?? now;
          expect(at).toBeGreaterThanOrEqual(now);
          const going = outbox.drain(at).length;
          // A driver's timer takes whole milliseconds, so where nothing goes yet time must have gone on.
          if (going === 0) expect(outbox.nextAt(at) ?? at).toBeGreaterThan(at);
          now = going === 0 ? at + Math.ceil((outbox.nextAt(at) ?? at) - at) : at;
        }
      }),
      { numRuns: 200 },
    );
  });
});
