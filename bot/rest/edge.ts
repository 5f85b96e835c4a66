// The edge breaker: Discord's edge blocks the address (or one route), so everything waits and one probe asks again.
//
// The first answer of the edge looks the same whether the address is blocked or one route (observed of invites), so it
// counts as the address's until a probe shows that others pass. To ask at once would be a second request to what is
// mostly a banned address, and each may prolong the ban. The first probe is brought forward only for a reason, which is
// what was sent anyhow:
// - a request on another route, sent after the blocked one, was let through: then most likely only that route is blocked,
//   and the probe goes at once, though not everything with it: on its way the blocked one may have been overtaken;
// - one sent before it may have passed before the ban began, as it does whenever a busy address gets banned. Once all
//   that was under way is back, none of it blocked, that is reason enough; a ban of the address would have met some.
// With nothing else under way there is no reason, and the rest waits for the first probe like the route itself.
//
// Everything waits from the first answer on; whether to call it the address's ban is settled a moment later, once what
// was under way has said whose it is. A ban that another task with the same address has met counts at once.

import type { ToldBan } from "../ledger/traffic.ts";

/** Why a probe's wait is what it is: the ban's own Retry-After, or a guess that grows. */
const OBEYED_MS = 600_000;
// A Retry-After beyond 10 min may outlive its ban (reported bans of 24 h, lifted by a new address within minutes), and a
// block page without one says nothing. One GET /gateway after a minute is a rate no edge rule counts (they count per
// seconds), and catches the short bans; the gap then doubles, since what lasts beyond minutes lasts an hour to a day.
const FIRST_GAP_MS = 60_000;
const LONGEST_GAP_MS = 1_800_000;
const JITTER = 0.2;
/** What was under way is back within this, or says nothing in time: an answer of the API's takes a fraction of a second. */
const SETTLES_MS = 2_000;

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
  /** Nobody was told of it: the address passes, and the first request on the route that met the edge goes alone. */
  readonly quiet?: true;
}

interface WholeBan extends Ban {
  /** The route that met the edge, until a second one did: only then a ban can still turn out to be that route's own. */
  readonly route: string | undefined;
  /** When the request that met the edge was sent. */
  readonly sentAt: number;
  /** The first probe brought forward: no reason, once all that is under way is back, now, under way, or done with. */
  readonly early: "no" | "afterThese" | "now" | "asking" | "spent";
  /** When it is called the address's at the latest; undefined once it is. */
  readonly settlesAt: number | undefined;
  /** As the edge named it. */
  readonly retryAfterMs: number | undefined;
  /** Known from another task alone. */
  readonly heard: boolean;
}

/** An edge answer to a request. */
export interface EdgeAnswer {
  readonly route: string;
  /** When the request was sent. */
  readonly sentAt: number;
  readonly retryAfterMs: number | undefined;
  /** Other requests that were under way when it came. */
  readonly othersUnderWay: number;
}

/** The API let a request through. */
interface Pass {
  readonly route: string;
  /** When the newest such request was sent. */
  readonly sentAt: number;
}

/** What to do next; the driver carries it out. */
export type EdgeEffect =
  /** Everything waits; whose ban it is will be settled. */
  | { readonly kind: "suspected"; readonly route: string }
  /** It was not the address's, and nobody was told that it was. */
  | { readonly kind: "dismissed"; readonly route: undefined }
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
  /** The routes that passed last: the latest, and the latest other one. */
  #lastPass: Pass | undefined;
  #otherPass: Pass | undefined;

  /** Whether everything waits: the whole address is banned, or may be. */
  get banned(): boolean {
    return this.#whole !== undefined;
  }

  /** Whether it is not settled yet that what everything waits for is the address's ban. */
  get suspected(): boolean {
    return this.#whole?.settlesAt !== undefined;
  }

  /** The routes that are banned while others pass. */
  get routes(): readonly string[] {
    return [...this.#routes].filter(([, ban]) => ban.quiet === undefined).map(([route]) => route);
  }

  /** The ban that callers hear of: the address's, suspected or settled, or the first route's. */
  get current(): { readonly route: string | undefined; readonly since: number; readonly until: number } | undefined {
    const [route] = this.routes;
    const ban = this.#whole ?? (route === undefined ? undefined : this.#routes.get(route));
    if (ban === undefined) return undefined;
    return { route: this.#whole ? undefined : route, since: ban.since, until: closedUntil(ban) };
  }

  /** Whether a request on this route may go. */
  gate(now: number, route: string): EdgeGate {
    if (this.#whole !== undefined) {
      const { route: blocked, early, settlesAt } = this.#whole;
      // Whether the others may go is known in a moment.
      const undecided = settlesAt !== undefined || (early !== "no" && early !== "spent");
      if (blocked !== undefined && blocked !== route && undecided) return { kind: "shut", until: now, whole: true };
      return { kind: "shut", until: Math.max(closedUntil(this.#whole), now), whole: true };
    }
    const ban = this.#routes.get(route);
    if (ban === undefined) return { kind: "open" };
    if (!ban.probing && ban.probeAt <= now) return { kind: "probe" };
    return { kind: "shut", until: Math.max(closedUntil(ban), now), whole: false };
  }

  /** A request on a banned route goes as its probe. */
  routeProbing(route: string): void {
    const ban = this.#routes.get(route);
    if (ban !== undefined) this.#routes.set(route, { ...ban, probing: true });
  }

  /** When the driver should next send GET /gateway; undefined when nothing asks for it. */
  probeAt(): number | undefined {
    if (this.#whole === undefined || this.#whole.probing) return undefined;
    return this.#whole.early === "now" ? 0 : this.#whole.probeAt;
  }

  /** The driver sends the probe now. */
  probing(): void {
    if (this.#whole === undefined) return;
    this.#whole = { ...this.#whole, probing: true, early: this.#whole.early === "now" ? "asking" : "spent" };
  }

  /** The edge answered a request. */
  hit(now: number, answer: EdgeAnswer, random: number): EdgeEffect {
    const { route, sentAt, retryAfterMs, othersUnderWay } = answer;
    const routeBan = this.#routes.get(route);
    if (this.#whole === undefined && routeBan !== undefined) {
      const failed = routeBan.failed + (routeBan.probing ? 1 : 0);
      this.#routes.set(route, { since: routeBan.since, ...wait(now, retryAfterMs, failed, random) });
      return routeBan.quiet ? { kind: "banned", route, retryAfterMs } : { kind: "extended", route };
    }
    if (this.#whole === undefined) {
      const ban = { since: now, ...wait(now, retryAfterMs, 0, random) };
      const other = this.#lastPass?.route === route ? this.#otherPass : this.#lastPass;
      const early = other !== undefined && other.sentAt > sentAt ? "now" : "no";
      const tells = othersUnderWay > 0 || early === "now";
      // Before its own probe it is told in any case.
      const settlesAt = tells ? Math.min(now + SETTLES_MS, ban.probeAt) : undefined;
      this.#whole = { ...ban, route, sentAt, early, settlesAt, retryAfterMs, heard: false };
      return tells ? { kind: "suspected", route } : { kind: "banned", route: undefined, retryAfterMs };
    }
    // Others that were in flight meet the same ban: a longer Retry-After counts, and a second route makes it the address's.
    const again = wait(now, retryAfterMs, this.#whole.failed, random);
    const longer = (again.endsAt ?? 0) > (this.#whole.endsAt ?? 0);
    this.#whole = {
      ...this.#whole,
      ...(longer ? { endsAt: again.endsAt, probeAt: Math.max(again.probeAt, this.#whole.probeAt), retryAfterMs } : {}),
      ...(this.#whole.route === route ? {} : { route: undefined, early: "spent" }),
      heard: false,
    };
    return this.#whole.route === undefined ? this.#settled() : { kind: "extended", route: undefined };
  }

  /** When `settle` is due, should nothing decide it before. */
  settlesAt(): number | undefined {
    return this.#whole?.settlesAt;
  }

  /** Nothing has spoken for the address in time: it counts as banned. */
  settle(): readonly EdgeEffect[] {
    return this.#whole?.settlesAt === undefined ? [] : [this.#settled()];
  }

  #settled(): EdgeEffect {
    const whole = this.#whole;
    if (whole?.settlesAt === undefined) return { kind: "extended", route: undefined };
    this.#whole = { ...whole, settlesAt: undefined };
    return { kind: "banned", route: undefined, retryAfterMs: whole.retryAfterMs };
  }

  /** The probe met the edge again. */
  probeFailed(now: number, retryAfterMs: number | undefined, random: number): EdgeEffect | undefined {
    if (this.#whole === undefined) return undefined;
    const again = wait(now, retryAfterMs, this.#whole.failed + 1, random);
    this.#whole = { ...this.#whole, ...again, early: "spent", heard: false };
    return this.#settled();
  }

  /** The probe failed without meeting the edge: a reset, a timeout. It says nothing; ask again after the first gap. */
  probeLost(now: number, random: number): void {
    if (this.#whole === undefined) return;
    this.#whole = { ...this.#whole, probing: false, early: "spent", probeAt: now + jittered(FIRST_GAP_MS, random) };
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

  /** Nothing that was sent is under way any more: what of it passed, if any did, is all that speaks for the address. */
  allBack(): readonly EdgeEffect[] {
    const whole = this.#whole;
    if (whole === undefined || whole.probing) return [];
    if (whole.early === "no") return this.settle();
    if (whole.early === "afterThese") this.#whole = { ...whole, early: "now" };
    return [];
  }

  /** The API answered a request on `route` that was sent at `sentAt`. */
  passed(now: number, route: string, sentAt: number): readonly EdgeEffect[] {
    this.#remember(route, sentAt);
    const routeBan = this.#routes.get(route);
    if (routeBan?.probing) {
      this.#routes.delete(route);
      if (routeBan.quiet) return [];
      return [{ kind: "cleared", route, bannedForMs: now - routeBan.since }];
    }
    const whole = this.#whole;
    if (whole === undefined || whole.route === undefined || whole.route === route) return [];
    if (whole.early === "no" || whole.early === "afterThese") {
      this.#whole = { ...whole, early: sentAt > whole.sentAt ? "now" : "afterThese" };
    }
    return [];
  }

  /** What the other tasks with this address should know: a ban of it that this one has met itself. */
  told(now: number): ToldBan | undefined {
    const whole = this.#whole;
    if (whole === undefined || whole.settlesAt !== undefined || whole.heard) return undefined;
    const { since, endsAt, probeAt } = whole;
    const ends = endsAt === undefined || endsAt <= now ? {} : { endsInMs: endsAt - now };
    return { sinceMs: now - since, ...ends, probeInMs: Math.max(0, probeAt - now) };
  }

  /**
   * Another task has met the ban, too, and will ask first.
   * @param lateMs how much later this one asks, should nothing be heard of that; Infinity: the other waits for this one.
   */
  hear(now: number, { sinceMs, endsInMs, probeInMs }: ToldBan, lateMs: number): readonly EdgeEffect[] {
    const heardEnd = endsInMs === undefined ? undefined : now + endsInMs;
    const probeAt = now + probeInMs + (lateMs === Infinity ? 0 : lateMs);
    const whole = this.#whole;
    if (whole === undefined) {
      const since = now - sinceMs;
      const known = { route: undefined, sentAt: now, early: "spent", settlesAt: undefined, heard: true } as const;
      this.#whole = { since, failed: 0, endsAt: heardEnd, probeAt, probing: false, retryAfterMs: endsInMs, ...known };
      return [{ kind: "banned", route: undefined, retryAfterMs: endsInMs }];
    }
    const endsAt = heardEnd === undefined ? whole.endsAt : Math.max(heardEnd, whole.endsAt ?? 0);
    const follows = lateMs === Infinity ? {} : { probeAt: Math.max(whole.probeAt, probeAt), heard: true };
    this.#whole = { ...whole, endsAt, ...follows, route: undefined, early: "spent" };
    return this.settle();
  }

  /** A process that has ended had met the ban, and will not ask any more: this one does in its place. */
  inherit(now: number, left: ToldBan): readonly EdgeEffect[] {
    const effects = this.hear(now, left, 0);
    if (this.#whole !== undefined) this.#whole = { ...this.#whole, heard: false };
    return effects;
  }

  /** The others that told of a ban tell of none any more. */
  unheard(now: number): readonly EdgeEffect[] {
    return this.#whole?.heard && !this.#whole.probing ? this.#narrow(now, this.#whole) : [];
  }

  #remember(route: string, sentAt: number): void {
    const last = this.#lastPass;
    if (last?.route === route) {
      if (sentAt > last.sentAt) this.#lastPass = { route, sentAt };
      return;
    }
    this.#otherPass = last;
    this.#lastPass = { route, sentAt };
  }

  /** The address passes. A ban that only one route met, and whose end is not reached, stays with that route. */
  #narrow(now: number, whole: WholeBan): readonly EdgeEffect[] {
    this.#whole = undefined;
    const cleared: EdgeEffect =
      whole.settlesAt === undefined
        ? { kind: "cleared", route: undefined, bannedForMs: now - whole.since }
        : { kind: "dismissed", route: undefined };
    if (whole.route === undefined) return [cleared];
    const { since, failed, endsAt } = whole;
    if (endsAt !== undefined && endsAt <= now) {
      this.#routes.set(whole.route, { since, failed, endsAt, probeAt: now, probing: false, quiet: true });
      return [cleared];
    }
    this.#routes.set(whole.route, { since, failed, endsAt, probeAt: Math.max(whole.probeAt, now), probing: false });
    const left = whole.endsAt === undefined ? undefined : whole.endsAt - now;
    return [cleared, { kind: "banned", route: whole.route, retryAfterMs: left }];
  }
}

/** Until when nothing passes, as far as is known. */
function closedUntil({ endsAt, probeAt }: Ban): number {
  return Math.max(endsAt ?? probeAt, probeAt);
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
  const probeAfter = named === undefined ? gap : named <= OBEYED_MS ? named : Math.min(named, gap);
  return { endsAt: named === undefined ? undefined : now + named, probeAt: now + probeAfter, probing: false, failed };
}
