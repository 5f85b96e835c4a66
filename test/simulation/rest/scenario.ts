// One seeded run of the REST client: traffic, faults and bans under a virtual clock, held to every rule to the end.

import {
  createRestClient,
  EdgeBanned,
  type RestClient,
  RestError,
  type RestRequest,
} from "../../../bot/rest/client.ts";
import { Secret } from "../../../shared/secret.ts";
import { recordedTelemetry } from "../../bot/rest/harness.ts";
import { type Chance, createChance } from "../gateway/chance.ts";
import { createTimeline, type Timeline } from "../gateway/timeline.ts";
import { BrokenRule, Trace } from "../gateway/trace.ts";
import { type Ban, type Faults, SimulatedRest } from "./discord.ts";
import { type Asked, resourceOf } from "./rules.ts";
import { Watch } from "./watch.ts";

export interface Outcome {
  readonly hash: string;
  readonly simulatedMs: number;
  readonly description: string;
  readonly broken: string | undefined;
}

/** What a run tries, and how often among them. */
const KINDS = [
  ...Array<"calm">(3).fill("calm"),
  ...Array<"rough">(3).fill("rough"),
  ...Array<"changing">(2).fill("changing"),
  ...Array<"hidden">(2).fill("hidden"),
  ...Array<"edge">(3).fill("edge"),
  ...Array<"edgeOfRoute">(2).fill("edgeOfRoute"),
  ...Array<"refusing">(2).fill("refusing"),
  "unauthorized",
] as const;
/** Thousands of requests, to come near the budget of invalid ones: rarely. */
const BURNING = 0.01;
type Kind = (typeof KINDS)[number] | "burning";

const CALM: Faults = { serverError: 0, resetBefore: 0, resetAfter: 0, lost: 0, half: 0 };
const ROUGH: Faults = { serverError: 0.05, resetBefore: 0.04, resetAfter: 0.04, lost: 0.02, half: 0.03 };
const HOUR_MS = 3_600_000;
const GUILD = "700000000000000001";
const id = (number: number): string => String(900_000_000_000_000_000n + BigInt(number));

interface Sent {
  readonly number: number;
  readonly request: RestRequest;
  readonly askedAt: number;
  settledAt: number | undefined;
  error: unknown;
  aborted: boolean;
}

interface World {
  readonly kind: Kind;
  readonly chance: Chance;
  readonly timeline: Timeline;
  readonly trace: Trace;
  readonly watch: Watch;
  readonly discord: SimulatedRest;
  readonly client: RestClient;
  readonly sent: Sent[];
}

export async function simulate(seed: number): Promise<Outcome> {
  const chance = createChance(seed);
  const timeline = createTimeline();
  const trace = new Trace(timeline.now);
  const watch = new Watch(timeline.now, (rule) => trace.broken(rule));
  const kind: Kind = chance.happens(BURNING) ? "burning" : chance.pick(KINDS as unknown as [Kind, ...Kind[]]);
  const faults = kind === "rough" ? ROUGH : CALM;
  const slowest = chance.pick([2, 40, 400]);
  const discord = new SimulatedRest({ timeline, chance, trace, watch }, faults, [1, slowest]);
  const telemetry = recordedTelemetry();
  const client = createRestClient(
    {
      clock: timeline,
      random: chance.random,
      telemetry,
      userAgent: "DiscordBot (https://example.com, 1.0)",
      apiUrl: "http://127.0.0.1:1/api/v10",
      token: new Secret("simulated"),
      globalPerSecond: kind === "burning" ? 2_000 : 50,
      addresses: [],
      onEdge: () => {},
      onUnauthorized: () => {},
    },
    discord,
  );
  const world: World = { kind, chance, timeline, trace, watch, discord, client, sent: [] };
  const count = kind === "burning" ? 7_000 : chance.whole(50, 400);
  const spreadMs = kind === "burning" ? 60_000 : chance.between(0, kind.startsWith("edge") ? 60_000 : 12_000);
  let broken: string | undefined;
  try {
    prepare(world, spreadMs);
    for (let number = 0; number < count; number++) {
      timeline.schedule(chance.between(0, spreadMs), () => ask(world, number));
    }
    const check = (): void => trace.check();
    await timeline.run(spreadMs, check);
    // A name's hidden limit alone may take an hour for each pair of changes; nothing else comes near.
    for (let hour = 0; hour < 24 && world.sent.some(({ settledAt }) => settledAt === undefined); hour++) {
      await timeline.run(timeline.now() + HOUR_MS, check);
    }
    expectEnd(world, telemetry.counts.get("RetryAfterViolations") ?? 0);
    await goesOn(world, check);
    const stopped = client.stop(0);
    await timeline.run(timeline.now() + 1, check);
    await stopped;
  } catch (error) {
    if (!(error instanceof BrokenRule)) throw error;
    broken = `rest seed ${seed} (${kind}): ${error.message}\n${trace.tail()}`;
  }
  const description = `${kind}, ${world.sent.length} requests, answers within ${2 * slowest} ms`;
  return { hash: trace.hash, simulatedMs: timeline.now(), description, broken };
}

/** Whatever this kind of run has in store. */
function prepare({ kind, chance, timeline, discord, client, watch }: World, spreadMs: number): void {
  const later = (then: () => void): void => void timeline.schedule(chance.between(0, spreadMs), then);
  if (chance.happens(0.3)) discord.contradicts = true;
  if (chance.happens(0.2)) discord.renamed = "each request";
  else if (chance.happens(0.3)) later(() => (discord.renamed = 1));
  for (let event = 0; event < 20; event++) {
    later(() => {
      const channel = id(chance.whole(0, 5));
      client.noteDispatch("MESSAGE_CREATE", { id: id(event), channel_id: channel, guild_id: GUILD });
    });
  }
  switch (kind) {
    case "changing":
      if (chance.happens(0.5)) discord.globalPerSecond = 30;
      for (const rule of chance.some(discord.rules.told, 0.4)) {
        later(() =>
          discord.change(rule, chance.pick([{ limit: chance.whole(1, 8) }, { periodMs: rule.periodMs * 2 }])),
        );
      }
      return;
    case "edge":
    case "edgeOfRoute": {
      const retryAfterSeconds = chance.happens(0.5) ? undefined : chance.whole(1, 1_500);
      const shape = chance.pick<Ban["shape"]>(["text", "html", "json", "forbidden"]);
      const route = kind === "edge" ? undefined : /^POST \/channels\/\d+\/messages$/;
      later(() => {
        discord.ban = { route, shape, retryAfterSeconds };
        timeline.schedule(chance.between(1_000, 1_800_000), () => {
          discord.ban = undefined;
          watch.edgeLifted();
        });
      });
      return;
    }
    case "refusing":
      discord.refuses = ({ path }) =>
        path.includes("/permissions/") ? 403 : path.includes("/bans/") ? 404 : undefined;
      later(() => {
        watch.reopened(`/channels/${id(1)}`);
        watch.reopened(`/channels/${id(2)}`);
        for (const channel of [id(1), id(2)]) client.noteDispatch("CHANNEL_UPDATE", { id: channel, guild_id: GUILD });
        // Every channel whose server is not known yet may be of this one.
        for (let number = 0; number < 6; number++) watch.reopened(`/channels/${id(number)}`);
      });
      return;
    case "burning":
      discord.globalPerSecond = 100_000;
      // One in ten passes, and shows that the route has no limit of its own: many are then under way at once.
      discord.refuses = ({ path }) => (/^\/users\/.*[1-9]$/.test(path) ? 403 : undefined);
      return;
    case "unauthorized":
      later(() => (discord.tokenRefused = true));
      return;
    default:
  }
}

function ask(world: World, number: number): void {
  const { chance, timeline, trace, client, sent } = world;
  const abort = new AbortController();
  const request: RestRequest = {
    ...anyRequest(world, number),
    priority: chance.pick(["user", "user", "user", "background", "interaction"]),
    ...(chance.happens(0.05) ? { deadlineMs: chance.between(10, 60_000) } : {}),
    ...(chance.happens(0.1) ? { signal: abort.signal } : {}),
  };
  const entry: Sent = {
    number,
    request,
    askedAt: timeline.now(),
    settledAt: undefined,
    error: undefined,
    aborted: false,
  };
  sent.push(entry);
  const settle = (error: unknown): void => {
    if (entry.settledAt !== undefined) trace.broken(`${request.method} ${request.path} settled twice`);
    entry.settledAt = timeline.now();
    entry.error = error;
  };
  client.request(request).then(() => settle(undefined), settle);
  if (request.signal === undefined) return;
  timeline.schedule(chance.between(0, 20_000), () => {
    entry.aborted = entry.settledAt === undefined;
    abort.abort(new Error("given up"));
  });
}

function anyRequest({ kind, chance }: World, number: number): RestRequest {
  const channel = `/channels/${id(chance.whole(0, 5))}`;
  const body = { content: number };
  if (kind === "burning") return { method: "GET", path: `/users/${id(number)}` };
  const requests: (() => RestRequest)[] = [
    () => ({ method: "POST", path: `${channel}/messages`, body }),
    () => ({ method: "POST", path: `${channel}/messages`, body }),
    () => ({ method: "PATCH", path: `${channel}/messages/${id(100 + chance.whole(0, 4))}`, body }),
    () => ({ method: "PUT", path: `${channel}/messages/${id(100)}/reactions/👍/@me` }),
    () => ({ method: "DELETE", path: `${channel}/messages/${id(100)}/reactions/a:${id(7)}/@me` }),
    () => ({
      method: "PUT",
      path: `/guilds/${GUILD}/members/${id(chance.whole(0, 8))}/roles/${id(chance.whole(0, 2))}`,
    }),
    () => ({ method: "GET", path: `${channel}/messages`, query: { before: id(number) } }),
    () => ({ method: "GET", path: `/users/${id(chance.whole(0, 3))}`, cacheMs: chance.pick([0, 1_000, 60_000]) }),
    () => ({ method: "POST", path: `/webhooks/${id(chance.whole(0, 1))}/token`, body }),
    () => ({ method: "GET", path: channel }),
  ];
  if (kind === "hidden") requests.push(() => ({ method: "PATCH", path: channel, body: { name: String(number) } }));
  if (kind === "refusing") {
    requests.push(() => ({
      method: "PUT",
      path: `${channel}/permissions/${id(chance.whole(0, 2))}`,
      body: { type: 0 },
    }));
    requests.push(() => ({ method: "GET", path: `/guilds/${GUILD}/bans/${id(chance.whole(0, 4))}` }));
  }
  return (requests[chance.whole(0, requests.length - 1)] ?? requests[0])?.() ?? { method: "GET", path: channel };
}

/** Errors that a run of this kind may bring. */
function mayFail(kind: Kind, { error, request, aborted }: Sent): boolean {
  if (error === undefined || aborted) return true;
  if (!(error instanceof RestError)) return false;
  if (error.kind === "deadline") return request.deadlineMs !== undefined;
  if (error.kind === "rateLimited") return kind === "hidden" || kind === "changing" || request.deadlineMs !== undefined;
  switch (kind) {
    case "rough":
      return ["network", "timeout", "serverError", "badResponse"].includes(error.kind);
    case "edge":
    case "edgeOfRoute":
      return error instanceof EdgeBanned;
    case "refusing":
      return error.kind === "forbidden" || error.kind === "missing";
    case "burning":
      return ["forbidden", "shed", "invalidBudget"].includes(error.kind);
    case "unauthorized":
      return error.kind === "unauthorized";
    default:
      return false;
  }
}

/** What must hold once everything has come to rest. */
function expectEnd(world: World, violations: number): void {
  const { kind, trace, discord, client, sent } = world;
  for (const entry of sent) {
    if (entry.settledAt === undefined) trace.broken(`${entry.request.method} ${entry.request.path} never settled`);
    if (!mayFail(kind, entry)) trace.broken(`${entry.request.method} ${entry.request.path} failed: ${entry.error}`);
  }
  const { queued, inFlight } = client.status();
  if (queued !== 0 || inFlight !== 0) trace.broken(`${queued} queued and ${inFlight} in flight when all had settled`);
  if (violations > 0) trace.broken(`the client counted ${violations} broken waits of its own`);
  const [avoidable] = discord.avoidable;
  if (avoidable !== undefined)
    trace.broken(`${discord.avoidable.length} 429s could have been avoided, first ${avoidable}`);
  expectOrder(world);
  if (kind === "calm") expectTurns(world);
  trace.check();
}

/** Messages and edits of one resource and priority in the order of asking, none twice. */
function expectOrder({ trace, discord, sent }: World): void {
  const asked = new Map<number, Sent>(sent.map((entry) => [entry.number, entry]));
  const last = new Map<string, number>();
  const done = new Set<string>();
  for (const { method, path, body } of discord.executed) {
    if (method === "GET" || !body.includes('"content"')) continue;
    const number = Number(JSON.parse(body).content);
    const entry = asked.get(number);
    if (done.has(`${method} ${number}`) && method === "POST") trace.broken(`message ${number} was made twice`);
    done.add(`${method} ${number}`);
    // A request given up in flight may arrive after those behind it.
    if (entry === undefined || entry.aborted || entry.error !== undefined) continue;
    const line = `${method} ${path} ${entry.request.priority}`;
    const before = asked.get(last.get(line) ?? -1);
    const late = before !== undefined && before.askedAt > entry.askedAt;
    if (late) trace.broken(`${method} ${path}: ${before.number} was carried out before ${number}`);
    last.set(line, number);
  }
}

/** Nobody waits for longer than the rules, and all that was asked for, can account for. */
function expectTurns({ trace, discord, sent }: World): void {
  const lines = new Map<string, number>();
  const lineOf = ({ request }: Sent): readonly [string, number, number] => {
    const asked: Asked = { method: request.method, path: request.path, body: "" };
    const rule = discord.rules.told.find((one) => one.fits(asked));
    return [`${rule?.hash} ${resourceOf(request.path)}`, rule?.limit ?? Infinity, rule?.periodMs ?? 0];
  };
  for (const entry of sent) {
    const [line] = lineOf(entry);
    lines.set(line, (lines.get(line) ?? 0) + 1);
  }
  for (const entry of sent) {
    const [line, limit, periodMs] = lineOf(entry);
    const laps = Math.ceil((lines.get(line) ?? 0) / limit) + 2;
    // Each request one after the other takes its way there and back, at most 800 ms.
    const bound = 5_000 + laps * (periodMs + 800) + (sent.length / 50) * 1_800 + (lines.get(line) ?? 0) * 800;
    const waited = (entry.settledAt ?? Infinity) - entry.askedAt;
    if (waited > bound) trace.broken(`${line} starved: ${waited} ms, where ${bound} ms would do`);
  }
}

/** After all of it, one more request passes (or is told why not), and nothing is left running. */
async function goesOn({ kind, timeline, trace, client, discord }: World, check: () => void): Promise<void> {
  await timeline.run(timeline.now() + HOUR_MS, check);
  discord.ban = undefined;
  discord.faults = CALM;
  let outcome: unknown = "nothing";
  const path = `/channels/${id(5_000)}`;
  client.request({ method: "GET", path }).then(
    () => (outcome = "done"),
    (error: unknown) => (outcome = error),
  );
  await timeline.run(timeline.now() + 60_000, check);
  const told = kind === "unauthorized" && outcome instanceof RestError && outcome.kind === "unauthorized";
  if (outcome !== "done" && !told) trace.broken(`an hour later a request still fails: ${outcome}`);
  await timeline.run(timeline.now() + HOUR_MS, check);
  const { buckets } = client.status();
  if (buckets > 0) trace.broken(`${buckets} buckets are still kept after an idle hour`);
  trace.check();
}
