// What is sent again, when, and how often: never what could be carried out twice, nor an outage's worth of it.

import { describe, expect, it } from "vitest";
import { RetryBudget, retryDelay } from "../../../bot/rest/retry.ts";

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

  it("saves up a hundred and no more, however long all goes well", () => {
    const budget = new RetryBudget();
    for (let call = 0; call < 10_000; call++) budget.earned();
    let spent = 0;
    while (spent < 1000 && budget.spend()) spent += 1;
    expect(spent).toBe(100);
  });
});
