// The REST API's port: edge, faults, authentication, limits and routes in the order in which a request meets them.

import type { IncomingMessage, ServerResponse } from "node:http";
import { edgeAnswer } from "../edgeAnswer.ts";
import { Listener, type Refusal } from "../listener.ts";
import { Edge } from "../rules/edge.ts";
import { SlidingWindow } from "../rules/slidingWindow.ts";
import { parseBody } from "./body.ts";
import type { Effect, Planned } from "./faults.ts";
import { type Limited, Limiter, routeKey } from "./limiter.ts";
import { messageRoutes } from "./messages.ts";
import { otherRoutes } from "./others.ts";
import { type Reply, sendEdge, sendReply } from "./reply.ts";
import { type Call, fail, invalidForm, type Match, Router, type Surroundings } from "./route.ts";
import { TokenRefusals } from "./tokenRefusals.ts";
import { webhookRoutes } from "./webhooks.ts";

export interface RestSettings {
  readonly seed: number;
  readonly inFlightGraceMs: number;
  readonly invalidRequestLimit: number;
  readonly requestsKept: number;
}

export interface RecordedRequest {
  /** Monotonic ms of the injected clock at which it arrived. */
  readonly at: number;
  readonly method: string;
  /** Without the API's base, with the query. */
  readonly path: string;
  /** `METHOD template`, or `METHOD path` where no route has it. */
  readonly route: string;
  /** 0 where a fault left it without an answer. */
  readonly status: number;
  readonly body: unknown;
  readonly by: "api" | "edge" | "fault";
}

const BASE = "/api/v10";
/** topics/rate-limits#invalid-request-limit-aka-cloudflare-bans; the hour is an observed length. */
const INVALID_WINDOW_MS = 600_000;
const INVALID_BAN_SECONDS = 3_600;
/** reference#uploading-files: 25 MiB a request. */
const LARGEST_BODY_BYTES = 25 * 1_048_576;

export class RestServer {
  readonly limiter: Limiter;
  readonly edge: Edge;
  readonly requests: RecordedRequest[] = [];
  readonly #around: Surroundings;
  readonly #settings: RestSettings;
  readonly #router = new Router([...messageRoutes(), ...otherRoutes(), ...webhookRoutes()]);
  readonly #refusals: TokenRefusals;
  readonly #listener: Listener;
  #invalid: SlidingWindow;
  #plans: Planned[] = [];

  constructor(around: Surroundings, settings: RestSettings) {
    this.#around = around;
    this.#settings = settings;
    this.limiter = new Limiter(settings);
    this.edge = new Edge(settings.inFlightGraceMs);
    this.#refusals = new TokenRefusals(settings.inFlightGraceMs);
    this.#invalid = new SlidingWindow(settings.invalidRequestLimit, INVALID_WINDOW_MS);
    this.#listener = new Listener({ request: (request, response) => void this.#receive(request, response) });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.port}${BASE}`;
  }

  now(): number {
    return this.#around.clock.now();
  }

  start(): Promise<void> {
    return this.#listener.open();
  }

  stop(): void {
    this.#listener.stop();
  }

  plan(planned: Planned): void {
    this.#plans.push(planned);
  }

  clearPlans(): void {
    this.#plans = [];
  }

  refuse(how: Refusal, keepConnections: boolean, durationMs: number | undefined): void {
    this.#listener.refuse(how);
    if (!keepConnections) this.#listener.resetAll();
    if (durationMs !== undefined) this.#around.timers.after(durationMs, () => void this.accept());
  }

  accept(): Promise<void> {
    return this.#listener.open();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = this.now();
    response.on("error", () => {});
    const raw = await readBody(request);
    if (raw === undefined) return;
    const { method = "GET", url = "/" } = request;
    const path = url.startsWith(`${BASE}/`) ? url.slice(BASE.length) : undefined;
    const [bare = "/"] = (path ?? url).split("?");
    const match = path === undefined ? undefined : this.#router.match(method, bare);
    const route = typeof match === "object" ? `${method} ${match.route.template}` : `${method} ${bare}`;
    const connection = request.socket.remotePort ?? 0;
    const { journal, token } = this.#around;
    const body = parseBody(request.headers["content-type"], raw);
    const record = (status: number, by: RecordedRequest["by"]): void => {
      const shown = typeof body === "string" ? undefined : recordedBody(body);
      this.requests.push({ at, method, path: path ?? url, route, status, body: shown, by });
      // Cut by half at twice the bound, so that no request moves the whole list.
      if (this.requests.length > this.#settings.requestsKept * 2) this.requests.splice(0, this.#settings.requestsKept);
      journal.changed();
    };

    journal.counts.rest.requests++;
    if (decodeSafely(url).includes(token.value)) journal.violate("dial.token-in-url", `${method} request`);
    const agent = request.headers["user-agent"] ?? "";
    if (!agent.startsWith("DiscordBot (")) {
      journal.violate("dial.user-agent", `${route} with \`${agent}\``);
      journal.counts.edgeHits++;
      record(403, "edge");
      sendEdge(response, edgeAnswer("forbidden-40333"), undefined);
      return;
    }
    const hit = this.edge.hit(at, route, connection);
    if (hit !== undefined) {
      journal.counts.edgeHits++;
      if (hit.fault !== undefined) journal.violate("rest.edge", `${route}: ${hit.fault}`);
      const answer = edgeAnswer(hit.ban.shape);
      record(answer.status, "edge");
      sendEdge(response, answer, hit.retryAfterSeconds);
      return;
    }

    const effect = this.#effect(at, route, `${method} ${bare}`);
    if (effect !== undefined) journal.counts.rest.faults++;
    const lost = effect?.kind === "reset" || effect?.kind === "hang" || effect?.kind === "error";
    const applied = !lost || effect.applied;
    const reply: Reply = applied
      ? this.#answer(request, match, bare, url, body, effect, connection)
      : { status: 0, json: undefined, headers: {} };
    if (effect?.kind === "reset" || effect?.kind === "hang") {
      record(0, "fault");
      if (effect.kind === "reset") request.socket.resetAndDestroy();
      return;
    }
    if (effect?.kind === "error") {
      journal.counts.rest.serverErrors++;
      record(effect.status, "fault");
      const json = effect.html ? undefined : { message: `${effect.status}: Internal Server Error`, code: 0 };
      sendReply(
        response,
        { status: effect.status, json, headers: {}, html: effect.html },
        undefined,
        this.#around.timers,
      );
      return;
    }
    this.#count(reply);
    record(reply.status, effect?.kind === "limit" ? "fault" : "api");
    sendReply(response, reply, effect, this.#around.timers);
  }

  #answer(
    request: IncomingMessage,
    match: Match | "method" | undefined,
    bare: string,
    url: string,
    body: ReturnType<typeof parseBody>,
    effect: Effect | undefined,
    connection: number,
  ): Reply {
    const { journal, token } = this.#around;
    const now = this.now();
    const authorization = request.headers.authorization;
    const authenticated = token.valid && authorization === `Bot ${token.value}`;
    if (authenticated) this.#refusals.accept(authorization);
    const credential = typeof match === "object" ? match.route.credential : "bot";
    if (credential === "bot" && !authenticated) {
      if (this.#refusals.refuse(authorization ?? "", now, connection)) {
        journal.violate(
          "rest.after-401",
          `${request.method} ${bare}: the token was refused before, and once more after`,
        );
      }
      return { status: 401, json: { message: "401: Unauthorized", code: 0 }, headers: {} };
    }
    if (match === undefined) return { ...fail(404, 0, "404: Not Found"), headers: {} };
    if (match === "method") return { ...fail(405, 0, "405: Method Not Allowed"), headers: {} };
    const known = typeof body === "string" ? { fields: {}, list: undefined, files: [] } : body;
    const call: Call = {
      method: request.method ?? "GET",
      query: new URL(url, "http://simulated").searchParams,
      parameters: match.parameters,
      body: known,
      around: this.#around,
    };
    this.#checkWaits(match, call, now, connection);
    const { limited, headers } =
      effect?.kind === "limit"
        ? this.#planned(effect, match, call)
        : this.limiter.take(match.route, call, now, this.#around.clock.wall(), authenticated);
    if (limited !== undefined) {
      const waitMs = Math.max(limited.headerSeconds ?? 0, limited.bodySeconds ?? 0) * 1_000;
      this.limiter.waits.give(limited.key, now, now + waitMs, connection);
      return limitedReply(limited, headers, effect?.kind === "limit" && effect.bodyless);
    }
    if (body === "content-type") {
      journal.violate("rest.content-type", `${call.method} ${bare}: ${request.headers["content-type"]}`);
      return { ...invalidForm("_errors", "CONTENT_TYPE_INVALID", "Expected JSON, a form or multipart."), headers };
    }
    if (body === "json") return { ...fail(400, 50109, "The request body contains invalid JSON."), headers };
    return { ...match.route.handle(call), headers };
  }

  #checkWaits(match: Match, call: Call, now: number, connection: number): void {
    const early = this.limiter
      .keys(match.route, call)
      .map((key) => ({ key, ms: this.limiter.waits.early(key, now, connection) }))
      .find(({ ms }) => ms > 0);
    if (early === undefined) return;
    const name = `${match.route.method} ${match.route.template}`;
    this.#around.journal.violate(
      "rest.early",
      `${name}: ${Math.ceil(early.ms)} ms before the Retry-After of ${early.key}`,
    );
  }

  #planned(
    effect: Effect & { kind: "limit" },
    { route }: Match,
    call: Call,
  ): { limited: Limited; headers: Record<string, string> } {
    const { scope, headerSeconds, bodySeconds, code } = effect;
    const keys = this.limiter.keys(route, call);
    const whole = keys[route.credential === "path" ? 0 : 1] ?? "";
    const key = scope === "global" ? "global" : scope === "hidden" ? routeKey(route, call) : whole;
    const headers = scope === "global" ? {} : this.limiter.peek(route, call, this.#around.clock.wall());
    return { headers, limited: { scope: scope === "hidden" ? "user" : scope, key, headerSeconds, bodySeconds, code } };
  }

  #effect(now: number, route: string, path: string): Effect | undefined {
    this.#plans = this.#plans.filter(({ left, until }) => left > 0 && (until === undefined || now < until));
    const plan = this.#plans.find((one) => one.route === "any" || one.route === route || one.route === path);
    if (plan === undefined) return undefined;
    plan.left--;
    return plan.effect;
  }

  #count(reply: Reply): void {
    const { rest } = this.#around.journal.counts;
    const { status, scope } = reply;
    if (status < 300) rest.ok++;
    else if (status === 401) rest.unauthorized++;
    else if (status === 403) rest.forbidden++;
    else if (status === 404) rest.notFound++;
    if (status === 429 && scope !== undefined) rest.limited[scope]++;
    if (status !== 401 && status !== 403 && (status !== 429 || scope === "shared")) return;
    rest.invalid++;
    this.#invalid.take(this.now());
    if (this.#invalid.count(this.now()) < this.#invalid.limit) return;
    this.#invalid = new SlidingWindow(this.#invalid.limit, INVALID_WINDOW_MS);
    const until = this.now() + INVALID_BAN_SECONDS * 1_000;
    this.edge.ban({ shape: "text-1015", retryAfterSeconds: INVALID_BAN_SECONDS, until });
  }
}

function limitedReply(limited: Limited, headers: Record<string, string>, bodyless: boolean): Reply {
  const { scope, headerSeconds, bodySeconds, code } = limited;
  const global = scope === "global";
  const message = scope === "shared" ? "The resource is being rate limited." : "You are being rate limited.";
  const told = { message, retry_after: bodySeconds, global, ...(code === undefined ? {} : { code }) };
  return {
    status: 429,
    json: bodyless ? undefined : told,
    headers: {
      ...headers,
      ...(headerSeconds === undefined ? {} : { "Retry-After": String(headerSeconds) }),
      ...(global ? { "X-RateLimit-Global": "true" } : {}),
      "X-RateLimit-Scope": scope,
    },
    scope,
  };
}

function recordedBody(body: Exclude<ReturnType<typeof parseBody>, string>): unknown {
  if (body.list !== undefined) return body.list;
  return body.files.length === 0 ? body.fields : { ...body.fields, files: body.files };
}

/** undefined if the client went away. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      if (!Buffer.isBuffer(chunk)) continue;
      bytes += chunk.byteLength;
      if (bytes > LARGEST_BODY_BYTES) request.destroy();
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  }
}

function decodeSafely(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
}
