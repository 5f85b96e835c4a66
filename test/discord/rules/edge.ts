// A ban at the edge, before any request reaches the API: its shape, its reach, its end, and hits that came too early.

export type EdgeShape = "text-1015" | "html" | "static-json" | "forbidden-40333";

export interface EdgeBan {
  readonly shape: EdgeShape;
  /** `METHOD template`; undefined bans every route. */
  readonly route?: string | undefined;
  /** Seconds for the Retry-After header; undefined sends none. */
  readonly retryAfterSeconds?: number | undefined;
  /** When it ends by itself, ms; undefined lasts until lifted. */
  readonly until?: number | undefined;
}

export interface EdgeHit {
  readonly ban: EdgeBan;
  /** Seconds left of the announced time, for the header. */
  readonly retryAfterSeconds: number | undefined;
  /** Why this hit should not have been made; undefined if it could not have been known, or may be a probe. */
  readonly fault: string | undefined;
}

/** Discord publishes nothing on probing a ban; the simulator bears one cheap request a minute where the wait is long or unknown. */
const PROBE_GAP_MS = 60_000;
const LONG_WAIT_MS = 600_000;
const PROBE_ROUTES: ReadonlySet<string> = new Set(["GET /gateway", "dial"]);

interface Announced {
  readonly at: number;
  readonly until: number | undefined;
  readonly connection: number;
  lastHitAt: number;
}

interface Standing {
  readonly ban: EdgeBan;
  announced: Announced | undefined;
}

export class Edge {
  readonly #graceMs: number;
  #bans: Standing[] = [];

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  ban(ban: EdgeBan): () => void {
    const standing: Standing = { ban, announced: undefined };
    this.#bans.push(standing);
    return () => {
      this.#bans = this.#bans.filter((one) => one !== standing);
    };
  }

  lift(): void {
    this.#bans = [];
  }

  banned(now: number): boolean {
    return this.#bans.some((one) => one.ban.until === undefined || now < one.ban.until);
  }

  /** A request arrives; undefined if no ban holds it. */
  hit(now: number, route: string, connection: number): EdgeHit | undefined {
    this.#bans = this.#bans.filter(({ ban }) => ban.until === undefined || now < ban.until);
    const standing = this.#bans.find(({ ban }) => ban.route === undefined || ban.route === route);
    if (standing === undefined) return undefined;
    const { ban, announced } = standing;
    if (announced === undefined) {
      const until = ban.retryAfterSeconds === undefined ? undefined : now + ban.retryAfterSeconds * 1_000;
      standing.announced = { at: now, until, connection, lastHitAt: now };
      return { ban, retryAfterSeconds: ban.retryAfterSeconds, fault: undefined };
    }
    const fault = this.#fault(announced, now, route, connection);
    announced.lastHitAt = now;
    // A ban that outlasts what it announced announces anew, as a ban does that was renewed.
    if (announced.until !== undefined && now >= announced.until) {
      standing.announced = undefined;
      return this.hit(now, route, connection);
    }
    const left = announced.until === undefined ? undefined : Math.ceil((announced.until - now) / 1_000);
    return { ban, retryAfterSeconds: left, fault };
  }

  #fault(announced: Announced, now: number, route: string, connection: number): string | undefined {
    const wait = announced.until === undefined ? Number.POSITIVE_INFINITY : announced.until - announced.at;
    if (announced.until !== undefined && now >= announced.until) return undefined;
    if (connection !== announced.connection && now - announced.at <= this.#graceMs) return undefined;
    const mayProbe = announced.until === undefined || (wait > LONG_WAIT_MS && PROBE_ROUTES.has(route));
    const gap = now - announced.lastHitAt;
    if (mayProbe && gap >= PROBE_GAP_MS) return undefined;
    return announced.until === undefined
      ? `${Math.round(gap)} ms after the last hit, with no time announced`
      : `${Math.round(announced.until - now)} ms before the announced time`;
  }
}
