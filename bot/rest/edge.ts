// The edge breaker: Discord's edge blocks the address (or one route), so everything waits and one probe asks again.

/** Why a probe's wait is what it is: the ban's own Retry-After, or a guess that grows. */
const OBEYED_MS = 600_000;
// A Retry-After beyond 10 min may outlive its ban (reported bans of 24 h, lifted by a new address within minutes), and a
// block page without one says nothing. One GET /gateway after a minute is a rate no edge rule counts (they count per
// seconds), and catches the short bans; the gap then doubles, since what lasts beyond minutes lasts an hour to a day.
const FIRST_GAP_MS = 60_000;
const LONGEST_GAP_MS = 1_800_000;
const JITTER = 0.2;

interface Ban {
  /** Monotonic ms of the first edge answer. */
  readonly since: number;
  /** Probes that failed. */
  readonly failed: number;
  /** Monotonic ms at which the ban is said to end, by Retry-After. */
  readonly endsAt: number | undefined;
  /** Monotonic ms of the next probe. */
  readonly probeAt: number;
  readonly probing: boolean;
}

interface WholeBan extends Ban {
  /** The route that met the edge, until a second one did: only then a ban can still turn out to be that route's own. */
  readonly route: string | undefined;
  /** When the request that met the edge was sent. */
  readonly sentAt: number;
  /** An early probe for the question whether only the route is banned: not asked for, due, or spent. */
  readonly early: "no" | "due" | "spent";
}

/** What to do next; the driver carries it out. */
export type EdgeEffect =
  | { readonly kind: "banned"; readonly route: string | undefined; readonly retryAfterMs: number | undefined }
  | { readonly kind: "extended"; readonly route: string | undefined }
  | { readonly kind: "cleared"; readonly route: string | undefined; readonly bannedForMs: number };

/** Where a request stands: it may go, may go as the only one of its route, or waits until the next probe. */
export type EdgeGate =
  | { readonly kind: "open" }
  | { readonly kind: "probe" }
  | { readonly kind: "shut"; readonly until: number; readonly whole: boolean };

/** All times are monotonic milliseconds; `random` is in [0, 1). */
export class EdgeBreaker {
  #whole: WholeBan | undefined;
  readonly #routes = new Map<string, Ban>();

  /** Whether the whole address is banned. */
  get banned(): boolean {
    return this.#whole !== undefined;
  }

  /** The routes that are banned while others pass. */
  get routes(): readonly string[] {
    return [...this.#routes.keys()];
  }

  /** The ban that callers hear of: the address's, or the first route's. */
  get current(): { readonly route: string | undefined; readonly since: number; readonly until: number } | undefined {
    const [first] = this.#routes;
    const ban = this.#whole ?? first?.[1];
    if (ban === undefined) return undefined;
    return { route: this.#whole ? undefined : first?.[0], since: ban.since, until: ban.endsAt ?? ban.probeAt };
  }

  /** Whether a request on this route may go. */
  gate(now: number, route: string): EdgeGate {
    if (this.#whole !== undefined) {
      return { kind: "shut", until: Math.max(this.#whole.endsAt ?? this.#whole.probeAt, now), whole: true };
    }
    const ban = this.#routes.get(route);
    if (ban === undefined) return { kind: "open" };
    if (!ban.probing && ban.probeAt <= now) return { kind: "probe" };
    return { kind: "shut", until: Math.max(ban.endsAt ?? ban.probeAt, now), whole: false };
  }

  /** A request on a banned route goes as its probe. */
  routeProbing(route: string): void {
    const ban = this.#routes.get(route);
    if (ban !== undefined) this.#routes.set(route, { ...ban, probing: true });
  }

  /** When the driver should next send GET /gateway; undefined when nothing asks for it. */
  probeAt(): number | undefined {
    if (this.#whole === undefined || this.#whole.probing) return undefined;
    return this.#whole.early === "due" ? 0 : this.#whole.probeAt;
  }

  /** The driver sends the probe now. */
  probing(): void {
    if (this.#whole === undefined) return;
    this.#whole = { ...this.#whole, probing: true, early: this.#whole.early === "due" ? "spent" : this.#whole.early };
  }

  /** An edge answer to a request on `route`, sent at `sentAt`. */
  hit(now: number, route: string, sentAt: number, retryAfterMs: number | undefined, random: number): EdgeEffect {
    const routeBan = this.#routes.get(route);
    if (this.#whole === undefined && routeBan !== undefined) {
      const failed = routeBan.failed + (routeBan.probing ? 1 : 0);
      this.#routes.set(route, { since: routeBan.since, ...wait(now, retryAfterMs, failed, random) });
      return { kind: "extended", route };
    }
    if (this.#whole === undefined) {
      const ban = { since: now, ...wait(now, retryAfterMs, 0, random) };
      this.#whole = { ...ban, route, sentAt, early: "no" };
      return { kind: "banned", route: undefined, retryAfterMs };
    }
    // Others that were in flight meet the same ban: a longer Retry-After counts, and a second route makes it the address's.
    const again = wait(now, retryAfterMs, this.#whole.failed, random);
    const longer = (again.endsAt ?? 0) > (this.#whole.endsAt ?? 0);
    this.#whole = {
      ...this.#whole,
      ...(longer ? { endsAt: again.endsAt, probeAt: Math.max(again.probeAt, this.#whole.probeAt) } : {}),
      route: this.#whole.route === route ? route : undefined,
    };
    return { kind: "extended", route: undefined };
  }

  /** The probe met the edge again. */
  probeFailed(now: number, retryAfterMs: number | undefined, random: number): EdgeEffect | undefined {
    if (this.#whole === undefined) return undefined;
    this.#whole = { ...this.#whole, ...wait(now, retryAfterMs, this.#whole.failed + 1, random) };
    return { kind: "extended", route: undefined };
  }

  /** The probe failed without meeting the edge: a reset, a timeout. It says nothing; ask again after the first gap. */
  probeLost(now: number, random: number): void {
    if (this.#whole === undefined) return;
    this.#whole = { ...this.#whole, probing: false, probeAt: now + jittered(FIRST_GAP_MS, random) };
  }

  /** The probe came back from the API: the address passes. */
  probePassed(now: number): readonly EdgeEffect[] {
    return this.#whole === undefined ? [] : this.#narrow(now, this.#whole);
  }

  /** A request on `route` ended without an answer: if it was the route's probe, another may ask after the first gap. */
  routeLost(now: number, route: string, random: number): void {
    const ban = this.#routes.get(route);
    if (ban?.probing)
      this.#routes.set(route, { ...ban, probing: false, probeAt: now + jittered(FIRST_GAP_MS, random) });
  }

  /** The API answered a request on `route` that was sent at `sentAt`. */
  passed(now: number, route: string, sentAt: number): readonly EdgeEffect[] {
    const routeBan = this.#routes.get(route);
    if (routeBan?.probing) {
      this.#routes.delete(route);
      return [{ kind: "cleared", route, bannedForMs: now - routeBan.since }];
    }
    const whole = this.#whole;
    if (whole === undefined || whole.route === undefined || whole.route === route) return [];
    // Sent after the one that was blocked and yet let through: only that route is blocked.
    if (sentAt > whole.sentAt) return this.#narrow(now, whole);
    // Sent before it, this may have passed before the ban began. Worth one early probe, not more.
    if (whole.early === "no" && !whole.probing) this.#whole = { ...whole, early: "due" };
    return [];
  }

  /** The address passes. A ban that only one route met, and whose end is not reached, stays with that route. */
  #narrow(now: number, whole: WholeBan): readonly EdgeEffect[] {
    this.#whole = undefined;
    const cleared: EdgeEffect = { kind: "cleared", route: undefined, bannedForMs: now - whole.since };
    if (whole.route === undefined || (whole.endsAt !== undefined && whole.endsAt <= now)) return [cleared];
    const probeAt = Math.max(whole.probeAt, now);
    const ban: Ban = { since: whole.since, failed: whole.failed, endsAt: whole.endsAt, probeAt, probing: false };
    this.#routes.set(whole.route, ban);
    const left = whole.endsAt === undefined ? undefined : whole.endsAt - now;
    return [cleared, { kind: "banned", route: whole.route, retryAfterMs: left }];
  }
}

function jittered(gap: number, random: number): number {
  return Math.ceil(gap * (1 + JITTER * random));
}

function wait(
  now: number,
  retryAfterMs: number | undefined,
  failed: number,
  random: number,
): Pick<Ban, "endsAt" | "probeAt" | "probing" | "failed"> {
  const named = retryAfterMs !== undefined && retryAfterMs > 0 ? retryAfterMs : undefined;
  const gap = jittered(Math.min(FIRST_GAP_MS * 2 ** failed, LONGEST_GAP_MS), random);
  const probeAfter = named !== undefined && named <= OBEYED_MS ? named : gap;
  return { endsAt: named === undefined ? undefined : now + named, probeAt: now + probeAfter, probing: false, failed };
}
