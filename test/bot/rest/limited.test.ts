// The API's 429s by scope, the queues and turns they make, and the invalid requests that they and refusals add up to.

import { describe, expect, it } from "vitest";
import { InvalidWatch } from "../../../bot/rest/invalidWatch.ts";
import { channel, given, kindOf, limited, messages, ok, outcome } from "./given.ts";
import { type Arrival, id, limits, recordedTelemetry, until } from "./harness.ts";

const at = (arrivals: readonly Arrival[], test: (arrival: Arrival) => boolean): number[] =>
  arrivals.filter(test).map((arrival) => arrival.at);

describe("an API 429", () => {
  it("global: everything waits but interactions and webhooks, and no wait is short", async () => {
    let first = true;
    const made = await given(
      ({ path }) => {
        if (!first || path.includes("/interactions/")) return ok();
        first = false;
        return limited("global", 3, { "x-ratelimit-global": "true" });
      },
      { rate: 5 },
    );
    const limitedCall = made.client.request({ method: "GET", path: channel(1) });
    await until(() => made.telemetry.counts.has("RateLimitedGlobal"));
    const others = [2, 3].map((number) => made.client.request({ method: "GET", path: channel(number) }));
    await made.client.request({ method: "POST", path: `/interactions/${id(1)}/token/callback`, body: { type: 5 } });
    await Promise.all([limitedCall, ...others]);
    const [start = 0] = at(made.discord.arrivals, () => true);
    const callback = at(made.discord.arrivals, ({ path }) => path.includes("/interactions/"))[0] ?? 0;
    const later = at(made.discord.arrivals, ({ path, number }) => number > 0 && !path.includes("/interactions/"));
    expect(callback).toBeLessThan(start + 3000);
    expect(later).toHaveLength(3);
    for (const time of later) expect(time - start).toBeGreaterThanOrEqual(3000);
    expect(made.telemetry.counts.get("RateLimitedGlobal")).toBe(1);
    expect(made.telemetry.events[0]).toMatchObject({
      name: "rest.limited",
      fields: { kind: "global", retryAfterMs: 3000 },
    });
    expect(made.client.status().globalPerSecond).toBe(45);
  });

  it.each([
    ["user", "RateLimited"],
    ["shared", "RateLimitedShared"],
  ] as const)("%s: only that bucket waits, exactly as long as asked", async (scope, metric) => {
    const made = await given(
      ({ path, number }) => (number === 0 && path.includes(id(1)) ? limited(scope, 2.5, limits("h", 5, 0, 200)) : ok()),
      { rate: 5 },
    );
    await Promise.all(
      [1, 1, 2].map((number) => made.client.request({ method: "POST", path: messages(number), body: {} })),
    );
    const [start = 0, ...again] = at(made.discord.arrivals, ({ path }) => path.includes(id(1)));
    const other = at(made.discord.arrivals, ({ path }) => path.includes(id(2)))[0] ?? 0;
    expect(again).toHaveLength(2);
    for (const time of again) expect(time - start).toBeGreaterThanOrEqual(3000);
    expect(other - start).toBeLessThan(3000);
    expect(made.telemetry.counts.get(metric)).toBe(1);
    expect(made.telemetry.levels.get("InvalidRequests")).toBe(scope === "shared" ? 0 : 1);
    expect(made.telemetry.counts.get("RetryAfterViolations") ?? 0).toBe(0);
    expect(Math.min(...(made.telemetry.samples.get("RetryAfterMarginMilliseconds") ?? []))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...(made.telemetry.samples.get("RequestWaitMilliseconds") ?? []))).toBeGreaterThanOrEqual(3000);
  });

  it("a hidden sub-limit: only that kind of request waits", async () => {
    let renames = 0;
    const made = await given(
      ({ body }) => {
        const renaming = String(body).includes("name");
        const numbers = limits("channel", 10, 7, 100);
        if (renaming && renames++ === 0) return limited("user", 20, numbers);
        return { status: 200, headers: numbers, body: {} };
      },
      { rate: 20 },
    );
    const rename = made.client.request({ method: "PATCH", path: channel(1), body: { name: "new" } });
    await until(() => made.telemetry.counts.has("RateLimited"));
    const start = made.clock.now();
    await made.client.request({ method: "PATCH", path: channel(1), body: { nsfw: true } });
    expect(made.clock.now() - start).toBeLessThan(20_000);
    expect(renames).toBe(1);
    await rename;
    const times = at(made.discord.arrivals, ({ body }) => String(body).includes("name"));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(20_000);
    expect(made.telemetry.events[0]?.fields).toMatchObject({ kind: "sublimit" });
  });

  it("without any number never means a zero wait, and ends in a typed error", async () => {
    const made = await given(
      () => ({ status: 429, headers: { via: "1.1 google", "x-ratelimit-scope": "user" }, body: {} }),
      {
        rate: 20,
      },
    );
    expect(await kindOf(made.client.request({ method: "GET", path: channel(1) }))).toBe("rateLimited");
    const times = at(made.discord.arrivals, () => true);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(times).toHaveLength(6);
    for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(1000 * 2 ** index);
  });

  it("longer than a call may wait is told at once, to everybody behind it too", async () => {
    const made = await given(() => limited("user", 3600, limits("h", 5, 0, 3_600_000)));
    const first = made.client.request({ method: "POST", path: messages(1), body: {} });
    const second = made.client.request({ method: "POST", path: messages(1), body: {} });
    expect(await Promise.all([kindOf(first), kindOf(second)])).toEqual(["rateLimited", "rateLimited"]);
    expect(await kindOf(made.client.request({ method: "POST", path: messages(1), body: {} }))).toBe("rateLimited");
    expect(made.discord.arrivals).toHaveLength(1);
  });
});

describe("a long queue", () => {
  it("is not refused for its length, however long the last will wait", async () => {
    const made = await given(() => ({ status: 200, headers: limits("h", 1, 0, 60_000), body: {} }), { rate: 20 });
    await made.client.request({ method: "POST", path: messages(1), body: {} });
    const abort = new AbortController();
    const calls = Array.from({ length: 1000 }, () =>
      outcome(made.client.request({ method: "POST", path: messages(1), body: {}, signal: abort.signal })),
    );
    expect(made.client.status().queued).toBe(1000);
    abort.abort("enough");
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["enough"]));
  });
});

describe("turns", () => {
  it("a thousand calls in one channel delay no other, and the urgent go first", async () => {
    const made = await given(() => ok(), { rate: 20, globalPerSecond: 1 });
    const order: string[] = [];
    made.discord.handler = ({ path, body }) => {
      order.push(path.includes(id(1)) ? "bulk" : String(JSON.parse(String(body)).content));
      return ok();
    };
    const abort = new AbortController();
    const bulk = Array.from({ length: 1000 }, (_, number) =>
      outcome(
        made.client.request({
          method: "PUT",
          path: `${messages(1)}/pins/${id(number)}`,
          signal: abort.signal,
          priority: "user",
        }),
      ),
    );
    const say = (content: string, number: number, priority: "user" | "background" | "interaction") =>
      made.client.request({ method: "POST", path: messages(number), body: { content }, priority });
    const background = say("background", 2, "background").catch(() => {});
    await Promise.all([say("other", 3, "user"), say("urgent", 4, "interaction")]);
    expect(order.indexOf("urgent")).toBeLessThan(20);
    expect(order.indexOf("other")).toBeLessThan(20);
    expect(order).not.toContain("background");
    abort.abort();
    await Promise.all([...bulk, background]);
    expect(order).toContain("background");
  });
});

describe("invalid requests", () => {
  it("shed background work at a quarter and stop at half of what bans the address", async () => {
    const made = await given(
      () => ({ status: 403, headers: { via: "1.1 google" }, body: { code: 50001, message: "Missing Access" } }),
      {
        globalPerSecond: 100_000,
      },
    );
    let asked = 0;
    const burn = async (count: number, priority: "user" | "background"): Promise<string[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          kindOf(made.client.request({ method: "GET", path: `/users/${id(asked++)}`, priority })),
        ),
      );
    for (let round = 0; round < 10; round++) await burn(250, "user");
    expect(made.telemetry.levels.get("InvalidRequests")).toBe(2500);
    expect(await burn(1, "background")).toEqual(["shed"]);
    for (let round = 0; round < 6; round++) await burn(500, "user");
    expect(made.discord.arrivals).toHaveLength(5000);
    expect(await burn(1, "user")).toEqual(["invalidBudget"]);
    expect(made.client.status().invalid).toEqual({ count: 5000, limit: 10_000, level: "stop" });
    expect(made.telemetry.lines.map(({ level }) => level)).toEqual(["warn", "warn", "error", "error"]);
  });

  it("are told at each level they reach, and when they are fine again", () => {
    const telemetry = recordedTelemetry();
    const watch = new InvalidWatch(telemetry);
    for (let count = 0; count < 4000; count++) watch.add(0);
    watch.refresh(700_000);
    expect(telemetry.levels.get("InvalidRequests")).toBe(0);
    expect(telemetry.lines.map(({ level }) => level)).toEqual(["warn", "warn", "error", "info"]);
    expect(telemetry.lines.at(-1)?.message).toContain("fine again");
  });
});
