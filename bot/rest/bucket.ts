// One rate-limit bucket of one top-level resource: how many requests may go now, or when to look again.
//
// What the answers say is kept per bucket hash, since one route may be counted in several buckets (deletes by age,
// hidden limits) and Discord may rename a bucket at any time: a request needs room in every window still running.
// Most of Discord's buckets leak, some are fixed windows, and no header tells which; waiting the whole Reset-After
// once nothing remains is right for both. A bucket whose answers prove that it leaks is used slot by slot: what it holds
// is at most what its last answers said, less what has leaked since, and all that no answer is in for.

import { observePace, type Pace, slotOf } from "./pace.ts";
import type { LimitHeaders } from "./verdict.ts";

/**
 * What one bucket hash last said. `resetAt`, when it is full again at the latest, is undefined from that moment to the
 * next answer, unless it is known to leak.
 */
interface Window {
  readonly hash: string;
  limit: number;
  remaining: number;
  resetAt: number | undefined;
  /** The longest Reset-After seen, in milliseconds: a lower bound of what a full refill takes. */
  period: number;
  pace: Pace | undefined;
  /** The route that it answered; undefined once there were several, each of which Discord may count by itself. */
  route: number | undefined;
}

type Knowledge =
  /** Nothing known: one request at a time finds out. */
  | { readonly kind: "unknown" }
  /** A success without limit headers: no limit but the global one. */
  | { readonly kind: "unlimited" }
  | { readonly kind: "limited"; readonly windows: Window[] };

const UNKNOWN: Knowledge = { kind: "unknown" };
const UNLIMITED: Knowledge = { kind: "unlimited" };

/** When the next request may go: a time (past ones mean now), or only after an answer to one in flight. */
export type Readiness = number | "answer";

/** A request that was given up may still reach Discord: the answer to one sent so much later counts it in for certain. */
export const STRAGGLING_MS = 1_000;

// A route that flips between more hashes than this is not understood; the windows that end first are taken as one.
const MOST_WINDOWS = 8;

/** All times are monotonic milliseconds. */
export class Bucket {
  #knowledge: Knowledge = UNKNOWN;
  #inFlight = 0;
  #blockedUntil = 0;
  /** Whether what is in flight was sent with nothing else under way: only then its answer is the newest word. */
  #alone = false;
  /**
   * Requests that ended without a word on limits, counted or not, in this window or the next: one at a time until an
   * answer to a lone one, or until a whole period has passed.
   */
  #doubts = 0;
  /** When they stop a request at the latest, and when they are forgotten: until then each burst begins with a lone one. */
  #doubtsEnd = 0;
  #forgivenAt = 0;
  #doubtedAt = 0;
  /** Whether what is in flight was sent so late that no doubt can be left with its answer. */
  #settles = false;

  get inFlight(): number {
    return this.#inFlight;
  }

  get isUnlimited(): boolean {
    return this.#knowledge.kind === "unlimited";
  }

  /** When one more request may be sent. */
  readyAt(now: number): Readiness {
    const knowledge = this.#knowledge;
    let ready: number = this.#blockedUntil;
    this.#forgive(now);
    if ((knowledge.kind === "unknown" || this.#doubts > 0) && this.#inFlight > 0) return "answer";
    if (knowledge.kind === "limited") {
      for (const window of knowledge.windows) {
        const slot = slotOf(window.pace);
        if (slot !== undefined && window.resetAt !== undefined) {
          const free = window.limit - 1 - this.#inFlight - this.#doubts;
          if (free < 0 && this.#inFlight > 0) return "answer";
          ready = Math.max(ready, free < 0 ? this.#doubtsEnd : window.resetAt - free * slot);
        } else if (ended(window, now)) {
          if (window.limit > this.#inFlight + this.#doubts) continue;
          if (this.#inFlight > 0) return "answer";
          ready = Math.max(ready, this.#doubtsEnd);
        } else if (window.remaining <= 0) {
          if (window.resetAt === undefined) return "answer";
          ready = Math.max(ready, window.resetAt);
        }
      }
    }
    return ready;
  }

  /** A lower bound, in milliseconds, of the wait of a request that `ahead` others go before. */
  waitAtLeast(now: number, ahead: number): number {
    let wait = Math.max(this.#blockedUntil - now, 0);
    if (this.#knowledge.kind === "limited") {
      for (const window of this.#knowledge.windows) {
        if (window.resetAt === undefined || ended(window, now)) continue;
        const slot = slotOf(window.pace);
        if (slot !== undefined) {
          wait = Math.max(wait, window.resetAt - now - (window.limit - 1 - this.#inFlight - ahead) * slot);
          continue;
        }
        if (ahead < window.remaining) continue;
        const laps = Math.floor((ahead - window.remaining) / window.limit);
        wait = Math.max(wait, window.resetAt - now + laps * window.period);
      }
    }
    return wait;
  }

  /** Takes a slot for a request that is sent now. */
  reserve(now: number): void {
    this.#forgive(now);
    if (this.#knowledge.kind === "limited") {
      for (const window of this.#knowledge.windows) {
        if (ended(window, now) && slotOf(window.pace) === undefined) {
          // Those still in flight, or lost, may be counted in the new window.
          window.remaining = window.limit - this.#inFlight - this.#doubts;
          window.resetAt = undefined;
        }
        window.remaining -= 1;
      }
    }
    this.#alone = this.#inFlight === 0;
    this.#settles = now >= this.#doubtedAt + STRAGGLING_MS;
    this.#inFlight += 1;
  }

  /** Gives the slot of a request back that ended without saying anything about limits: a fault, a 5xx. */
  lost(now: number): void {
    if (this.#knowledge.kind !== "unlimited") {
      this.#doubts += 1;
      this.#doubtedAt = now;
      this.#forgivenAt = Math.max(this.#forgivenAt, now + STRAGGLING_MS);
    }
    if (this.#knowledge.kind === "limited") {
      for (const window of this.#knowledge.windows) {
        // A bucket not known to leak, seen nearly full, told a part of its period only; twice that is a fair guess.
        const slot = slotOf(window.pace);
        const whole = slot === undefined ? window.period * Math.min(window.limit, 2) : window.limit * (slot + 2);
        this.#doubtsEnd = Math.max(this.#doubtsEnd, now + whole + STRAGGLING_MS);
        // A leaking one tells at least a slot.
        this.#forgivenAt = Math.max(
          this.#forgivenAt,
          this.#doubtsEnd,
          now + window.period * window.limit + STRAGGLING_MS,
        );
        // The one that would have told this window's end is gone.
        if (this.#inFlight === 1) window.resetAt ??= now + window.period;
      }
    }
    this.release();
  }

  #forgive(now: number): void {
    if (this.#doubts > 0 && this.#forgivenAt <= now) this.#doubts = 0;
  }

  /** Gives a slot back before `learn`. */
  release(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > 0 || this.#knowledge.kind !== "limited") return;
    // A window that refilled and got no answer since has no end to wait for; the next request finds it out, alone.
    const known = this.#knowledge.windows.filter((window) => window.resetAt !== undefined);
    this.#knowledge = known.length === 0 ? UNKNOWN : { kind: "limited", windows: known };
  }

  /** Gives back the slot of a success without limit headers. */
  unlimited(): void {
    this.release();
    if (this.#knowledge.kind !== "unknown") return;
    this.#knowledge = UNLIMITED;
    this.#doubts = 0;
  }

  /** Sends nothing before `until`. */
  block(until: number): void {
    this.#blockedUntil = Math.max(this.#blockedUntil, until);
  }

  /** A 429 despite what was believed: no slot is counted on any more before the whole Reset-After has passed. */
  distrust(): void {
    if (this.#knowledge.kind !== "limited") return;
    for (const window of this.#knowledge.windows) {
      if (slotOf(window.pace) !== undefined) window.remaining = 0;
      window.pace = { kind: "refuted" };
    }
  }

  /** A 429 that showed no numbers: what was believed is wrong, so after the wait one request finds out anew. */
  forget(): void {
    if (this.#knowledge.kind === "limited") this.#knowledge = UNKNOWN;
  }

  /** Takes over what another bucket knows, when a route turns out to belong here: nothing gets fuller by it. */
  inherit(other: Bucket): void {
    this.block(other.#blockedUntil);
    if (other.#knowledge.kind !== "limited") return;
    const windows = this.#knowledge.kind === "limited" ? this.#knowledge.windows : [];
    for (const theirs of other.#knowledge.windows) {
      const ours = windows.find((window) => window.hash === theirs.hash);
      if (ours === undefined) windows.push({ ...theirs });
      else {
        ours.remaining = Math.min(ours.remaining, theirs.remaining);
        if (ours.resetAt !== undefined) ours.resetAt = Math.max(ours.resetAt, theirs.resetAt ?? 0);
      }
    }
    this.#knowledge = { kind: "limited", windows };
  }

  /** Takes over the requests that another bucket has in flight. */
  adopt(other: Bucket): void {
    this.#alone = false;
    this.#inFlight += other.#inFlight;
    other.#inFlight = 0;
  }

  /** Whether forgetting it loses nothing: no request in flight and no wait running. */
  idle(now: number): boolean {
    if (this.#inFlight > 0 || this.#blockedUntil > now) return false;
    return this.#knowledge.kind !== "limited" || this.#knowledge.windows.every((window) => ended(window, now));
  }

  /** Takes in the limit headers of an answer, on a route by its number, whose slot was given back just before. */
  learn(now: number, limits: LimitHeaders, route = 0): void {
    const windows = this.#knowledge.kind === "limited" ? this.#knowledge.windows : [];
    const resetAt = now + limits.resetAfterMs;
    const window = windows.find((known) => known.hash === limits.hash);
    // Answers overtake each other, and those in flight may or may not be counted in this one: only the answer to a
    // request that flew alone is the whole truth, any other only ever lowers what is believed to remain.
    const alone = this.#alone && this.#inFlight === 0;
    if (alone && this.#settles) this.#doubts = 0;
    const sure = Math.max(limits.remaining - this.#inFlight - this.#doubts, 0);
    if (window !== undefined && window.route !== route) window.route = undefined;
    const newest = alone && window?.route !== undefined;
    const told: Window = window ?? {
      hash: limits.hash,
      limit: limits.limit,
      remaining: sure,
      resetAt,
      period: limits.resetAfterMs,
      pace: observePace(undefined, limits),
      route,
    };
    if (window !== undefined) {
      const leaked = slotOf(window.pace) !== undefined;
      window.pace = observePace(window.limit === limits.limit ? window.pace : undefined, limits);
      window.limit = limits.limit;
      window.period = Math.max(window.period, limits.resetAfterMs);
      if (newest || ended(window, now)) window.remaining = sure;
      else window.remaining = Math.min(window.remaining, sure);
      // The answer to a lone request is the newest word here, too; one that came late is then no lasting loss.
      window.resetAt = newest && leaked ? resetAt : Math.max(window.resetAt ?? 0, resetAt);
    }
    if (windows.length === 1 && window !== undefined) return;
    // A window under another name that has ended, or that nobody in flight will report on, needs no room any more.
    const others = windows
      .filter((other) => other !== window && (other.resetAt === undefined ? this.#inFlight > 0 : !ended(other, now)))
      .sort((left, right) => (right.resetAt ?? Infinity) - (left.resetAt ?? Infinity));
    for (const { remaining, resetAt: end } of others.splice(MOST_WINDOWS - 1)) {
      told.remaining = Math.min(told.remaining, remaining);
      told.resetAt = Math.max(told.resetAt ?? 0, end ?? 0);
    }
    this.#knowledge = { kind: "limited", windows: [told, ...others] };
  }
}

function ended(window: Window, now: number): boolean {
  return window.resetAt !== undefined && window.resetAt <= now;
}
