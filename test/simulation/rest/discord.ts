// A strict model of Discord's REST behind a network that delays, breaks and loses: everything a client can be told.

import type { Message } from "../../../bot/rest/message.ts";
import type { Exchange, Flight, Transport } from "../../../bot/rest/transport.ts";
import type { Chance } from "../gateway/chance.ts";
import type { Timeline } from "../gateway/timeline.ts";
import type { Trace } from "../gateway/trace.ts";
import { Counter, type Rate, Span } from "./counters.ts";
import { type Asked, createRules, type HiddenRule, type Rule, resourceOf } from "./rules.ts";
import { isExempt, type Wait, type Watch } from "./watch.ts";

/** Likelihood of each fault, per request. */
export interface Faults {
  readonly serverError: number;
  /** Before, or after, the request was carried out. */
  readonly resetBefore: number;
  readonly resetAfter: number;
  /** No answer at all. */
  readonly lost: number;
  /** An answer that ends in the middle. */
  readonly half: number;
}

export interface Ban {
  /** undefined: the whole address. */
  readonly route: RegExp | undefined;
  readonly shape: "text" | "html" | "json" | "forbidden";
  readonly retryAfterSeconds: number | undefined;
}

/** A request that was carried out. */
export interface Executed extends Asked {
  readonly at: number;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly wait?: Wait;
  readonly ban?: Ban;
  /** A 429 that a client could have known of. */
  readonly avoidable?: string;
}

const TIMEOUT_MS = 20_000;
/** What an answer says about who gave it. */
const SIGNED = { api: { via: "1.1 google" }, edge: { server: "cloudflare" } } as const;

export class SimulatedRest implements Transport {
  readonly rules: { readonly told: Rule[]; readonly hidden: HiddenRule[] };
  readonly executed: Executed[] = [];
  /** 429s that the client could have avoided: it knew the bucket, and its rule had not just changed. */
  readonly avoidable: string[] = [];
  readonly #timeline: Timeline;
  readonly #chance: Chance;
  readonly #trace: Trace;
  readonly #watch: Watch;
  readonly #latency: readonly [number, number];
  readonly #counters = new Map<string, Counter>();
  /** Buckets whose headers have reached the client. */
  readonly #heardOf = new Set<string>();
  readonly #second = new Span(1_000);
  readonly #nonces = new Map<string, string>();
  /** Buckets whose numbers changed, and until when a 429 about it is nobody's fault. */
  readonly #changed = new Map<string, number>();
  faults: Faults;
  globalPerSecond = 50;
  ban: Ban | undefined;
  /** Which resources are forbidden, or not there. */
  refuses: (asked: Asked) => 403 | 404 | undefined = () => undefined;
  tokenRefused = false;
  /** Headers and body of a 429 disagree, one of them far too short. */
  contradicts = false;
  renamed: "never" | "each request" | number = "never";
  #names = 0;

  constructor(
    world: { timeline: Timeline; chance: Chance; trace: Trace; watch: Watch },
    faults: Faults,
    latency: readonly [number, number],
  ) {
    this.#timeline = world.timeline;
    this.#chance = world.chance;
    this.#trace = world.trace;
    this.#watch = world.watch;
    this.faults = faults;
    this.#latency = latency;
    this.rules = createRules(world.chance, faults.lost > 0);
  }

  async close(): Promise<void> {}

  /** Changes a bucket's numbers without a word. */
  change(rule: Rule, to: Partial<Rate>): void {
    const before = rule.periodMs;
    for (const one of this.rules.told) if (one.hash === rule.hash) Object.assign(one, to);
    this.#changed.set(rule.hash, this.#timeline.now() + 2 * Math.max(before, rule.periodMs) + TIMEOUT_MS);
  }

  send(message: Message, headers: Readonly<Record<string, string>>, settle: (exchange: Exchange) => void): Flight {
    const timeline = this.#timeline;
    const sentAt = timeline.now();
    const query = message.path.indexOf("?");
    const path = query < 0 ? message.path : message.path.slice(0, query);
    const asked: Asked = { method: message.method, path, body: message.body === null ? "" : message.body.toString() };
    const authorized = "authorization" in headers;
    this.#trace.note(`sent ${asked.method} ${message.path}`);
    this.#watch.sent(asked, this.#keysOf(asked), authorized);

    let open = true;
    const end = (exchange: Exchange): void => {
      if (!open) return;
      open = false;
      stop();
      this.#trace.note(`${exchange.kind}${exchange.kind === "answer" ? ` ${exchange.status}` : ""} ${asked.path}`);
      settle(exchange);
    };
    const stop = timeline.schedule(TIMEOUT_MS, () => end({ kind: "timeout", sent: true, cause: new Error("timeout") }));
    const reset = (): void => end({ kind: "network", sent: true, cause: new Error("reset") });
    const fault = this.#fault();
    timeline.schedule(this.#way(), () => {
      if (fault === "resetBefore") return reset();
      const reply = this.#answer(asked, sentAt, authorized, fault === "serverError");
      // What its caller gave up nobody can call back; it may arrive when it no longer fits.
      if (reply.avoidable !== undefined && open) this.avoidable.push(reply.avoidable);
      if (fault === "lost") return;
      timeline.schedule(this.#way(), () => {
        if (!open) return;
        if (fault === "resetAfter") return reset();
        const whole = Buffer.from(reply.body);
        const isHalf = fault === "half" && reply.status === 200;
        const body = isHalf ? whole.subarray(0, whole.length - 2) : whole;
        this.#told(asked, reply, sentAt);
        end({ kind: "answer", status: reply.status, headers: reply.headers, body });
      });
    });
    return { abort: () => end({ kind: "aborted", sent: true }) };
  }

  #way(): number {
    return this.#chance.between(...this.#latency);
  }

  #fault(): keyof Faults | undefined {
    let left = this.#chance.random();
    for (const [name, likelihood] of Object.entries(this.faults)) {
      left -= likelihood;
      if (left < 0) return name as keyof Faults;
    }
    return undefined;
  }

  /** What the client learns when this answer comes in. */
  #told(asked: Asked, reply: Reply, sentAt: number): void {
    if (reply.wait !== undefined) this.#watch.waits(reply.wait);
    if (reply.ban !== undefined) {
      const { route, retryAfterSeconds } = reply.ban;
      const retryAfterMs = retryAfterSeconds === undefined ? undefined : retryAfterSeconds * 1000;
      this.#watch.edgeTold({ route: route?.source, retryAfterMs }, sentAt);
      return;
    }
    if (reply.status < 500) this.#watch.passed(sentAt);
    if (reply.status === 403) this.#watch.refused(asked);
    const shared = reply.headers["x-ratelimit-scope"] === "shared";
    if ([401, 403, 429].includes(reply.status) && !shared) this.#watch.invalid();
    if (reply.status === 401) this.#watch.unauthorized();
    if (!("x-ratelimit-bucket" in reply.headers)) return;
    const rule = this.#ruleOf(asked);
    if (rule !== undefined) this.#heardOf.add(`${rule.name} ${resourceOf(asked.path)}`);
  }

  #ruleOf(asked: Asked): Rule | undefined {
    return this.rules.told.find((rule) => rule.fits(asked));
  }

  #keysOf(asked: Asked): string[] {
    const rule = this.#ruleOf(asked);
    const resource = resourceOf(asked.path);
    const hidden = this.rules.hidden.filter((one) => one.fits(asked)).map(({ name }) => `${name} ${resource}`);
    const keys = rule === undefined ? hidden : [...hidden, `${rule.name} ${resource}`];
    return isExempt(asked.path) ? keys : [...keys, "global"];
  }

  #answer(asked: Asked, sentAt: number, authorized: boolean, broken: boolean): Reply {
    const now = this.#timeline.now();
    const { ban } = this;
    const route = `${asked.method} ${asked.path}`;
    if (ban !== undefined && (ban.route === undefined || ban.route.test(route))) {
      this.#watch.edgeHit(asked, sentAt);
      return edgeReply(ban);
    }
    if (!isExempt(asked.path) && authorized) {
      if (this.#second.count(now) >= this.globalPerSecond) {
        const reply = this.#limited("global", "global", 1_000, { "x-ratelimit-global": "true", ...SIGNED.api });
        return this.globalPerSecond >= 50 ? { ...reply, avoidable: `global ${route}` } : reply;
      }
      this.#second.add(now);
    }
    if (this.tokenRefused && authorized) {
      return json(401, { code: 0, message: "401: Unauthorized" });
    }
    const limited = this.#count(asked, now);
    if (isReply(limited)) return limited;
    const refusal = this.refuses(asked);
    if (refusal !== undefined) {
      return json(refusal, { code: refusal === 403 ? 50001 : 0, message: "no" }, limited);
    }
    if (broken) return { status: 502, headers: {}, body: "bad gateway" };
    return this.#carryOut(asked, limited);
  }

  /** The bucket's headers, or its 429. */
  #count(asked: Asked, now: number): Readonly<Record<string, string>> | Reply {
    const resource = resourceOf(asked.path);
    let headers: Record<string, string> = { ...SIGNED.api };
    const rule = this.#ruleOf(asked);
    if (rule !== undefined) {
      const key = `${rule.name} ${resource}`;
      const counted = this.#counter(key).count(rule, now);
      headers = { ...headers, ...this.#headers(rule, counted.remaining, counted.resetAfterMs) };
      if (!counted.allowed) {
        const excused = (this.#changed.get(rule.hash) ?? 0) > now;
        const reply = this.#limited(
          "user",
          key,
          Math.max(counted.retryAfterMs, counted.resetAfterMs),
          headers,
          counted.retryAfterMs,
        );
        return this.#heardOf.has(key) && !excused ? { ...reply, avoidable: key } : reply;
      }
    }
    for (const hidden of this.rules.hidden) {
      if (!hidden.fits(asked)) continue;
      const key = `${hidden.name} ${resource}`;
      const counted = this.#counter(key).count(hidden, now);
      if (counted.allowed) continue;
      return this.#limited(hidden.shared ? "shared" : "user", key, counted.retryAfterMs, headers);
    }
    return headers;
  }

  #counter(key: string): Counter {
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      counter = new Counter();
      this.#counters.set(key, counter);
    }
    return counter;
  }

  #headers(rule: Rule, remaining: number, resetAfterMs: number): Record<string, string> {
    if (this.renamed === "each request") this.#names += 1;
    const name = this.renamed === "each request" ? this.#names : this.renamed;
    return {
      "x-ratelimit-bucket": name === "never" ? rule.hash : `${rule.hash}-${name}`,
      "x-ratelimit-limit": String(rule.limit),
      "x-ratelimit-remaining": String(remaining),
      "x-ratelimit-reset-after": (Math.ceil(resetAfterMs - 1e-6) / 1000).toFixed(3),
      // The wall clock of this edge server is wrong by a minute.
      "x-ratelimit-reset": ((this.#timeline.wall() - 60_000 + resetAfterMs) / 1000).toFixed(3),
    };
  }

  /** @param waitMs what must be waited, all numbers taken together. @param namedMs what Retry-After says. */
  #limited(
    scope: string,
    key: string,
    waitMs: number,
    headers: Readonly<Record<string, string>>,
    namedMs = waitMs,
  ): Reply {
    const seconds = Math.ceil(namedMs - 1e-6) / 1000;
    const wrong = this.contradicts ? this.#chance.pick(["header", "body"]) : undefined;
    const inHeader = wrong === "header" ? 0 : Math.ceil(seconds);
    const inBody = wrong === "body" ? 0 : seconds;
    const wait = Math.max(inHeader * 1000, inBody * 1000, scope === "user" ? waitMs : 0);
    return {
      status: 429,
      headers: { ...headers, "x-ratelimit-scope": scope, "retry-after": String(inHeader) },
      body: JSON.stringify({ message: "You are being rate limited.", retry_after: inBody, global: scope === "global" }),
      wait: { key, milliseconds: wait },
    };
  }

  #carryOut(asked: Asked, headers: Readonly<Record<string, string>>): Reply {
    const nonce = asked.body.includes('"nonce"') ? String(JSON.parse(asked.body).nonce) : undefined;
    const before = nonce === undefined ? undefined : this.#nonces.get(nonce);
    if (before !== undefined) return { status: 200, headers, body: before };
    const body = JSON.stringify({ id: String(this.executed.length) });
    if (nonce !== undefined) this.#nonces.set(nonce, body);
    this.executed.push({ ...asked, at: this.#timeline.now() });
    return { status: 200, headers, body };
  }
}

function isReply(given: Readonly<Record<string, string>> | Reply): given is Reply {
  return typeof given["status"] === "number";
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = SIGNED.api): Reply {
  return { status, headers, body: JSON.stringify(body) };
}

function edgeReply(ban: Ban): Reply {
  const { shape, retryAfterSeconds } = ban;
  const retry = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  const bodies = {
    text: "error code: 1015",
    html: "<html>Access denied</html>",
    json: JSON.stringify({ code: 0, message: "You are being blocked from accessing our API temporarily" }),
    forbidden: JSON.stringify({ code: 40333, message: "internal network error" }),
  };
  return { status: shape === "forbidden" ? 403 : 429, headers: { ...SIGNED.edge, ...retry }, body: bodies[shape], ban };
}
