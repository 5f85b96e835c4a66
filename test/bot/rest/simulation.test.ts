// The whole client in virtual time, seeded: random traffic, latencies and faults against strict limits.

import { describe, expect, it } from "vitest";
import { createRestClient, EdgeBanned, type RestRequest } from "../../../bot/rest/client.ts";
import { Secret } from "../../../shared/secret.ts";
import { virtualClock } from "../../virtualClock.ts";
import { id, recordedTelemetry, TOKEN } from "./harness.ts";
import { type Faults, Model, type Rule, seeded } from "./model.ts";

// More seeds for a long run: REST_SEEDS=10000 npx vitest run test/bot/rest/simulation.test.ts
const SEEDS = Number(process.env["REST_SEEDS"] ?? 25);

function world(
  seed: number,
  { faults = {}, globalPerSecond = 50 }: { faults?: Faults; globalPerSecond?: number } = {},
) {
  const random = seeded(seed);
  const clock = virtualClock();
  // When answers get lost, nobody can tell how full a small bucket is.
  const leastHistory = faults.lost === undefined ? 1 : 4;
  const shape = (): "leaky" | "fixed" => (random() < 0.5 ? "leaky" : "fixed");
  const rules: Rule[] = [
    { matches: /\/messages$/, method: "POST", hash: "create", limit: 5, periodMs: 5000, shape: shape() },
    { matches: /\/messages\/\d+$/, method: "PATCH", hash: "edit", limit: 5, periodMs: 5000, shape: shape() },
    { matches: /\/reactions\//, hash: "react", limit: 1, periodMs: 250, shape: shape() },
    { matches: /\/roles\//, hash: "roles", limit: 10, periodMs: 10_000, shape: shape() },
    {
      matches: /\/messages\?/,
      method: "GET",
      hash: "history",
      limit: leastHistory + Math.floor(random() * 8),
      periodMs: 3000,
      shape: shape(),
    },
    { matches: /^\/webhooks/, hash: "webhook", limit: 5, periodMs: 2000, shape: shape() },
  ];
  const model = new Model({ clock, random, rules, globalPerSecond, faults });
  const telemetry = recordedTelemetry();
  const client = createRestClient(
    {
      clock,
      random,
      telemetry,
      userAgent: "DiscordBot (https://example.com, 1.0)",
      apiUrl: "http://127.0.0.1:1/api/v10",
      token: new Secret(TOKEN),
      globalPerSecond: 50,
      addresses: [],
      onEdge: () => {},
      onUnauthorized: () => {},
    },
    model,
  );
  const pick = (count: number): number => Math.floor(random() * count);
  const anyRequest = (number: number): RestRequest => {
    const channel = `/channels/${id(pick(6))}`;
    const options: RestRequest[] = [
      { method: "POST", path: `${channel}/messages`, body: { content: number } },
      { method: "POST", path: `${channel}/messages`, body: { content: number } },
      { method: "PATCH", path: `${channel}/messages/${id(100 + pick(5))}`, body: { content: number } },
      { method: "PUT", path: `${channel}/messages/${id(100)}/reactions/👍/@me` },
      { method: "DELETE", path: `${channel}/messages/${id(100)}/reactions/a:${id(7)}/@me` },
      { method: "PUT", path: `/guilds/${id(pick(2))}/members/${id(pick(9))}/roles/${id(pick(3))}` },
      { method: "GET", path: `${channel}/messages`, query: { before: id(number) } },
      { method: "GET", path: `/users/${id(pick(4))}` },
      { method: "POST", path: `/webhooks/${id(pick(2))}/token/messages`, body: { content: number } },
      { method: "GET", path: channel },
    ];
    return options[pick(options.length)] ?? options[0] ?? expect.unreachable();
  };
  return { random, clock, model, telemetry, client, anyRequest, pick };
}

/** Sends `count` random requests over `spreadMs`, and lets time pass until all have settled. */
async function run(made: ReturnType<typeof world>, count: number, spreadMs: number) {
  const { clock, client, random, anyRequest } = made;
  let settled = 0;
  const outcomes: unknown[] = [];
  const sent: { readonly number: number; readonly request: RestRequest }[] = [];
  for (let number = 0; number < count; number++) {
    clock.schedule(random() * spreadMs, () => {
      const request = anyRequest(number);
      sent.push({ number, request });
      client.request(request).then(
        () => (settled += 1),
        (error: unknown) => {
          settled += 1;
          outcomes.push(error);
        },
      );
    });
  }
  await clock.advance(spreadMs);
  for (let minute = 0; settled < count && minute < 60; minute++) await clock.advance(60_000);
  return { settled, failures: outcomes, sent };
}

/** Messages of one channel must be carried out in the order in which they were asked for. */
function expectOrder(made: ReturnType<typeof world>, sent: readonly { number: number; request: RestRequest }[]): void {
  const asked = new Map<string, number[]>();
  for (const { number, request } of sent) {
    if (request.method === "GET" || request.body === undefined) continue;
    asked.set(request.path, [...(asked.get(request.path) ?? []), number]);
  }
  const done = new Map<string, number[]>();
  for (const { method, path, body } of made.model.executed) {
    if (method !== "GET" && body !== "") done.set(path, [...(done.get(path) ?? []), JSON.parse(body).content]);
  }
  for (const [path, numbers] of done) {
    expect(numbers, path).toEqual((asked.get(path) ?? []).filter((number) => numbers.includes(number)));
  }
}

const seeds = Array.from({ length: SEEDS }, (_, seed) => seed);

describe("simulation", () => {
  it.each(seeds)("seed %i: sound network: no 429, order kept, everything settles", async (seed) => {
    const made = world(seed);
    const { settled, failures, sent } = await run(made, 400, made.random() * 8000);
    expect(settled).toBe(400);
    expect(failures).toEqual([]);
    expect(made.model.refused).toEqual([]);
    expectOrder(made, sent);
    expect(made.client.status()).toMatchObject({ queued: 0, inFlight: 0 });
    await made.client.stop(0);
    expect(made.clock.pending()).toBe(0);
  });

  it.each(seeds)("seed %i: a bad network: no 429, nothing done twice, order kept, everything settles", async (seed) => {
    const faults = { serverError: 0.05, resetBefore: 0.04, resetAfter: 0.04, lost: 0.02, half: 0.03 };
    const made = world(seed + 5000, { faults });
    const { settled, sent } = await run(made, 300, made.random() * 8000);
    expect(settled).toBe(300);
    expect(made.model.refused).toEqual([]);
    const posts = made.model.executed.filter(({ method }) => method === "POST").map(({ path, body }) => path + body);
    expect(new Set(posts).size).toBe(posts.length);
    expectOrder(made, sent);
    expect(made.client.status()).toMatchObject({ queued: 0, inFlight: 0 });
  });

  it.each(seeds)("seed %i: rules that change under way: every wait is obeyed, everything settles", async (seed) => {
    const made = world(seed + 9000, { globalPerSecond: 30 });
    for (let change = 1; change < 4; change++) made.clock.schedule(change * 1500, () => made.model.renaming++);
    const { settled, failures, sent } = await run(made, 400, made.random() * 8000);
    expect(settled).toBe(400);
    expect(failures).toEqual([]);
    expect(made.model.refused.filter((refusal) => !refusal.startsWith("global"))).toEqual([]);
    expect(made.model.early).toEqual([]);
    expect(made.telemetry.counts.get("RetryAfterViolations") ?? 0).toBe(0);
    expectOrder(made, sent);
  });

  it.each(seeds)("seed %i: an edge ban: one hit a probe interval, work flows afterwards", async (seed) => {
    const made = world(seed + 20_000);
    const retryAfter = made.random() < 0.5 ? undefined : 1 + Math.floor(made.random() * 1200);
    const lasts = 30_000 + made.random() * 900_000;
    made.model.edge = () => ({ status: 429, ...(retryAfter === undefined ? {} : { retryAfter }) });
    made.clock.schedule(lasts, () => {
      made.model.edge = undefined;
    });
    const results: unknown[] = [];
    for (let number = 0; number < 60; number++) {
      made.clock.schedule(200 + number * 500, () => {
        made.client.request(made.anyRequest(number)).then(
          () => results.push("done"),
          (error: unknown) => results.push(error),
        );
      });
    }
    await made.clock.advance(lasts);
    const hits = [...made.model.edgeHits];
    await made.clock.advance(3_600_000);
    expect(results).toHaveLength(60);
    for (const result of results) expect(result === "done" || result instanceof EdgeBanned).toBe(true);
    const gap = retryAfter !== undefined && retryAfter <= 600 ? retryAfter * 1000 : 60_000;
    for (const [index, at] of hits.entries()) {
      // Requests that were under way when the first was refused could not know; 200 ms is their longest way.
      const first = hits[0] ?? 0;
      if (index > 0 && at > first + 200) expect(at - (hits[index - 1] ?? 0)).toBeGreaterThanOrEqual(gap);
    }
    expect(made.client.status().edge.state).toBe("clear");
    const last = made.client.request({ method: "GET", path: `/channels/${id(1)}` });
    await made.clock.advance(1000);
    await last;
  });
});
