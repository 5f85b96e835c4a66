// The API's own limits: global, per bucket, hidden; their headers, and the waits that they announce (topics/rate-limits).

import { createHash } from "node:crypto";
import { type Bucket, type BucketReading, FixedBucket, LeakyBucket } from "../rules/bucket.ts";
import { Waits } from "../rules/waits.ts";
import { type Call, type HiddenLimit, type Limit, type Route, topLevel } from "./route.ts";

export type Scope = "user" | "global" | "shared";

export interface Limited {
  readonly scope: Scope;
  /** What this 429 holds back, for the wait that it announces. */
  readonly key: string;
  /** Seconds for the header, whole, and for the body, with ms. */
  readonly headerSeconds: number | undefined;
  readonly bodySeconds: number | undefined;
  readonly code?: number | undefined;
}

export interface LimitResult {
  readonly limited: Limited | undefined;
  readonly headers: Record<string, string>;
}

export interface LimiterSettings {
  readonly seed: number;
  readonly inFlightGraceMs: number;
}

/** topics/rate-limits#global-rate-limit; a fixed window of one second, since nothing is published. */
const GLOBAL_LIMIT = 50;
const GLOBAL_WINDOW_MS = 1_000;
/** Buckets that would be full again are forgotten from this many on. */
const SWEEP_AT = 20_000;

export class Limiter {
  readonly waits: Waits;
  /** Buckets by window kind; a route's own choice goes before. */
  fixedWindows = false;
  /** Seconds that X-RateLimit-Reset is off. */
  skewSeconds = 0;
  globalLimit = GLOBAL_LIMIT;
  readonly #seed: number;
  readonly #buckets = new Map<string, Bucket>();
  readonly #changed = new Map<string, Partial<Limit>>();
  readonly #extra: { route: string; hidden: (call: Call) => HiddenLimit[] }[] = [];
  readonly #flips = new Map<string, { flips: number; each: boolean; limitedToo: boolean }>();
  #sweepAt = SWEEP_AT;

  constructor(settings: LimiterSettings) {
    this.#seed = settings.seed;
    this.waits = new Waits(settings.inFlightGraceMs);
  }

  /** Changes a bucket's numbers unannounced; what it has counted is forgotten. */
  change(limitName: string, to: { limit?: number; windowMs?: number }): void {
    this.#changed.set(limitName, to);
    for (const key of this.#buckets.keys()) if (key.startsWith(`${limitName}:`)) this.#buckets.delete(key);
  }

  /** A standing limit that no header tells of. Removed by the returned function. */
  hide(route: string, hidden: (call: Call) => HiddenLimit[]): () => void {
    const entry = { route, hidden };
    this.#extra.push(entry);
    return () => void this.#extra.splice(this.#extra.indexOf(entry), 1);
  }

  /** Gives a bucket another hash: once, with each request, or on its 429s alone. */
  flipHash(limitName: string, when: "once" | "each request" | "on 429"): void {
    const before = this.#flips.get(limitName)?.flips ?? 0;
    this.#flips.set(limitName, {
      flips: when === "once" ? before + 1 : before,
      each: when === "each request",
      limitedToo: when === "on 429",
    });
  }

  /** All windows begin anew; for when the kind of window changes. */
  forget(): void {
    this.#buckets.clear();
  }

  /** The keys whose announced waits a request of this kind must have kept. */
  keys(route: Route, call: Call): string[] {
    const limit = this.limitOf(route, call);
    const bucket = limit === undefined ? [] : [`${limit.name}:${topLevel(call.parameters)}`];
    const hidden = this.#hidden(route, call).map(({ key }) => key);
    const global = route.credential === "path" ? [] : ["global"];
    return [...global, ...bucket, ...hidden, routeKey(route, call)];
  }

  limitOf(route: Route, call: Call): Limit | undefined {
    const limit = route.limit?.(call);
    return limit === undefined ? undefined : { ...limit, ...this.#changed.get(limit.name) };
  }

  /** Counts a request. `authenticated` false counts it for the address instead of the bot. */
  take(route: Route, call: Call, now: number, wall: number, authenticated: boolean): LimitResult {
    if (route.credential !== "path") {
      const global = this.#bucket(authenticated ? "global" : "global of the address", now, () => {
        return new FixedBucket(this.globalLimit, GLOBAL_WINDOW_MS);
      }).take(now);
      if (global.kind === "limited")
        return { headers: {}, limited: announced("global", "global", global.retryAfterMs) };
    }
    const limit = this.limitOf(route, call);
    let headers: Record<string, string> = {};
    if (limit !== undefined) {
      const key = `${limit.name}:${topLevel(call.parameters)}`;
      const make = () => new (this.fixedWindows ? FixedBucket : LeakyBucket)(limit.limit, limit.windowMs);
      const verdict = this.#bucket(key, now, make).take(now);
      headers = this.#headers(limit, verdict.reading, wall, verdict.kind === "limited");
      if (verdict.kind === "limited") return { headers, limited: announced("user", key, verdict.retryAfterMs) };
    }
    for (const { key, limit: slots, windowMs, scope } of this.#hidden(route, call)) {
      const verdict = this.#bucket(key, now, () => new FixedBucket(slots, windowMs)).take(now);
      if (verdict.kind === "limited") return { headers, limited: announced(scope, key, verdict.retryAfterMs) };
    }
    return { headers, limited: undefined };
  }

  /** A limit's headers without counting, for a 429 that a fault makes. */
  peek(route: Route, call: Call, wall: number): Record<string, string> {
    const limit = this.limitOf(route, call);
    if (limit === undefined) return {};
    const reading = { limit: limit.limit, remaining: limit.limit - 1, resetAfterMs: limit.windowMs / limit.limit };
    return this.#headers(limit, reading, wall, true);
  }

  #hidden(route: Route, call: Call): HiddenLimit[] {
    const name = `${route.method} ${route.template}`;
    const extra = this.#extra.filter((one) => one.route === name).flatMap(({ hidden }) => hidden(call));
    return [...(route.hidden?.(call) ?? []), ...extra];
  }

  #bucket(key: string, now: number, make: () => Bucket): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    if (this.#buckets.size >= this.#sweepAt) {
      for (const [old, bucket] of this.#buckets) if (bucket.idle(now)) this.#buckets.delete(old);
      this.#sweepAt = Math.max(SWEEP_AT, this.#buckets.size * 2);
    }
    const bucket = make();
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #headers(limit: Limit, reading: BucketReading, wall: number, limited: boolean): Record<string, string> {
    const resetAfter = Math.ceil(reading.resetAfterMs - 1e-6) / 1_000;
    return {
      "X-RateLimit-Limit": String(reading.limit),
      "X-RateLimit-Remaining": String(reading.remaining),
      "X-RateLimit-Reset": (wall / 1_000 + resetAfter + this.skewSeconds).toFixed(3),
      "X-RateLimit-Reset-After": resetAfter.toFixed(3),
      "X-RateLimit-Bucket": this.#hash(limit, limited),
    };
  }

  #hash(limit: Limit, limited: boolean): string {
    const flip = this.#flips.get(limit.name);
    if (flip?.each === true) flip.flips++;
    const salt = `${flip?.flips ?? 0}${flip?.limitedToo === true && limited ? " limited" : ""}`;
    return createHash("md5")
      .update(`${this.#seed}/${limit.hashName ?? limit.name}/${salt}`)
      .digest("hex");
  }
}

/** One kind of request to one resource: the route, the resource and which fields it sets. */
export function routeKey(route: Route, call: Call): string {
  const fields = Object.keys(call.body.fields).sort().join(",");
  return `${route.method} ${route.template}:${topLevel(call.parameters)}:${fields}`;
}

function announced(scope: Scope, key: string, retryAfterMs: number): Limited {
  const bodySeconds = Math.ceil(retryAfterMs - 1e-6) / 1_000;
  return { scope, key, bodySeconds, headerSeconds: Math.ceil(bodySeconds) };
}
