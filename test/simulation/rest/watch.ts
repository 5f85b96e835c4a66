// Holds the client to its promises: sees each request leave and each answer come in, and says what was broken.

import { Span } from "./counters.ts";
import { type Asked, resourceOf } from "./rules.ts";

/** A wait that an answer asked for. */
export interface Wait {
  /** Whom it concerns; "global" is everybody but those exempt. */
  readonly key: string;
  readonly milliseconds: number;
}

export interface EdgeHit {
  /** undefined: the whole address is banned. */
  readonly route: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** Discord bans at 10,000; the client promises to stop at half. */
const MOST_INVALID = 5_000;
/** Without a Retry-After that is obeyed to the end (up to 10 min), the edge is asked once a minute at most. */
const OBEYED_MS = 600_000;
const PROBE_MS = 60_000;
/** Times are sums of fractions of milliseconds. */
const ROUNDING = 1e-6;

export const isExempt = (path: string): boolean => /^\/(?:webhooks\/\d+\/|interactions\/)/.test(path);

export class Watch {
  readonly #now: () => number;
  readonly #broken: (rule: string) => void;
  /** Ends of waits, by key. */
  readonly #waits = new Map<string, number>();
  readonly #refused = new Set<string>();
  readonly #invalid = new Span(600_000);
  #edge:
    | { readonly hit: EdgeHit; readonly since: number; lastAt: number; early: "no" | "reason" | "spent" }
    | undefined;
  /** When the newest request that passed was sent. */
  #lastPass = 0;
  #unauthorized = false;

  constructor(now: () => number, broken: (rule: string) => void) {
    this.#now = now;
    this.#broken = broken;
  }

  /** A request leaves; `keys` are those whose waits concern it. */
  sent(asked: Asked, keys: readonly string[], authorized: boolean): void {
    const now = this.#now();
    for (const key of keys) {
      const until = this.#waits.get(key) ?? 0;
      if (until > now + ROUNDING)
        this.#broken(`a Retry-After was broken by ${until - now} ms: ${asked.method} ${asked.path} (${key})`);
    }
    if (this.#refused.has(`${asked.method} ${asked.path}`))
      this.#broken(`a remembered refusal was asked for again: ${asked.path}`);
    if (this.#unauthorized && authorized) this.#broken(`the refused token was sent again: ${asked.path}`);
  }

  waits({ key, milliseconds }: Wait): void {
    this.#waits.set(key, Math.max(this.#waits.get(key) ?? 0, this.#now() + milliseconds));
  }

  /** A request reached the edge and was refused; `sentAt` is when it left. */
  edgeHit(asked: Asked, sentAt: number): void {
    const edge = this.#edge;
    if (edge === undefined || sentAt < edge.since) return;
    const { retryAfterMs } = edge.hit;
    const gap = retryAfterMs !== undefined && retryAfterMs <= OBEYED_MS ? retryAfterMs : PROBE_MS;
    const early = edge.early === "reason" && asked.path === "/gateway";
    if (sentAt - edge.lastAt < gap - ROUNDING && !early) {
      this.#broken(
        `a second request to the banned edge after ${sentAt - edge.lastAt} ms: ${asked.method} ${asked.path}`,
      );
    }
    if (early) edge.early = "spent";
    edge.lastAt = sentAt;
  }

  /** The edge's answer came in. */
  edgeTold(hit: EdgeHit, sentAt: number): void {
    const early = this.#lastPass > sentAt ? "reason" : "no";
    this.#edge ??= { hit, since: this.#now(), lastAt: this.#now(), early };
  }

  /** The API's answer to something came in: with a ban just learnt, a reason for one early probe. */
  passed(sentAt: number): void {
    this.#lastPass = Math.max(this.#lastPass, sentAt);
    if (this.#edge?.early === "no") this.#edge.early = "reason";
  }

  edgeLifted(): void {
    this.#edge = undefined;
  }

  /** The API refused a resource for good; that answer came in. */
  refused(asked: Asked): void {
    this.#refused.add(`${asked.method} ${asked.path}`);
  }

  /** An event reopened a top-level resource. */
  reopened(resource: string): void {
    for (const key of this.#refused)
      if (resourceOf(key.slice(key.indexOf(" ") + 1)) === resource) this.#refused.delete(key);
  }

  unauthorized(): void {
    this.#unauthorized = true;
  }

  /** An invalid request's answer came in; those that were given up before no client can count. */
  invalid(): void {
    const now = this.#now();
    this.#invalid.add(now);
    const count = this.#invalid.count(now);
    if (count > MOST_INVALID)
      this.#broken(`${count} invalid requests in 10 min, beyond the promised stop at ${MOST_INVALID}`);
  }
}
