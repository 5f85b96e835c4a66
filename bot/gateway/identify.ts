// Who may IDENTIFY when: one queue for first starts, reconnects and refused sessions, and the daily budget's guard (pure).

/** What GET /gateway/bot says (events/gateway#get-gateway-bot, #session-start-limit-object). */
export interface GatewayInfo {
  readonly url: string;
  /** The recommended shard count. */
  readonly shards: number;
  readonly total: number;
  readonly remaining: number;
  readonly resetAfterMs: number;
  readonly maxConcurrency: number;
}

export interface IdentifyOptions {
  readonly shardCount: number;
  /** IDENTIFYs left untouched; undefined: 10 % of the total, and at least one start of all shards. */
  readonly reserve: number | undefined;
  /** Spends the reserve too, down to zero. */
  readonly override: boolean;
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
  readonly budget: BudgetWait | null;
  /** GET /gateway/bot must be read before anything goes on. */
  readonly needsInfo: boolean;
  /** When to look again; null: not before something happens. */
  readonly wakeAt: number | null;
}

/** The budget as last known, counted on locally; null before the first answer. */
export interface Budget {
  readonly left: number;
  readonly total: number;
  readonly reserve: number;
  readonly resetAt: number;
  readonly maxConcurrency: number;
}

export interface IdentifyQueue {
  /** Takes a place; keeps the one it has. */
  ask(shard: number): void;
  leave(shard: number): void;
  /** The shard's HELLO is here. */
  ready(shard: number): void;
  /** The shard's last IDENTIFY was answered: Discord has counted it by now. */
  answered(shard: number, now: number): void;
  inform(info: GatewayInfo, now: number): void;
  /** Nothing goes on until then, because REST is banned; undefined lifts it. */
  ban(until: number | undefined): void;
  budget(): Budget | null;
  step(now: number): IdentifyStep;
}

/** One IDENTIFY a key within 5 s (events/gateway#sharding-max-concurrency). */
const SPACING_MS = 5_000;
/** Clocks of two machines drift apart by less than this in 5 s. */
const SLACK_MS = 10;
/** Discord counts when the IDENTIFY arrives. Until its answer shows that it did, this much delay is allowed for. */
const UNANSWERED_SLACK_MS = 1_500;
/** The dial begins this long before the turn, so that HELLO is in hand when it comes. */
const DIAL_AHEAD_MS = 2_000;
/** An answer of GET /gateway/bot is believed this long. */
const FRESH_MS = 600_000;
const RESERVE_SHARE = 0.1;

interface Place {
  readonly shard: number;
  /** The first start goes in groups of max_concurrency, in order; later IDENTIFYs do not. */
  readonly first: boolean;
  phase: "waiting" | "dialling" | "ready";
}

interface Key {
  freeAt: number;
  /** Whose IDENTIFY is unanswered. */
  unanswered: number | null;
}

/** The queue of one process; all of its shards share it. */
export function identifyQueue(options: IdentifyOptions): IdentifyQueue {
  const { shardCount, override, holdUntil } = options;
  // At most one place a shard.
  const places = new Map<number, Place>();
  const keys = new Map<number, Key>();
  const started = new Set<number>();
  let bannedUntil: number | undefined;
  let known: (GatewayInfo & { readonly resetAt: number; readonly readAt: number }) | undefined;
  let left = 0;

  const concurrency = (): number => Math.max(1, known?.maxConcurrency ?? 1);
  const group = (place: Place): number => (place.first ? Math.floor(place.shard / concurrency()) : -1);
  const key = (shard: number): Key => {
    const id = shard % concurrency();
    const found = keys.get(id) ?? { freeAt: Number.NEGATIVE_INFINITY, unanswered: null };
    keys.set(id, found);
    return found;
  };
  const reserve = (): number => {
    if (override || known === undefined) return 0;
    return options.reserve ?? Math.max(Math.ceil(known.total * RESERVE_SHARE), shardCount);
  };

  /** First places by group and shard, behind those that come back, which came in their own order. */
  const inOrder = (): Place[] =>
    [...places.values()].sort((one, other) => {
      if (one.first !== other.first) return one.first ? 1 : -1;
      return one.first ? one.shard - other.shard : 0;
    });

  const step = (now: number): IdentifyStep => {
    const nothing = { dial: [], send: [], waiting: [], budget: null, needsInfo: false };
    if (places.size === 0) return { ...nothing, wakeAt: null };
    const notBefore = Math.max(holdUntil, bannedUntil ?? holdUntil);
    if (now < notBefore) return { ...nothing, wakeAt: notBefore };
    if (known === undefined || now - known.readAt >= FRESH_MS || now >= known.resetAt) {
      return { ...nothing, needsInfo: true, wakeAt: null };
    }
    const dial: number[] = [];
    const send: number[] = [];
    const waiting: number[] = [];
    let wakeAt = Number.POSITIVE_INFINITY;
    // Turns already given count as spent, so that two shards never share the last one.
    let free = left - reserve() - [...places.values()].filter(({ phase }) => phase !== "waiting").length;
    const served = new Set<Key>();
    const ordered = inOrder();
    const firstGroup = ordered.find(({ first }) => first);
    for (const place of ordered) {
      const slot = key(place.shard);
      if (place.phase === "waiting" && free <= 0) {
        waiting.push(place.shard);
        continue;
      }
      if (served.has(slot)) continue;
      served.add(slot);
      if (place.first && firstGroup !== undefined && group(place) > group(firstGroup)) continue;
      if (place.phase === "waiting") {
        if (now >= slot.freeAt - DIAL_AHEAD_MS) {
          place.phase = "dialling";
          free--;
          dial.push(place.shard);
        } else wakeAt = Math.min(wakeAt, slot.freeAt - DIAL_AHEAD_MS);
      } else if (place.phase === "ready") {
        if (now >= slot.freeAt) {
          places.delete(place.shard);
          slot.freeAt = now + SPACING_MS + UNANSWERED_SLACK_MS;
          slot.unanswered = place.shard;
          left--;
          send.push(place.shard);
        } else wakeAt = Math.min(wakeAt, slot.freeAt);
      }
    }
    const budget = waiting.length > 0 ? { until: known.resetAt, left, reserve: reserve() } : null;
    if (budget !== null) wakeAt = Math.min(wakeAt, budget.until);
    // What was just sent made room: the next of its key, or the next group, may dial ahead.
    if (send.length > 0 && places.size > 0) wakeAt = Math.min(wakeAt, now);
    return { dial, send, waiting, budget, needsInfo: false, wakeAt: Number.isFinite(wakeAt) ? wakeAt : null };
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
      const slot = key(shard);
      if (slot.unanswered !== shard) return;
      slot.unanswered = null;
      slot.freeAt = Math.min(slot.freeAt, now + SPACING_MS + SLACK_MS);
    },
    inform(info, now) {
      // Other keys than before: what was learned about the old ones is kept as the latest of them all.
      if (known !== undefined && known.maxConcurrency !== info.maxConcurrency) {
        const latest = Math.max(...[...keys.values()].map(({ freeAt }) => freeAt), Number.NEGATIVE_INFINITY);
        keys.clear();
        for (let id = 0; id < Math.min(info.maxConcurrency, shardCount); id++) {
          keys.set(id, { freeAt: latest, unanswered: null });
        }
      }
      known = { ...info, resetAt: now + info.resetAfterMs, readAt: now };
      left = info.remaining;
    },
    ban(until) {
      bannedUntil = until;
    },
    budget: () =>
      known === undefined
        ? null
        : { left, total: known.total, reserve: reserve(), resetAt: known.resetAt, maxConcurrency: concurrency() },
    step,
  };
}
