// What tasks tell each other of their requests, and what follows from it: shares of the limit, invalid requests, a ban.

import type { Clock } from "../clock.ts";
import { type Deal, dealAnew, isWhole, LEAST_SHARE, nameOf } from "./dealing.ts";

/** A ban of a public address as tasks tell each other: lengths of time, since their clocks differ. */
export interface ToldBan {
  readonly sinceMs: number;
  /** Absent: the edge named no end. */
  readonly endsInMs?: number;
  /** Until whoever met it asks again. */
  readonly probeInMs: number;
}

/** What a task has in its item about its requests; tasks without the optional ones are of an older version. */
export interface Traffic {
  /** Its public address, as far as it knows: all that it may be, separated by commas. */
  readonly address: string | null;
  /** REST requests a second that it wants. */
  readonly demand: number;
  /** Answers of the last 10 min that count towards Discord's limit of invalid requests. */
  readonly invalid: number;
  /** Requests a second that it sends at most. */
  readonly share?: number | undefined;
  /** The deal that its share is from. */
  readonly follows?: string | undefined;
  /** Present in the dealer's. */
  readonly deal?: Deal | undefined;
  /** Present while the edge bans its address and this task has met that. */
  readonly ban?: ToldBan | undefined;
}

/** A task's item, as far as its traffic goes. */
export interface TrafficTask {
  readonly id: string;
  readonly record: Traffic & { readonly rank: number; readonly state: string };
}

/** What the other tasks mean for this one's requests. */
export interface Neighbours {
  /** The most that it may send a second. */
  readonly perSecond: number;
  /** Invalid requests of the others with its address. */
  readonly invalid: number;
  /** Bans of its address that others have met, and how much later than they it may ask. */
  readonly bans: readonly { readonly ban: ToldBan; readonly lateMs: number }[];
  /** Those that told of a ban tell of none any more. */
  readonly lifted: boolean;
}

export interface TrafficParts {
  readonly clock: Clock;
  readonly id: string;
  /** The limit of all tasks together. */
  readonly perSecond: number;
  address(): string | null;
  /** What this task wants, was refused and has met. */
  own(): { readonly demand: number; readonly invalid: number; readonly ban: ToldBan | undefined };
  heed(neighbours: Neighbours): void;
}

export interface TrafficShare {
  /** For this task's item. */
  record(): Traffic;
  /** The items of all tasks were read. @returns whether the others should be told of this task at once */
  heard(tasks: readonly TrafficTask[]): boolean;
  /** This task's item was written since, as `heard` asked. */
  written(): void;
  /** Whether its item says anything else about a ban than is true now. */
  outdated(): boolean;
}

/**
 * Shares follow demand so quickly, and no quicker: a deal is a write of each task. What one deal has freed the next gives
 * out as soon as all have followed.
 */
const DEAL_MS = 5_000;
// Whoever asks the edge has told of the answer within two beats of 3 s; the next in line asks no sooner.
const LATE_MS = 10_000;

export function createTrafficShare(parts: TrafficParts): TrafficShare {
  const { clock, id } = parts;
  let share: number | undefined;
  let using = LEAST_SHARE;
  let follows: string | undefined;
  let deal: Deal | undefined;
  let deals = 0;
  let dealtAt = Number.NEGATIVE_INFINITY;
  let tells = false;
  let last: Neighbours = { perSecond: using, invalid: 0, ...NO_BANS };
  /** Tasks that have told of a ban of this address, and live. */
  const sources = new Set<string>();

  /** @returns whether there is something to tell the others */
  const takeShare = (live: readonly TrafficTask[], others: readonly TrafficTask[]): boolean => {
    const [dealer] = live;
    if (dealer === undefined) return false;
    const before = deal;
    if (dealer.id !== id) deal = undefined;
    else if (deal === undefined || !isWhole(deal, parts.perSecond) || clock.now() - dealtAt >= DEAL_MS) {
      dealtAt = clock.now();
      const { demand } = parts.own();
      const sharers = live.map(({ id: task, record }) =>
        task === id ? { id, demand, share, follows } : { id: task, ...record },
      );
      const former = others.flatMap(({ record }) => record.deal ?? []);
      deal = dealAnew(parts.perSecond, sharers, deal, former, deals + 1);
      deals = deal?.number ?? deals;
    }
    const theirs = dealer.id === id ? deal : dealer.record.deal;
    const given = theirs?.shares[id];
    if (theirs !== undefined && given !== undefined) {
      share = given;
      follows = nameOf(dealer.id, theirs);
    } else if (theirs !== undefined) {
      // Not dealt in yet, or not any more: it was taken for dead meanwhile.
      share = undefined;
      using = LEAST_SHARE;
    }
    return deal !== before;
  };

  const neighbours = (live: readonly TrafficTask[], others: readonly TrafficTask[]): Neighbours => {
    const address = parts.address();
    const near = others.filter(({ record }) => mayShare(record.address, address));
    const alive = new Set(live.map((task) => task.id));
    const place = live.filter(({ record }) => mayShare(record.address, address)).findIndex((task) => task.id === id);
    const met = parts.own().ban !== undefined;
    const behind = new Set(live.slice(1 + live.findIndex((task) => task.id === id)).map((task) => task.id));
    const told = near.flatMap(({ id: task, record: { ban } }) =>
      ban === undefined || !alive.has(task) ? [] : [{ task, ban }],
    );
    let lifted = false;
    for (const source of sources) {
      if (told.some(({ task }) => task === source)) continue;
      sources.delete(source);
      // One that has ended has not said that the ban is over.
      if (alive.has(source)) lifted = told.length === 0;
    }
    for (const { task } of told) sources.add(task);
    const bans = told.map(({ task, ban }) => {
      return { ban, lateMs: met && behind.has(task) ? Number.POSITIVE_INFINITY : LATE_MS * (place + 1) };
    });
    // Ended tasks stay on record as long as their invalid requests count: 10 min.
    const invalid = near.reduce((sum, { record }) => sum + record.invalid, 0);
    return { perSecond: using, invalid, bans, lifted };
  };

  return {
    record() {
      const { demand, invalid, ban } = parts.own();
      tells = ban !== undefined;
      return { address: parts.address(), demand, invalid, share, follows, deal, ban };
    },
    heard(tasks) {
      const others = tasks.filter((task) => task.id !== id);
      const live = tasks
        .filter(({ record }) => record.state === "active" || record.state === "draining")
        .sort((one, other) => one.record.rank - other.record.rank || (one.id < other.id ? -1 : 1));
      const followed = follows;
      // Whoever is not on record any more has no say until it is.
      const news = live.some((task) => task.id === id) && takeShare(live, others);
      using = Math.min(using, share ?? using);
      last = neighbours(live, others);
      parts.heed(last);
      return news || followed !== follows || (share ?? using) !== using;
    },
    outdated: () => tells !== (parts.own().ban !== undefined),
    written() {
      if (share === undefined || share === using) return;
      using = share;
      parts.heed({ perSecond: using, invalid: last.invalid, ...NO_BANS });
    },
  };
}

const mayShare = (one: string | null, other: string | null): boolean => {
  if (one === null || other === null) return one === other;
  const known = one.split(", ");
  return other.split(", ").some((address) => known.includes(address));
};

const NO_BANS: Pick<Neighbours, "bans" | "lifted"> = { bans: [], lifted: false };

/** What an item says of its task's traffic; undefined when it is no task's. What an older version lacks stays absent. */
export function trafficFrom(value: Readonly<Record<string, unknown>>): Traffic | undefined {
  const { address, demand, invalid, share, follows, deal, ban } = value;
  if (!(address === null || typeof address === "string") || !isAmount(demand) || !isAmount(invalid)) return undefined;
  return {
    address,
    demand,
    invalid,
    ...(isAmount(share) && { share }),
    ...(typeof follows === "string" && { follows }),
    ...(isDeal(deal) && { deal }),
    ...(isBan(ban) && { ban }),
  };
}

const isAmount = (value: unknown): value is number =>
  typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;

function isDeal(value: unknown): value is Deal {
  if (!isObject(value) || !isAmount(value["number"]) || !isObject(value["shares"])) return false;
  return Object.values(value["shares"]).every(isAmount);
}

/** Whether it is a ban as it was told. */
export function isBan(value: unknown): value is ToldBan {
  if (!isObject(value)) return false;
  const { sinceMs, endsInMs, probeInMs } = value;
  return isAmount(sinceMs) && isAmount(probeInMs) && (endsInMs === undefined || isAmount(endsInMs));
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
