// The REST client over real sockets: each rule against a loopback server with Discord's headers.

import { afterEach, describe, expect, it } from "vitest";
import { EdgeBanned, RestError } from "../../../bot/rest/client.ts";
import { type FakeDiscord, id, limits, type Reply, type Setting, setting, soon, TOKEN, until } from "./harness.ts";

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
const messages = (channel: number): string => `/channels/${id(channel)}/messages`;
const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  soon(promise).then(
    () => expect.unreachable("it succeeded"),
    (error: unknown) => error,
  );
const kindOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await failure(promise);
  return error instanceof RestError ? error.kind : String(error);
};

/** Fixed windows per key, strictly enforced. */
function buckets(limit: number, periodMs: number, clock: () => number, keyOf: (path: string) => string) {
  const windows = new Map<string, { count: number; ends: number }>();
  const violations: string[] = [];
  const reply = (path: string, extra: { delay?: number } = {}): Reply => {
    const key = keyOf(path);
    const now = clock();
    let window = windows.get(key);
    if (window === undefined || window.ends <= now) {
      window = { count: 0, ends: now + periodMs };
      windows.set(key, window);
    }
    window.count += 1;
    const left = window.ends - now;
    if (window.count > limit) {
      violations.push(key);
      return {
        status: 429,
        headers: {
          ...limits("hash", limit, 0, left),
          "x-ratelimit-scope": "user",
          "retry-after": String(Math.ceil(left / 1000)),
        },
        body: { message: "You are being rate limited.", retry_after: left / 1000, global: false },
      };
    }
    return { status: 200, headers: limits("hash", limit, limit - window.count, left), body: { id: id(1) }, ...extra };
  };
  return { reply, violations };
}

describe("a request", () => {
  it("sends token, agent, reason, query and JSON, and returns the document", async () => {
    const { client, discord } = await given(() => ok({ hello: "world" }));
    const result = await client.request({
      method: "POST",
      path: messages(1),
      query: { wait: true, ids: ["1", "2"], none: undefined },
      body: { content: "hi" },
      reason: "because é",
    });
    expect(result).toEqual({ hello: "world" });
    const [arrival] = discord.arrivals;
    expect(arrival?.path).toBe(`/api/v10${messages(1)}?wait=true&ids=1&ids=2`);
    expect(arrival?.headers).toMatchObject({
      authorization: `Bot ${TOKEN}`,
      "user-agent": "DiscordBot (https://example.com, 1.0)",
      "content-type": "application/json",
      "x-audit-log-reason": "because%20%C3%A9",
    });
    const body = JSON.parse(String(arrival?.body));
    expect(body).toMatchObject({ content: "hi", enforce_nonce: true });
    expect(body.nonce).toMatch(/^[0-9a-z]{25}$/);
  });

  it("returns undefined for 204", async () => {
    const { client } = await given(() => ({ status: 204 }));
    expect(await client.request({ method: "DELETE", path: `${messages(1)}/${id(2)}` })).toBeUndefined();
  });

  it("sends no token where the path carries its own credential", async () => {
    const { client, discord } = await given(() => ({ status: 204 }));
    await client.request({
      method: "POST",
      path: `/interactions/${id(1)}/aW50ZXJhY3Rpb24/callback`,
      body: { type: 5 },
    });
    expect(discord.arrivals[0]?.headers.authorization).toBeUndefined();
  });
});

describe("buckets", () => {
  it("an unknown one is probed by one request, then filled up to what remains, without a 429", async () => {
    const made = await given(() => ok(), { rate: 50, globalPerSecond: 1000 });
    let most = 0;
    let running = 0;
    const server = buckets(5, 5000, made.clock.now, () => "all");
    const starts: number[] = [];
    made.discord.handler = async ({ path }) => {
      running += 1;
      most = Math.max(most, running);
      starts.push(running);
      const reply = server.reply(path, { delay: 20 });
      await made.clock.sleep(500);
      running -= 1;
      return reply;
    };
    const calls = Array.from({ length: 12 }, (_, index) =>
      made.client.request({ method: "GET", path: messages(1), query: { before: id(index) } }),
    );
    await Promise.all(calls);
    expect(server.violations).toEqual([]);
    expect(starts[0]).toBe(1);
    expect(starts[1]).toBe(1);
    expect(most).toBeGreaterThan(1);
  });

  it("keeps the order of messages per channel, over many channels, without a 429", async () => {
    const made = await given(() => ok(), { rate: 50 });
    const server = buckets(5, 5000, made.clock.now, (path) => path);
    const seen = new Map<string, number[]>();
    made.discord.handler = ({ path, body }) => {
      const order = seen.get(path) ?? [];
      order.push(JSON.parse(String(body)).content);
      seen.set(path, order);
      return server.reply(path);
    };
    const calls = [];
    for (let message = 0; message < 12; message++) {
      for (let channel = 0; channel < 8; channel++) {
        calls.push(made.client.request({ method: "POST", path: messages(channel), body: { content: message } }));
      }
    }
    await Promise.all(calls);
    expect(server.violations).toEqual([]);
    expect(made.telemetry.counts.get("RetryAfterViolations") ?? 0).toBe(0);
    for (const order of seen.values()) expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(seen.size).toBe(8);
  });
});

describe("the edge", () => {
  const ban = (retryAfter?: number): Reply => ({
    status: 429,
    headers: { server: "cloudflare", ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }) },
    body: "error code: 1015",
  });

  it.each([[3600], [undefined]])(
    "a ban with Retry-After %s costs one hit, and every caller hears until when",
    async (retryAfter) => {
      const made = await given(() => ban(retryAfter));
      const first = await failure(made.client.request({ method: "POST", path: messages(1), body: {} }));
      expect(first).toBeInstanceOf(EdgeBanned);
      const rest = await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          failure(made.client.request({ method: "GET", path: messages(index) })),
        ),
      );
      expect(rest.every((error) => error instanceof EdgeBanned && error.until > Date.now())).toBe(true);
      expect(made.discord.arrivals).toHaveLength(1);
      expect(made.telemetry.flushes).toBe(1);
      expect(made.telemetry.events.map((event) => event.name)).toEqual(["edge.banned"]);
      expect(made.telemetry.events[0]?.fields).toMatchObject({ via: "rest", route: null, address: "203.0.113.7" });
      expect(made.client.status().edge.state).toBe("banned");
    },
  );

  it("a short ban is waited out, probed once with GET /gateway, and queued work flows", async () => {
    let banned = true;
    const made = await given(({ path }) => (banned ? ban(5) : ok({ path })), { rate: 20 });
    const calls = Array.from({ length: 20 }, (_, index) =>
      made.client.request({ method: "GET", path: messages(index) }),
    );
    await until(() => made.telemetry.flushes > 0 && made.client.status().inFlight === 0);
    const hits = made.discord.arrivals.length;
    banned = false;
    await Promise.all(calls);
    const probe = made.discord.arrivals[hits];
    expect(probe?.path).toBe("/api/v10/gateway");
    expect(probe?.headers.authorization).toBeUndefined();
    expect((probe?.at ?? 0) - (made.discord.arrivals[0]?.at ?? 0)).toBeGreaterThanOrEqual(5000);
    expect(made.edges.map((edge) => edge.state).at(-1)).toBe("clear");
    expect(made.telemetry.events.map((event) => event.name)).toEqual(["edge.banned", "edge.cleared"]);
  });
});

describe("401", () => {
  it("stops all authenticated traffic at once, queued calls included", async () => {
    const made = await given((arrival: { path: string }) =>
      arrival.path.includes("/webhooks/") ? ok({}) : { status: 401, body: { message: "401: Unauthorized", code: 0 } },
    );
    const calls = Array.from({ length: 100 }, () =>
      kindOf(made.client.request({ method: "POST", path: messages(1), body: {} })),
    );
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["unauthorized"]));
    expect(made.discord.arrivals).toHaveLength(1);
    expect(made.unauthorized.times).toBe(1);
    await made.client.request({ method: "POST", path: `/webhooks/${id(1)}/secret`, body: {} });
  });
});

describe("faults", () => {
  const reset: Reply = (response) => response.socket?.destroy();
  const cut: Reply = (response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "100" });
    response.write('{"half":');
    response.socket?.end();
  };
  const half: Reply = (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"half":');
  };
  const failing = (reply: Reply, times: number): FakeDiscord["handler"] => {
    return ({ number }) => (number < times ? reply : ok({ done: true }));
  };

  it.each([
    ["a reset", reset],
    ["a cut body", cut],
    ["half a document", half],
    ["a 502", { status: 502, body: "<html>" }],
    ["a 500", { status: 500, body: { message: "500", code: 0 } }],
  ] satisfies [string, Reply][])(
    "%s is retried for a GET and a message with a nonce, never for another POST",
    async (_, reply) => {
      const made = await given(failing(reply, 2), { rate: 20 });
      expect(await made.client.request({ method: "GET", path: messages(1) })).toEqual({ done: true });
      expect(made.discord.arrivals).toHaveLength(3);

      const nonced = await given(failing(reply, 1), { rate: 20 });
      await nonced.client.request({ method: "POST", path: messages(1), body: { content: "once" } });
      const [one, two] = nonced.discord.arrivals;
      expect(String(two?.body)).toBe(String(one?.body));

      const bare = await given(failing(reply, 1), { rate: 20 });
      expect(
        await kindOf(bare.client.request({ method: "POST", path: `/guilds/${id(1)}/channels`, body: {} })),
      ).toMatch(/network|badResponse|serverError/);
      expect(bare.discord.arrivals).toHaveLength(1);
    },
  );
});
