// Backoff, circuit breaker and the pause after too many starts: their bounds for any chance.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Backoff, backOff, START } from "../../../bot/resilience/backoff.ts";
import { CLOSED, fail, mayTry, open, succeed, tried } from "../../../bot/resilience/circuitBreaker.ts";
import { crashLoopPauseMs } from "../../../bot/resilience/crashLoop.ts";

const chances = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 40 });

describe("backoff", () => {
  it.each(["full", "decorrelated"] as const)("%s jitter stays within its bounds", (jitter) => {
    const rule = { baseMs: 500, capMs: 30_000, jitter };
    fc.assert(
      fc.property(chances, (randoms) => {
        let backoff: Backoff = START;
        randoms.forEach((random, tries) => {
          const before = Math.max(backoff.lastMs, rule.baseMs);
          const next = backOff(backoff, rule, () => random);
          const ceiling = jitter === "full" ? rule.baseMs * 2 ** tries : before * 3;
          expect(next.delayMs).toBeLessThanOrEqual(Math.min(rule.capMs, ceiling));
          expect(next.delayMs).toBeGreaterThanOrEqual(jitter === "full" ? 0 : rule.baseMs);
          expect(next.tries).toBe(tries + 1);
          backoff = next;
        });
      }),
    );
  });
});

describe("the circuit breaker", () => {
  const rule = { failures: 3, windowMs: 5_000, longestGapMs: 4_000 };
  const half = () => 0.5;

  it("opens on enough failures within the window, and only then", () => {
    let breaker = fail(fail(CLOSED, 0, rule, half), 4_000, rule, half);
    breaker = fail(breaker, 6_000, rule, half);
    expect(breaker.kind).toBe("closed");
    breaker = fail(breaker, 7_000, rule, half);
    expect(breaker.kind).toBe("open");
    expect(mayTry(breaker, 7_000)).toBe(false);
  });

  it("lets one probe through at a time, with gaps from half to all of min(longest, 1 s x 2^n)", () => {
    fc.assert(
      fc.property(chances, (randoms) => {
        let now = 0;
        let breaker = open(CLOSED, now, rule, () => randoms[0] ?? 0);
        randoms.slice(1).forEach((random, probes) => {
          if (breaker.kind !== "open") throw new Error("not open");
          const ceiling = Math.min(4_000, 1_000 * 2 ** probes);
          expect(breaker.probeAt - now).toBeGreaterThanOrEqual(ceiling / 2 - 1e-6);
          expect(breaker.probeAt - now).toBeLessThanOrEqual(ceiling + 1e-6);
          now = breaker.probeAt;
          expect(mayTry(breaker, now)).toBe(true);
          breaker = tried(breaker, now, 20_000);
          expect(mayTry(breaker, now + 19_999)).toBe(false);
          breaker = fail(breaker, now, rule, () => random);
        });
        expect(succeed(breaker)).toBe(CLOSED);
      }),
    );
  });
});

describe("the pause after too many starts", () => {
  it.each([
    { agoMs: [], pauseMs: 0 },
    { agoMs: [1_000], pauseMs: 6_000 },
    { agoMs: [1_000, 2_000], pauseMs: 30_000 },
    { agoMs: [1_000, 2_000, 3_000], pauseMs: 60_000 },
    { agoMs: [1_000, 700_000, 800_000], pauseMs: 6_000 },
    { agoMs: Array(20).fill(1_000), pauseMs: 600_000 },
    { agoMs: [-5_000, -6_000, 1_000], pauseMs: 6_000 },
    // Four tasks, and their deploy.
    { tasks: 4, agoMs: Array(7).fill(1_000), pauseMs: 6_000 },
    { tasks: 4, agoMs: Array(8).fill(1_000), pauseMs: 30_000 },
    { tasks: 4, agoMs: Array(11).fill(1_000), pauseMs: 30_000 },
    { tasks: 4, agoMs: Array(12).fill(1_000), pauseMs: 60_000 },
  ])("of $tasks tasks, starts $agoMs ms ago: $pauseMs ms", ({ agoMs, pauseMs, tasks }) => {
    const wall = 1_750_000_000_000;
    expect(
      crashLoopPauseMs(
        agoMs.map((ago) => wall - ago),
        wall,
        tasks,
      ),
    ).toBe(pauseMs);
  });
});
