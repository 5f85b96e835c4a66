// The REST client over real sockets: what it sends, how it fills buckets, what it retries, and what it keeps to itself.

import { describe, expect, it } from "vitest";
import { channel, given, kindOf, limited, messages, ok, outcome } from "./given.ts";
import { type FakeDiscord, id, limits, type Reply, TOKEN } from "./harness.ts";

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
      return limited("user", left / 1000, limits("hash", limit, 0, left));
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
