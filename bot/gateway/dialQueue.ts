// Who may dial when: a budget for the whole fleet, a breaker that leaves one probe in an outage or a ban (pure).

import {
  type Breaker,
  type BreakerRule,
  CLOSED,
  fail,
  mayTry,
  open,
  succeed,
  tried,
} from "../resilience/circuitBreaker.ts";

export interface DialQueue {
  /** Takes a place. `patient`: not even a probe goes before `notBefore`. A probe that asks again has met no HELLO. */
  ask(shard: number, notBefore: number, patient: boolean, now: number, random: () => number): void;
  /** The shard wants no connection for now; a probe that leaves counts as failed. */
  leave(shard: number, now: number, random: () => number): void;
  /** The host sent no HELLO. `edge`: Discord's edge refused the address; retryAfterMs as it said, or undefined. */
  failed(
    shard: number,
    host: string,
    now: number,
    random: () => number,
    edge?: { retryAfterMs: number | undefined },
  ): void;
  /** A HELLO came: host and fleet are fine. */
  hello(host: string, now: number, random: () => number): void;
  /** REST is banned until then: dials go one by one. undefined lifts it. */
  restBan(until: number | undefined): void;
  /** Whether a host has failed so often that another is better asked. */
  isDown(host: string, now: number): boolean;
  /** The ban that the gateway's edge has shown; null: none. */
  edge(): { readonly since: number; readonly until: number } | null;
  /** Shards that dial now, and when to look again. */
  step(now: number, random: () => number): { readonly dial: readonly number[]; readonly wakeAt: number | null };
}

/** Failures this near to each other have one cause. So have those of several shards over longer than this, without a HELLO. */
const TOGETHER_MS = 5_000;
/** A failure before this says nothing any more. */
const FORGOTTEN_MS = 30_000;
/** After the first HELLO the others follow, spread over this. */
const FOLLOW_MS = 800;
/** Fewer dials a second than any edge minds; a larger fleet dials all of its shards within about a second. */
const LEAST_PER_SECOND = 50;
/** A probe answers within its connect and HELLO deadlines, or counts as failed. */
const PROBE_MS = 20_000;
/** An edge ban without Retry-After: the first probe comes no sooner. */
const BAN_MS = 30_000;

const OUTAGE: BreakerRule = { failures: 1, windowMs: TOGETHER_MS, longestGapMs: 4_000 };
const HOST: BreakerRule = { failures: 2, windowMs: 30_000, longestGapMs: 30_000 };
/** Discord names a resume host per session; those that failed for good must not be remembered for good. */
const MOST_HOSTS = 256;

interface Place {
  notBefore: number;
  readonly patient: boolean;
  readonly order: number;
}

/** The dial queue of a fleet of so many shards. */
export function dialQueue(shards: number): DialQueue {
  // At most one place a shard, and a breaker for each of the hosts that failed last.
  const places = new Map<number, Place>();
  // Shards that have, dial or want a connection. Who waits for its turn to identify knows nothing of an outage.
  const engaged = new Set<number>();
  const hosts = new Map<string, Breaker>();
  // The last failure of each shard since a HELLO came, and when the first of them was.
  const recent = new Map<number, { at: number; host: string }>();
  let failingSince = 0;
  const perSecond = Math.max(LEAST_PER_SECOND, shards);
  let fleet: Breaker = CLOSED;
  let probe: number | null = null;
  let edge: { since: number; until: number } | null = null;
  let restBannedUntil: number | undefined;
  let nextSpaced = Number.NEGATIVE_INFINITY;
  let order = 0;
  let granted: number[] = [];

  const reopen = (now: number, random: () => number, notBefore = now): void => {
    fleet = open(fleet, now, OUTAGE, random, notBefore);
    probe = null;
  };

  const failTogether = (now: number): boolean => {
    if (recent.size >= 2 && now - failingSince > TOGETHER_MS) return true;
    const together = [...recent.values()].filter(({ at }) => now - at < TOGETHER_MS);
    const failing = new Set(together.map(({ host }) => host));
    return failing.size >= 2 || together.length * 2 >= engaged.size;
  };

  const grant = (shard: number, now: number): number => {
    places.delete(shard);
    granted.push(now);
    return shard;
  };

  /** The place that waits longest, for a probe: the impatient need not wait for their backoff. */
  const nextProbe = (now: number): number | undefined => {
    let best: [number, Place] | undefined;
    for (const entry of places) {
      if (entry[1].patient && entry[1].notBefore > now) continue;
      if (best === undefined || entry[1].order < best[1].order) best = entry;
    }
    return best?.[0];
  };

  const soonest = (from: number): number | null => {
    let first: number | null = null;
    for (const { notBefore } of places.values()) first = Math.min(first ?? notBefore, notBefore);
    return first === null ? null : Math.max(first, from);
  };

  const stepOpen = (now: number): { dial: number[]; wakeAt: number | null } => {
    if (places.size === 0) return { dial: [], wakeAt: null };
    if (!mayTry(fleet, now)) {
      const wakeAt = fleet.kind === "open" ? fleet.probeAt : fleet.kind === "probing" ? fleet.probeEndsAt : now;
      return { dial: [], wakeAt };
    }
    const shard = nextProbe(now);
    if (shard === undefined) return { dial: [], wakeAt: soonest(now) };
    probe = shard;
    fleet = tried(fleet, now, PROBE_MS);
    return { dial: [grant(shard, now)], wakeAt: now + PROBE_MS };
  };

  return {
    ask(shard, notBefore, patient, now, random) {
      if (probe === shard && fleet.kind === "probing") reopen(now, random);
      engaged.add(shard);
      places.set(shard, { notBefore, patient, order: order++ });
    },
    leave(shard, now, random) {
      engaged.delete(shard);
      recent.delete(shard);
      places.delete(shard);
      if (probe === shard && fleet.kind === "probing") reopen(now, random);
    },
    failed(shard, host, now, random, banned) {
      const breaker = fail(hosts.get(host) ?? CLOSED, now, HOST, random);
      hosts.delete(host);
      hosts.set(host, breaker);
      const [oldest] = hosts.keys();
      if (hosts.size > MOST_HOSTS && oldest !== undefined) hosts.delete(oldest);
      for (const [each, { at }] of recent) if (now - at >= FORGOTTEN_MS) recent.delete(each);
      if (recent.size === 0) failingSince = now;
      recent.set(shard, { at: now, host });
      if (banned !== undefined) {
        const notBefore = now + (banned.retryAfterMs ?? BAN_MS);
        // The dials of one moment are refused together; only a later refusal moves the probe.
        if (edge === null || probe === shard) reopen(now, random, notBefore);
        edge = { since: edge?.since ?? now, until: fleet.kind === "open" ? fleet.probeAt : notBefore };
      } else if (probe === shard && fleet.kind === "probing") reopen(now, random);
      else if (fleet.kind === "closed" && failTogether(now)) reopen(now, random);
    },
    hello(host, now, random) {
      hosts.delete(host);
      recent.clear();
      probe = null;
      edge = null;
      if (fleet.kind === "closed") return;
      fleet = succeed(fleet);
      for (const place of places.values()) {
        const soon = now + random() * FOLLOW_MS;
        if (!place.patient || place.notBefore <= now) place.notBefore = Math.min(Math.max(place.notBefore, now), soon);
      }
    },
    restBan(until) {
      restBannedUntil = until;
    },
    isDown: (host, now) => !mayTry(hosts.get(host) ?? CLOSED, now),
    edge: () => edge,
    step(now, random) {
      if (restBannedUntil !== undefined && now >= restBannedUntil) restBannedUntil = undefined;
      if (fleet.kind !== "closed") return stepOpen(now);
      granted = granted.filter((at) => at + 1_000 > now);
      const due = [...places].filter(([, { notBefore }]) => notBefore <= now);
      due.sort(([, one], [, other]) => one.notBefore - other.notBefore || one.order - other.order);
      if (restBannedUntil !== undefined) {
        const first = due[0];
        if (first === undefined || now < nextSpaced) return { dial: [], wakeAt: soonest(Math.max(now, nextSpaced)) };
        nextSpaced = now + OUTAGE.longestGapMs * (0.5 + random() / 2);
        return { dial: [grant(first[0], now)], wakeAt: soonest(nextSpaced) };
      }
      const dial = due.slice(0, Math.max(0, perSecond - granted.length)).map(([shard]) => grant(shard, now));
      const [oldest] = granted;
      const room = granted.length >= perSecond && oldest !== undefined ? oldest + 1_000 : now;
      return { dial, wakeAt: soonest(room) };
    },
  };
}
