// A bucket that proves to leak is used slot by slot; whatever is not one never passes for it.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Bucket } from "../../../bot/rest/bucket.ts";
import { observePace, type Pace, slotOf } from "../../../bot/rest/pace.ts";
import { type Bucket as Counter, FixedBucket, LeakyBucket } from "../../discord/rules/bucket.ts";

/** At most `limit` in any span of `windowMs`: neither fixed nor leaking. */
class LogBucket implements Counter {
  readonly #limit: number;
  readonly #windowMs: number;
  #times: number[] = [];
  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }
  take(now: number): ReturnType<Counter["take"]> {
    this.#times = this.#times.filter((time) => time > now - this.#windowMs);
    const full = this.#times.length >= this.#limit;
    if (!full) this.#times.push(now);
    const resetAfterMs = (this.#times.at(-1) ?? now) + this.#windowMs - now;
    const reading = { limit: this.#limit, remaining: this.#limit - this.#times.length, resetAfterMs };
    const retryAfterMs = (this.#times[0] ?? now) + this.#windowMs - now;
    return full ? { kind: "limited", reading, retryAfterMs } : { kind: "pass", reading };
  }
  idle(): boolean {
    return false;
  }
}

const SHAPES = { leaky: LeakyBucket, fixed: FixedBucket, log: LogBucket };
const header = (milliseconds: number): number => Math.ceil(milliseconds - 1e-6);

describe("observePace", () => {
  const told = fc.record({
    limit: fc.integer({ min: 2, max: 50 }),
    windowMs: fc.integer({ min: 250, max: 600_000 }),
    gaps: fc.array(fc.double({ min: 0, max: 1.2, noNaN: true }), { minLength: 1, maxLength: 60 }),
  });
  const paceOf = (counter: Counter, limit: number, windowMs: number, gaps: readonly number[]): Pace | undefined => {
    let pace: Pace | undefined;
    let now = 1000;
    for (const gap of [0, ...gaps]) {
      now += gap * (windowMs / limit);
      const { reading } = counter.take(now);
      const resetAfterMs = header(reading.resetAfterMs);
      pace = observePace(pace, { hash: "h", limit: reading.limit, remaining: reading.remaining, resetAfterMs });
    }
    return pace;
  };

  it("is never refuted by a bucket that leaks, and finds its slot", () => {
    fc.assert(
      fc.property(told, ({ limit, windowMs, gaps }) => {
        const pace = paceOf(new LeakyBucket(limit, windowMs), limit, windowMs, gaps);
        expect(pace?.kind).not.toBe("refuted");
        const slot = slotOf(pace);
        if (slot !== undefined) expect(Math.abs(slot - windowMs / limit)).toBeLessThanOrEqual(2);
      }),
    );
    expect(slotOf(paceOf(new LeakyBucket(5, 5000), 5, 5000, [0.1, 0.1]))).toBe(999);
  });

  it.each(["fixed", "log"] as const)("never takes a %s window for one", (shape) => {
    fc.assert(
      fc.property(told, ({ limit, windowMs, gaps }) => {
        expect(slotOf(paceOf(new SHAPES[shape](limit, windowMs), limit, windowMs, gaps))).toBeUndefined();
      }),
    );
  });
});

describe("a bucket's use", () => {
  /** Sends as soon as the bucket lets it, `most` at once, over a network of random latency; counts what is refused. */
  function drive(counter: Counter, count: number, most: number, latencies: readonly number[]) {
    const bucket = new Bucket();
    type Step = { readonly at: number; readonly run: () => void };
    const steps: Step[] = [];
    let now = 1000;
    let sent = 0;
    let answered = 0;
    let refused = 0;
    let lastAt = 0;
    const latency = (index: number): number => latencies[index % latencies.length] ?? 1;
    while (answered < count) {
      const ready = bucket.readyAt(now);
      if (sent < count && bucket.inFlight < most && ready !== "answer" && ready <= now) {
        bucket.reserve(now);
        const back = latency(2 * sent + 1);
        const at = now + latency(2 * sent);
        sent += 1;
        const arrive = (): void => {
          const verdict = counter.take(at);
          if (verdict.kind === "limited") refused += 1;
          lastAt = at;
          const { limit, remaining, resetAfterMs } = verdict.reading;
          const answer = (): void => {
            bucket.release();
            bucket.learn(now, { hash: "h", limit, remaining, resetAfterMs: header(resetAfterMs) });
            answered += 1;
          };
          steps.push({ at: at + back, run: answer });
        };
        steps.push({ at, run: arrive });
        continue;
      }
      steps.sort((left, right) => left.at - right.at);
      const wakes = sent < count && bucket.inFlight < most && ready !== "answer" ? ready : Infinity;
      const [step] = steps;
      if (step !== undefined && step.at <= wakes) {
        steps.shift();
        now = step.at;
        step.run();
      } else now = wakes;
    }
    return { refused, tookMs: lastAt - 1000 };
  }

  it("earns no 429 from any shape, at any latency, alone or many at once", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("leaky" as const, "fixed" as const, "log" as const),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 250, max: 10_000 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 50 }),
        (shape, limit, windowMs, most, latencies) => {
          expect(drive(new SHAPES[shape](limit, windowMs), 60, most, latencies).refused).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("of one that leaks is as fast as it leaks", () => {
    const { refused, tookMs } = drive(new LeakyBucket(5, 5000), 50, 1, [10]);
    expect(refused).toBe(0);
    expect(tookMs).toBeLessThan(45_000 + 50);
  });

  it("falls back to the whole Reset-After with the first 429", () => {
    const bucket = new Bucket();
    for (const [remaining, resetAfterMs] of [
      [4, 1000],
      [3, 1990],
      [2, 2980],
      [1, 3970],
    ] as const) {
      bucket.reserve(0);
      bucket.release();
      bucket.learn(0, { hash: "h", limit: 5, remaining, resetAfterMs });
    }
    expect(bucket.readyAt(0)).toBeLessThanOrEqual(0);
    bucket.reserve(0);
    expect(bucket.readyAt(0)).toBeLessThan(1000);
    bucket.release();
    bucket.distrust();
    expect(bucket.readyAt(0)).toBe(3970);
  });

  it("believes no lone answer to have left room when two routes share a hash, which may count apart", () => {
    const bucket = new Bucket();
    const answer = (remaining: number, resetAfterMs: number, route: number): void => {
      bucket.reserve(0);
      bucket.release();
      bucket.learn(0, { hash: "h", limit: 3, remaining, resetAfterMs }, route);
    };
    answer(2, 5000, 1);
    answer(1, 5000, 1);
    answer(2, 5000, 2);
    expect(bucket.readyAt(0)).toBe(5000);
  });
});
