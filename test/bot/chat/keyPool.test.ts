// The key pool: quotas in hourly and monthly windows, order of preference, and the way back to the first key.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  choose,
  countRequest,
  countTokens,
  type KeyState,
  nextHour,
  nextMonth,
  partOf,
  readStates,
  refuse,
  spentKeys,
  UNUSED,
} from "../../../bot/chat/keyPool.ts";

const at = (text: string): number => Date.parse(`${text}Z`);
const NOON = at("2026-03-31T12:10:00");

const used = (state: KeyState, requests: number, tokens: number, now: number): KeyState => {
  let next = state;
  for (let count = 0; count < requests; count++) next = countRequest(next, now);
  return countTokens(next, tokens, now);
};

describe("windows", () => {
  it.each([
    ["2026-03-31T12:10:00", "2026-03-31T13:00:00", "2026-04-01T00:00:00"],
    ["2026-12-31T23:59:59.999", "2027-01-01T00:00:00", "2027-01-01T00:00:00"],
    ["2028-02-29T00:00:00", "2028-02-29T01:00:00", "2028-03-01T00:00:00"],
  ])("at %s turn next at %s and %s", (now, hour, month) => {
    expect(nextHour(at(now))).toBe(at(hour));
    expect(nextMonth(at(now))).toBe(at(month));
  });
});

describe("choosing", () => {
  it.each([
    ["hourly requests", { requestsAnHour: 3 }, 3, 0, nextHour(NOON)],
    ["monthly requests", { requestsAMonth: 3 }, 3, 0, nextMonth(NOON)],
    ["hourly tokens", { tokensAnHour: 100 }, 1, 100, nextHour(NOON)],
    ["monthly tokens", { tokensAMonth: 100 }, 1, 130, nextMonth(NOON)],
    ["both windows", { requestsAnHour: 3, requestsAMonth: 3 }, 3, 0, nextMonth(NOON)],
  ])("passes a key over whose %s are used up, until its window turns", (_what, quota, requests, tokens, until) => {
    const first = used(UNUSED, requests, tokens, NOON);
    expect(choose([first, UNUSED], [quota, quota], NOON)).toEqual({ kind: "key", index: 1 });
    expect(spentKeys([first, UNUSED], [quota, quota], NOON)).toBe(1);
    expect(choose([first, first], [quota, quota], NOON)).toEqual({ kind: "spent", until });
    expect(choose([first, UNUSED], [quota, quota], until - 1)).toEqual({ kind: "key", index: 1 });
    expect(choose([first, UNUSED], [quota, quota], until)).toEqual({ kind: "key", index: 0 });
  });

  it("believes the provider before its own count", () => {
    const refused = refuse(UNUSED, NOON + 60_000);
    expect(choose([refused, UNUSED], [], NOON)).toEqual({ kind: "key", index: 1 });
    expect(choose([refused], [], NOON)).toEqual({ kind: "spent", until: NOON + 60_000 });
    expect(choose([refuse(refused, NOON)], [], NOON + 59_999)).toMatchObject({ kind: "spent" });
    expect(choose([refused, UNUSED], [], NOON + 60_000)).toEqual({ kind: "key", index: 0 });
  });

  it("names the earliest return of several keys", () => {
    expect(choose([refuse(UNUSED, NOON + 9), refuse(UNUSED, NOON + 5)], [], NOON)).toEqual({
      kind: "spent",
      until: NOON + 5,
    });
    expect(choose([], [], NOON)).toMatchObject({ kind: "spent" });
  });

  it("lets no window have more requests than its quota, whatever the steps", () => {
    const step = fc.record({ passes: fc.integer({ min: 0, max: 1_800_000 }), tokens: fc.integer({ min: 0, max: 50 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const quotas = [{ requestsAnHour: 4 }, { requestsAnHour: 2, tokensAMonth: 500 }];
        const states = [UNUSED, UNUSED];
        const seen = new Map<string, number>();
        let now = NOON;
        for (const { passes, tokens } of steps) {
          now += passes;
          const choice = choose(states, quotas, now);
          if (choice.kind === "spent") {
            expect(choice.until).toBeGreaterThan(now);
            expect(choose(states, quotas, choice.until).kind).toBe("key");
            continue;
          }
          const { index } = choice;
          states[index] = countTokens(countRequest(states[index] ?? UNUSED, now), tokens, now);
          const window = `${index} ${Math.floor(now / 3_600_000)}`;
          seen.set(window, (seen.get(window) ?? 0) + 1);
          expect(seen.get(window)).toBeLessThanOrEqual(quotas[index]?.requestsAnHour ?? 0);
        }
      }),
    );
  });
});

describe("a task's part of a quota", () => {
  it.each([
    [{ requestsAnHour: 300, tokensAMonth: 9_001 }, 2, { requestsAnHour: 150, tokensAMonth: 4_500 }],
    [{ requestsAnHour: 2 }, 3, { requestsAnHour: 1 }],
    [{}, 3, {}],
  ])("of %j among %i tasks", (quota, tasks, part) => {
    expect(partOf(quota, tasks)).toEqual(part);
    expect(partOf(quota, 1)).toEqual(quota);
  });
});

describe("kept states", () => {
  it("come back as they were, and nothing else does", () => {
    const state = used(UNUSED, 2, 30, NOON);
    expect(readStates(JSON.stringify({ a: state }))).toEqual(new Map([["a", state]]));
    for (const text of [undefined, "", "nonsense", "null", "3", '{"a":{}}', '{"a":{"hour":{},"month":{}}}']) {
      expect(readStates(text)).toEqual(new Map());
    }
  });
});
