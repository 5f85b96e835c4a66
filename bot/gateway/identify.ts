// Who may IDENTIFY when: one queue for first starts, reconnects and refused sessions, within the budget (pure).

import { type Budget, type BudgetOptions, type GatewayInfo, type IdentifyBudget, identifyBudget } from "./budget.ts";

export type { GatewayInfo } from "./budget.ts";

export interface IdentifyOptions extends BudgetOptions {
  /** No IDENTIFY before this instant: a process that was started too often holds back. */
  readonly holdUntil: number;
}

/** Why shards wait although it is their turn. */
export interface BudgetWait {
  readonly until: number;
  readonly left: number;
  readonly reserve: number;
}

export interface IdentifyStep {
  /** May dial: their turn is near. */
  readonly dial: readonly number[];
  /** Send the IDENTIFY now. */
  readonly send: readonly number[];
  /** Shards in the queue for which nothing is left. */
  readonly waiting: readonly number[];
  /** null: nobody waits for the budget. undefined: it was not looked at, whoever waits goes on waiting. */
  readonly budget: BudgetWait | null | undefined;
  /** GET /gateway/bot must be read before anything goes on; also when the budget's reset has come. */
  readonly needsInfo: boolean;
  /** When to look again; null: not before something happens. */
  readonly wakeAt: number | null;
}

/** The port to the queue; test/bot/gateway/identifyConformance.ts holds any implementation to it. */
export interface IdentifyQueue {
  /** Takes a place; keeps the one it has. */
  ask(shard: number): void;
  leave(shard: number): void;
  /** The shard's HELLO is here. */
  ready(shard: number): void;
  /** The shard's last IDENTIFY was answered, or its connection has ended: Discord has counted it by now. */
  answered(shard: number, now: number): void;
  inform(info: GatewayInfo, now: number): void;
  /** The shard's turn came to nothing: its IDENTIFY was not sent. */
  notSent(shard: number): void;
  /** The shard's turn came to nothing: the processes together have only so many IDENTIFYs left. */
  spentTogether(shard: number, left: number): void;
  /** Nothing goes on until then, because REST is banned; undefined lifts it. */
  ban(until: number | undefined): void;
  budget(): Budget | null;
  step(now: number): IdentifyStep;
}

/** One IDENTIFY a key within 5 s (events/gateway#sharding-max-concurrency). */
const SPACING_MS = 5_000;
/** Clocks of two machines drift apart by less than this in 5 s. */
const SLACK_MS = 10;
/**
 * Discord counts when the IDENTIFY arrives, which only its answer proves: until then the key is kept. Also, where one is
 * not answered others would not be either, and each costs budget. After this long the next may try all the same.
 */
const UNANSWERED_MS = 30_000;
/** The dial begins this long before the turn, so that HELLO is in hand when it comes. */
const DIAL_AHEAD_MS = 2_000;

interface Place {
  readonly shard: number;
  /** The first start goes in groups of max_concurrency, in order; later IDENTIFYs do not. */
  readonly first: boolean;
  phase: "waiting" | "dialling" | "ready";
}

/** The queue of one process; all of its shards share it. */
export function identifyQueue(
  options: IdentifyOptions,
  budget: IdentifyBudget = identifyBudget(options),
): IdentifyQueue {
  const { holdUntil } = options;
  // At most one place a shard.
  const places = new Map<number, Place>();
  const started = new Set<number>();
  // By shard, how long its last IDENTIFY keeps its key; what has passed is dropped.
  const sent = new Map<number, { keepsKeyUntil: number; isAnswered: boolean }>();
  let bannedUntil: number | undefined;

  const concurrency = (): number => budget.state()?.maxConcurrency ?? 1;
  const group = (place: Place): number => (place.first ? Math.floor(place.shard / concurrency()) : -1);

  const freeAt = (key: number): number => {
    let free = Number.NEGATIVE_INFINITY;
    for (const [shard, { keepsKeyUntil }] of sent) {
      if (shard % concurrency() === key) free = Math.max(free, keepsKeyUntil);
    }
    return free;
  };

  /** First places by group and shard, behind those that come back, which came in their own order. */
  const inOrder = (): Place[] =>
    [...places.values()].sort((one, other) => {
      if (one.first !== other.first) return one.first ? 1 : -1;
      return one.first ? one.shard - other.shard : 0;
    });

  const step = (now: number): IdentifyStep => {
    const nothing = { dial: [], send: [], waiting: [], budget: undefined, needsInfo: false };
    for (const [shard, { keepsKeyUntil }] of sent) if (keepsKeyUntil <= now) sent.delete(shard);
    if (places.size === 0) {
      // Nobody asks, but how much is left should be told anew once a day has begun anew.
      const resetAt = budget.state()?.resetAt ?? null;
      const isReset = resetAt !== null && now >= resetAt;
      return { ...nothing, budget: null, needsInfo: isReset, wakeAt: isReset ? null : resetAt };
    }
    const notBefore = Math.max(holdUntil, bannedUntil ?? holdUntil);
    if (now < notBefore) return { ...nothing, wakeAt: notBefore };
    if (budget.isStale(now)) return { ...nothing, needsInfo: true, wakeAt: null };
    const dial: number[] = [];
    const send: number[] = [];
    const waiting: number[] = [];
    let wakeAt = Number.POSITIVE_INFINITY;
    // Turns already given count as spent, so that two shards never share the last one.
    let free = budget.free() - [...places.values()].filter(({ phase }) => phase !== "waiting").length;
    const served = new Set<number>();
    const ordered = inOrder();
    const firstGroup = ordered.find(({ first }) => first);
    for (const place of ordered) {
      const key = place.shard % concurrency();
      if (place.phase === "waiting" && free <= 0) {
        waiting.push(place.shard);
        continue;
      }
      if (served.has(key)) continue;
      served.add(key);
      if (place.first && firstGroup !== undefined && group(place) > group(firstGroup)) continue;
      const turnAt = freeAt(key);
      if (place.phase === "waiting") {
        if (now >= turnAt - DIAL_AHEAD_MS) {
          place.phase = "dialling";
          free--;
          dial.push(place.shard);
        } else wakeAt = Math.min(wakeAt, turnAt - DIAL_AHEAD_MS);
      } else if (place.phase === "ready") {
        if (now >= turnAt) {
          places.delete(place.shard);
          sent.set(place.shard, { keepsKeyUntil: now + UNANSWERED_MS, isAnswered: false });
          budget.spend();
          send.push(place.shard);
        } else wakeAt = Math.min(wakeAt, turnAt);
      }
    }
    const known = budget.state();
    const { left = 0, reserve = 0, resetAt = now } = known ?? {};
    const wait = waiting.length > 0 ? { until: resetAt, left, reserve } : null;
    if (wait !== null) wakeAt = Math.min(wakeAt, wait.until);
    // What was just sent made room: the next of its key, or the next group, may dial ahead.
    if (send.length > 0 && places.size > 0) wakeAt = Math.min(wakeAt, now);
    return { dial, send, waiting, budget: wait, needsInfo: false, wakeAt: Number.isFinite(wakeAt) ? wakeAt : null };
  };

  return {
    ask(shard) {
      const place = places.get(shard);
      if (place === undefined) places.set(shard, { shard, first: !started.has(shard), phase: "waiting" });
      else place.phase = "waiting";
      started.add(shard);
    },
    leave: (shard) => void places.delete(shard),
    ready(shard) {
      const place = places.get(shard);
      if (place !== undefined) place.phase = "ready";
    },
    answered(shard, now) {
      const last = sent.get(shard);
      if (last !== undefined && !last.isAnswered) {
        sent.set(shard, { keepsKeyUntil: now + SPACING_MS + SLACK_MS, isAnswered: true });
      }
    },
    inform(info, now) {
      budget.inform(info, now, [...sent.values()].filter(({ isAnswered }) => !isAnswered).length);
    },
    notSent(shard) {
      const last = sent.get(shard);
      if (last === undefined || last.isAnswered) return;
      sent.delete(shard);
      budget.giveBack();
    },
    spentTogether(shard, left) {
      sent.delete(shard);
      budget.atMost(left);
    },
    ban(until) {
      bannedUntil = until;
    },
    budget: () => budget.state(),
    step,
  };
}
