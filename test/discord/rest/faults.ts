// What a test can do to the REST API: bans at the edge, 429s, 5xx, broken answers, and rules that change unannounced.

import type { Refusal } from "../listener.ts";
import type { EdgeShape } from "../rules/edge.ts";
import type { Scope } from "./limiter.ts";
import type { Call, HiddenLimit } from "./route.ts";
import type { RestServer } from "./server.ts";

/** `any`, `METHOD template` as "POST /channels/{channel_id}/messages", or `METHOD path` as "GET /gateway". */
export type RouteName = string;

export type Effect =
  | {
      readonly kind: "limit";
      readonly scope: Scope | "hidden";
      readonly headerSeconds: number | undefined;
      readonly bodySeconds: number | undefined;
      readonly code: number | undefined;
      /** An answer without a JSON body. */
      readonly bodyless: boolean;
    }
  | { readonly kind: "error"; readonly status: number; readonly html: boolean; readonly applied: boolean }
  | { readonly kind: "reset"; readonly applied: boolean }
  | { readonly kind: "hang"; readonly applied: boolean }
  | { readonly kind: "slow"; readonly ms: number }
  | { readonly kind: "truncate"; readonly how: "cut" | "half JSON" };

export interface Planned {
  readonly route: RouteName;
  /** Requests still to be hit. */
  left: number;
  readonly until: number | undefined;
  readonly effect: Effect;
}

export interface BanOptions {
  readonly shape: EdgeShape;
  /** "METHOD template"; without it every route is banned. */
  readonly route?: RouteName;
  /** Without it no Retry-After is sent. */
  readonly retryAfterSeconds?: number;
  /** Without it the ban lasts until lifted. */
  readonly durationMs?: number;
}

export interface LimitOptions {
  readonly scope: Scope | "hidden";
  readonly retryAfterSeconds: number;
  /** Where header and body disagree; null leaves it out. */
  readonly headerSeconds?: number | null;
  readonly bodySeconds?: number | null;
  readonly code?: number;
  readonly bodyless?: boolean;
}

export interface For {
  /** How many requests; without count and duration, one. */
  readonly count?: number;
  readonly durationMs?: number;
}

export class RestFaults {
  readonly #server: RestServer;

  constructor(server: RestServer) {
    this.#server = server;
  }

  /** The edge answers in place of the API. Lift by the returned function. */
  banEdge({ shape, route, retryAfterSeconds, durationMs }: BanOptions): () => void {
    const until = durationMs === undefined ? undefined : this.#server.now() + durationMs;
    return this.#server.edge.ban({ shape, route, retryAfterSeconds, until });
  }

  /** Ends every ban, that for too many invalid requests too. */
  liftEdge(): void {
    this.#server.edge.lift();
  }

  /** The next requests on a route get a 429 though within the rules. */
  limitNext(route: RouteName, count: number, options: LimitOptions): void {
    const {
      scope,
      retryAfterSeconds,
      headerSeconds = Math.ceil(retryAfterSeconds),
      bodySeconds = retryAfterSeconds,
    } = options;
    const effect: Effect = {
      kind: "limit",
      scope,
      headerSeconds: headerSeconds ?? undefined,
      bodySeconds: bodySeconds ?? undefined,
      code: options.code,
      bodyless: options.bodyless ?? false,
    };
    this.#server.plan({ route, left: count, until: undefined, effect });
  }

  /** A standing limit on a route that no header tells of; removed by the returned function. */
  hiddenLimit(
    route: RouteName,
    limit: number,
    windowMs: number,
    match: (call: Call) => boolean = () => true,
  ): () => void {
    const hidden = (call: Call): HiddenLimit[] =>
      match(call)
        ? [{ key: `hidden ${route}:${JSON.stringify(call.parameters)}`, limit, windowMs, scope: "user" }]
        : [];
    return this.#server.limiter.hide(route, hidden);
  }

  /** 5xx answers. `applied`: the request took effect all the same. */
  serverErrors(route: RouteName, span: For & { status?: number; html?: boolean; applied?: boolean } = {}): void {
    const { status = 500, html = false, applied = false } = span;
    this.#plan(route, span, { kind: "error", status, html, applied });
  }

  /** RST in place of an answer, before or after the request took effect. */
  reset(route: RouteName, span: For & { applied: boolean }): void {
    this.#plan(route, span, { kind: "reset", applied: span.applied });
  }

  /** No answer at all. */
  hang(route: RouteName, span: For & { applied?: boolean } = {}): void {
    this.#plan(route, span, { kind: "hang", applied: span.applied ?? false });
  }

  /** Headers at once, the body's second half `ms` later. */
  slowBody(route: RouteName, ms: number, span: For = {}): void {
    this.#plan(route, span, { kind: "slow", ms });
  }

  /** Half a body: the connection is cut, or the answer ends as if it were whole. */
  truncateBody(route: RouteName, how: "cut" | "half JSON", span: For = {}): void {
    this.#plan(route, span, { kind: "truncate", how });
  }

  /** A bucket's hash changes; `bucket` by the simulator's name, as "create message". */
  flipHash(bucket: string, when: "once" | "each request" | "on 429" = "once"): void {
    this.#server.limiter.flipHash(bucket, when);
  }

  /** A bucket's numbers change unannounced. */
  changeLimit(bucket: string, to: { limit?: number; windowMs?: number }): void {
    this.#server.limiter.change(bucket, to);
  }

  /** Requests per second over all routes, 50. */
  globalLimit(perSecond: number): void {
    this.#server.limiter.globalLimit = perSecond;
    this.#server.limiter.forget();
  }

  /** Buckets count by fixed windows instead of leaking. */
  fixedWindows(on: boolean): void {
    this.#server.limiter.fixedWindows = on;
    this.#server.limiter.forget();
  }

  /** X-RateLimit-Reset is off by so many seconds; Reset-After stays right. */
  skewClock(seconds: number): void {
    this.#server.limiter.skewSeconds = seconds;
  }

  /** The API takes no connections; `keepConnections` leaves those that exist. */
  refuseConnections(how: Refusal = "refuse", options: { keepConnections?: boolean; durationMs?: number } = {}): void {
    this.#server.refuse(how, options.keepConnections ?? false, options.durationMs);
  }

  acceptConnections(): Promise<void> {
    return this.#server.accept();
  }

  /** Ends each plan that is not used up. */
  clear(): void {
    this.#server.clearPlans();
  }

  #plan(route: RouteName, { count, durationMs }: For, effect: Effect): void {
    const until = durationMs === undefined ? undefined : this.#server.now() + durationMs;
    const left = count ?? (durationMs === undefined ? 1 : Number.POSITIVE_INFINITY);
    this.#server.plan({ route, left, until, effect });
  }
}
