// The client's rules over real sockets: 429s by scope, giving up, shutting down, sharing, urgency, budgets.

import { afterEach, describe, expect, it } from "vitest";
import { EdgeBanned, RestError } from "../../../bot/rest/client.ts";
import { type Arrival, id, limits, type Reply, type Setting, setting, soon, TOKEN, until } from "./harness.ts";

const open: Setting[] = [];
async function given(...parameters: Parameters<typeof setting>): Promise<Setting> {
  const made = await setting(...parameters);
  open.push(made);
  return made;
}
afterEach(async () => {
  for (const made of open.splice(0)) await made.end();
});

const ok = (body: unknown = {}): Reply => ({ status: 200, headers: { via: "1.1 google" }, body });
const channel = (number: number): string => `/channels/${id(number)}`;
const messages = (number: number): string => `${channel(number)}/messages`;
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  soon(promise).then(
    () => "done",
    (error: unknown) => error,
  );
const kind = async (promise: Promise<unknown>): Promise<string> => {
  const result = await outcome(promise);
  return result instanceof RestError ? result.kind : String(result);
};
const at = (arrivals: readonly Arrival[], test: (arrival: Arrival) => boolean): number[] =>
  arrivals.filter(test).map((arrival) => arrival.at);

function limited(scope: string, seconds: number, headers: Record<string, string> = {}): Reply {
  return {
    status: 429,
    headers: { via: "1.1 google", "x-ratelimit-scope": scope, "retry-after": String(Math.ceil(seconds)), ...headers },
    body: { message: "You are being rate limited.", retry_after: seconds, global: scope === "global" },
  };
}

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
    expect(await kind(made.client.request({ method: "GET", path: channel(1) }))).toBe("rateLimited");
    const times = at(made.discord.arrivals, () => true);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(times).toHaveLength(6);
    for (const [index, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(1000 * 2 ** index);
  });

  it("longer than a call may wait is told at once, to everybody behind it too", async () => {
    const made = await given(() => limited("user", 3600, limits("h", 5, 0, 3_600_000)));
    const first = made.client.request({ method: "POST", path: messages(1), body: {} });
    const second = made.client.request({ method: "POST", path: messages(1), body: {} });
    expect(await Promise.all([kind(first), kind(second)])).toEqual(["rateLimited", "rateLimited"]);
    expect(await kind(made.client.request({ method: "POST", path: messages(1), body: {} }))).toBe("rateLimited");
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

describe("giving up", () => {
  it("a signal ends a call while queued, in flight and in a 429 wait, and the next goes on", async () => {
    const made = await given(
      ({ number }) => {
        if (number === 0) return () => {};
        return number === 1 ? limited("user", 60, limits("h", 5, 0, 60_000)) : ok();
      },
      { rate: 20 },
    );
    const flying = new AbortController();
    const queued = new AbortController();
    const waiting = new AbortController();
    const calls = [flying, queued, waiting].map(({ signal }) =>
      outcome(made.client.request({ method: "POST", path: messages(1), body: {}, signal })),
    );
    await until(() => made.discord.arrivals.length === 1);
    queued.abort("queued");
    flying.abort("flying");
    await until(() => made.telemetry.counts.has("RateLimited"));
    waiting.abort("waiting");
    expect(await Promise.all(calls)).toEqual(["flying", "queued", "waiting"]);
    expect(made.client.status()).toMatchObject({ queued: 0, inFlight: 0 });
    await expect(
      made.client.request({ method: "GET", path: "/gateway", signal: AbortSignal.abort("before") }),
    ).rejects.toBe("before");
  });

  it("a deadline ends a call, and one that cannot be kept is refused before it queues", async () => {
    const made = await given(({ number }) => ({ status: 200, headers: limits("h", 1, 0, 60_000), body: { number } }), {
      rate: 20,
    });
    await made.client.request({ method: "POST", path: messages(1), body: {} });
    const start = made.clock.now();
    expect(await kind(made.client.request({ method: "POST", path: messages(1), body: {}, deadlineMs: 30_000 }))).toBe(
      "deadline",
    );
    expect(made.clock.now() - start).toBeLessThan(20_000);
    const silent = await given(() => () => {}, { rate: 20 });
    expect(await kind(silent.client.request({ method: "POST", path: messages(1), body: {}, deadlineMs: 500 }))).toBe(
      "deadline",
    );
    expect(silent.client.status().inFlight).toBe(0);
  });

  it("an answer that never comes is a timeout, once for a POST", async () => {
    const made = await given(() => () => {}, { rate: 40 });
    expect(await kind(made.client.request({ method: "POST", path: `/guilds/${id(1)}/channels`, body: {} }))).toBe(
      "timeout",
    );
    expect(made.discord.arrivals).toHaveLength(1);
  });

  it("a retry by nonce that finds the message deleted is done", async () => {
    const made = await given(
      ({ number }) =>
        number === 0
          ? (response) => response.socket?.destroy()
          : { status: 404, headers: { via: "1.1 google" }, body: { code: 10008, message: "Unknown Message" } },
      { rate: 20 },
    );
    expect(await made.client.request({ method: "POST", path: messages(1), body: { content: "x" } })).toBeUndefined();
    const first = await given(() => ({ status: 404, body: { code: 10008, message: "Unknown Message" } }));
    expect(await kind(first.client.request({ method: "POST", path: messages(1), body: { content: "x" } }))).toBe(
      "missing",
    );
  });

  it("nobody there at all is a network error after retries, for a POST too, since no byte left", async () => {
    const made = await given(() => ok(), { rate: 20 });
    await made.discord.close();
    expect(await kind(made.client.request({ method: "POST", path: `/guilds/${id(1)}/channels`, body: {} }))).toBe(
      "network",
    );
    expect(made.telemetry.counts.get("RequestRetries")).toBe(4);
  });
});

describe("stop", () => {
  it("refuses new calls, lets queued ones finish, and closes", async () => {
    const made = await given(() => ok(), { rate: 20 });
    const calls = Array.from({ length: 20 }, () =>
      kind(made.client.request({ method: "POST", path: messages(1), body: {} })),
    );
    const stopping = made.client.stop(60_000);
    expect(await kind(made.client.request({ method: "GET", path: channel(1) }))).toBe("stopped");
    await stopping;
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["done"]));
  });

  it("fails what is left at the deadline", async () => {
    const made = await given(() => () => {}, { rate: 20 });
    const calls = Array.from({ length: 5 }, () =>
      kind(made.client.request({ method: "POST", path: messages(1), body: {} })),
    );
    await made.client.stop(1000);
    expect(await Promise.all(calls)).toEqual(Array(5).fill("stopped"));
  });
});

describe("sharing", () => {
  it("identical GETs in flight are one request, and each caller gets a document of its own", async () => {
    const made = await given(async () => {
      await made.clock.sleep(50);
      return ok({ list: [1] });
    });
    const results = await Promise.all(
      Array.from({ length: 100 }, () => made.client.request<{ list: number[] }>({ method: "GET", path: channel(1) })),
    );
    expect(made.discord.arrivals).toHaveLength(1);
    results[0]?.list.push(2);
    expect(results[1]).toEqual({ list: [1] });
    await made.client.request({ method: "GET", path: channel(1) });
    expect(made.discord.arrivals).toHaveLength(2);
  });

  it("one caller's abort leaves the others their answer; a write in between ends the sharing", async () => {
    const made = await given(async () => {
      await made.clock.sleep(50);
      return ok({});
    });
    const controller = new AbortController();
    const first = outcome(made.client.request({ method: "GET", path: channel(1), signal: controller.signal }));
    const second = outcome(made.client.request({ method: "GET", path: channel(1) }));
    controller.abort("enough");
    expect(await Promise.all([first, second])).toEqual(["enough", "done"]);
    const before = made.client.request({ method: "GET", path: channel(1) });
    const write = made.client.request({ method: "PATCH", path: channel(1), body: {} });
    const after = made.client.request({ method: "GET", path: channel(1) });
    await Promise.all([before, write, after]);
    expect(made.discord.arrivals.filter(({ method }) => method === "GET")).toHaveLength(3);
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

describe("the edge on one route", () => {
  it("narrows to it while others pass, and the rest goes on", async () => {
    const made = await given(
      async ({ path }) => {
        if (path.includes("/invites/"))
          return { status: 429, headers: { "retry-after": "120" }, body: "error code: 1015" };
        await until(() => made.telemetry.flushes > 0);
        return ok();
      },
      { rate: 20 },
    );
    const invite = outcome(made.client.request({ method: "GET", path: "/invites/abc" }));
    const other = made.client.request({ method: "GET", path: channel(1) });
    expect(await invite).toBeInstanceOf(EdgeBanned);
    await other;
    await made.client.request({ method: "GET", path: channel(2) });
    expect(await outcome(made.client.request({ method: "GET", path: "/invites/def" }))).toBeInstanceOf(EdgeBanned);
    expect(made.discord.arrivals.filter(({ path }) => path.includes("/invites/"))).toHaveLength(1);
    expect(made.client.status().edge).toMatchObject({ state: "clear", routes: ["GET /invites/{code}"] });
    expect(made.telemetry.levels.get("EdgeBannedRoutes")).toBe(1);
    expect(made.edges.at(-1)).toMatchObject({ state: "banned", route: "GET /invites/{code}" });
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
          kind(made.client.request({ method: "GET", path: `/users/${id(asked++)}`, priority })),
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
});

describe("files", () => {
  it("go as multipart, with the same bytes on a retry", async () => {
    const made = await given(({ number }) => (number === 0 ? { status: 502, body: "bad" } : ok()), { rate: 20 });
    await made.client.request({
      method: "POST",
      path: messages(1),
      body: { content: "look" },
      files: [{ name: 'a "b".txt', data: "hello", contentType: "text/plain", description: "alt" }],
    });
    const [first, second] = made.discord.arrivals;
    const text = String(first?.body);
    expect(first?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
    expect(second?.body.equals(first?.body ?? Buffer.alloc(0))).toBe(true);
    expect(second?.headers["content-type"]).toBe(first?.headers["content-type"]);
    expect(text).toContain('name="files[0]"; filename="a %22b%22.txt"\r\nContent-Type: text/plain\r\n\r\nhello\r\n');
    expect(text).toMatch(/"attachments":\[\{"id":0,"filename":"a \\"b\\".txt","description":"alt"\}\]/);
    expect(text).toContain('"enforce_nonce":true');
  });
});

describe("secrets", () => {
  it("no token of any kind reaches errors, events, lines or the status", async () => {
    const hookToken = "webhook-token-that-is-secret";
    const made = await given(() => limited("user", 3600, limits("h", 5, 0, 3_600_000)));
    const errors = [
      await outcome(
        made.client.request({ method: "POST", path: `/webhooks/${id(1)}/${hookToken}`, body: { content: hookToken } }),
      ),
      await outcome(made.client.request({ method: "POST", path: messages(1), body: {} })),
    ];
    const everything = JSON.stringify([
      errors.map((error) => (error instanceof Error ? [error.message, error.stack, { ...error }] : error)),
      made.telemetry.events,
      made.telemetry.lines,
      made.client.status(),
    ]);
    expect(everything).toContain("rateLimited");
    expect(everything).not.toContain(hookToken);
    expect(everything).not.toContain(TOKEN);
  });
});
