// Shards on their way: claimed and granted as soon as their session is known, given away, freed.

import { KIND } from "../../shared/table.ts";
import type { Clock } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { GivenAway, Outcome, Predecessors } from "./handover.ts";
import type { Items } from "./items.ts";
import type { Claim, LeaseTable } from "./lease.ts";
import { type AwaitedEvent, type EventId, leaseFrom, leaseItem } from "./leaseRecords.ts";
import type { Ledger, StoredSession } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";

/** A shard that is this task's from now on. */
export interface Grant {
  readonly shard: number;
  readonly shardCount: number;
  readonly fence: number;
  /** What its last owner left of it. */
  readonly session: StoredSession | undefined;
  readonly from: string | null;
  /** Events above the session's that the last owner has finished since. */
  readonly finished: readonly number[];
  /** Events on which its last owner did not die, though it did not finish them: it was asked to stop, and had its time. */
  readonly spared: readonly number[];
  /** The last owner died, perhaps on an event. */
  readonly died: boolean;
  /** For an event whose handler still runs over there: settles when it ends. */
  held(sequence: number): Promise<Outcome> | undefined;
}

export interface ShardMovesParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly items: Items;
  readonly ledger: Pick<Ledger, "readSessions">;
  readonly id: string;
  readonly table: LeaseTable;
  readonly given: GivenAway;
  readonly before: Predecessors;
  /** This task's, under which it takes shards. */
  rank(): number;
  /** Nothing begins here any more. */
  leaving(): boolean;
  /** Tells the others. */
  beat(): Promise<unknown>;
  /** Shards to run. */
  granted(grants: readonly Grant[]): void;
  /** Gives shards up: resolves when they are closed and what they were is in the ledger. */
  release(shards: readonly number[]): Promise<void>;
  /** Sequences of a shard whose handlers run. */
  running(shard: number): readonly number[];
}

/** Every call may reject with a LedgerError; what is left undone is taken up by the next. */
export interface ShardMoves {
  /** Takes what is free still, and grants it together with what was taken before and not granted yet. */
  claim(claims: readonly Claim[], count: number): Promise<void>;
  /** Gives this task's shards to whoever wants them. */
  release(shards: readonly number[], count: number): Promise<void>;
  /** Lets others take shards that are this task's in the ledger. */
  free(shards: readonly number[], count: number): Promise<void>;
  /** Of events of shards given away those that a task runs, or ran, which had the shard before, with its name. */
  awaits(running: readonly EventId[]): readonly AwaitedEvent[];
  /** Resolves when no claim waits for its answer. */
  settled(): Promise<unknown>;
  /** Shard items written so far. */
  readonly count: number;
  /** Shards that are claimed and not granted. */
  readonly pending: number;
}

// Enough claims at once that 1,000 shards move within seconds, few enough for one connection pool.
const AT_ONCE = 16;
// The longest DRAIN_MS is 115 s; what a predecessor has not finished by then it never will.
const LONGEST_HOLD_MS = 120_000;

interface Taken {
  readonly shard: number;
  readonly fence: number;
  readonly from: string | null;
}

export function createShardMoves(parts: ShardMovesParts): ShardMoves {
  const { clock, telemetry, items, id, table, given, before } = parts;
  // Events that are not begun here, by shard and sequence, with the task that had their shard before.
  const awaiting = new Map<string, AwaitedEvent>();
  // Those of each shard that the task before ran when it gave the shard away; as many as it may run at once. Whoever leaves
  // before it has taken them up itself passes them on.
  const ranBefore = new Map<number, readonly AwaitedEvent[]>();
  const claiming = new Set<Promise<void>>();
  let taken: readonly Taken[] = [];
  let count = 0;

  const take = async ({ shard, expected, from }: Claim, shardCount: number): Promise<void> => {
    try {
      const lease = leaseItem({ shard, shardCount, owner: id, term: parts.rank(), from: null });
      const fence = await items.swap(lease, expected);
      if (fence === undefined) {
        table.missed();
        return;
      }
      table.taken(shard, fence);
      count++;
      given.takeBack(shard);
      const { finished, running } = before.of(from, shard);
      ranBefore.set(shard, from === null ? [] : [...finished, ...running].map((sequence) => [shard, sequence, from]));
      taken = [...taken, { shard, fence, from }];
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      table.missed();
    }
  };

  const isGiven = (shard: number): boolean => parts.leaving() || !table.held.has(shard);

  const outcomeOf = (from: string, event: EventId): Promise<Outcome> => {
    const place = event.join("/");
    awaiting.set(place, [...event, from]);
    const outcome = before.outcome(from, event);
    void outcome.then(() => awaiting.delete(place));
    return outcome;
  };

  const grantOf = ({ shard, fence, from }: Taken, shardCount: number, sessions: readonly StoredSession[]): Grant => {
    const { finished, running, cutOff, died } = before.of(from, shard);
    const outcomes = new Map(running.map((sequence) => [sequence, outcomeOf(from ?? "", [shard, sequence])] as const));
    telemetry.event("lease.taken", { shard, fence, from });
    return {
      shard,
      shardCount,
      fence,
      session: sessions.find((kept) => kept.shard === shard && kept.shardCount === shardCount),
      from,
      finished,
      spared: [...running, ...cutOff],
      died,
      held: (sequence) => outcomes.get(sequence),
    };
  };

  const grant = (shardCount: number, sessions: readonly StoredSession[]): void => {
    // Meanwhile this task may have been told to stop, or have lost everything.
    const mine = taken.filter(({ shard, fence }) => table.held.get(shard) === fence && !parts.leaving());
    taken = [];
    if (mine.length === 0) return;
    const grants = mine.map((one) => grantOf(one, shardCount, sessions));
    if (before.waiting > 0) clock.schedule(LONGEST_HOLD_MS, before.patience());
    parts.granted(grants);
  };

  const free = async (shards: readonly number[], shardCount: number): Promise<void> => {
    if (shards.length === 0) return;
    await inTurns(shards, async (shard) => {
      const kept = await items.get(KIND.shard, `${shardCount}/${shard}`);
      const lease = kept === undefined ? undefined : leaseFrom(kept);
      if (lease?.owner !== id) return;
      const freed = leaseItem({ shard, shardCount, owner: null, term: 0, from: id });
      if ((await items.swap(freed, lease.fence)) === undefined) return;
      telemetry.event("lease.released", { shard, fence: lease.fence });
      count++;
    });
    telemetry.level("LeasesHeld", table.held.size);
    await parts.beat();
  };

  return {
    async claim(claims, shardCount) {
      if (claims.length + taken.length === 0) return;
      // Read after whoever had the shards had let go, and so after their last checkpoint. Without it nothing is granted yet:
      // a shard that began without its session would cost an IDENTIFY and lose what that one has missed.
      const earlier = count;
      const reading = parts.ledger.readSessions();
      await Promise.all([
        reading,
        inTurns(claims, async (one) => {
          const taking = take(one, shardCount);
          claiming.add(taking);
          await taking;
          claiming.delete(taking);
          grant(shardCount, await reading);
        }),
      ]);
      grant(shardCount, await reading);
      telemetry.level("LeasesHeld", table.held.size);
      if (count > earlier) void parts.beat();
    },
    async release(shards, shardCount) {
      if (shards.length === 0) return;
      const released = parts.release(shards);
      // Before the checkpoint, so that what ends meanwhile is told in one of them at least.
      for (const shard of shards) if (table.held.has(shard)) given.give(shard, parts.running(shard));
      await released;
      if (parts.leaving()) return;
      for (const shard of shards) table.given(shard);
      // Who takes a shard must find what still runs; so this comes before the shard is free.
      await parts.beat();
      await free(shards, shardCount);
    },
    free,
    awaits(running) {
      const known = new Set(running.map((event) => event.join("/")));
      const unseen = [...ranBefore.values()]
        .flat()
        .filter(([shard, sequence]) => isGiven(shard) && !known.has(`${shard}/${sequence}`));
      return [...running.flatMap((event) => definite(awaiting.get(event.join("/")))), ...unseen];
    },
    settled: () => Promise.all(claiming),
    get count() {
      return count;
    },
    get pending() {
      return taken.length;
    },
  };
}

const definite = (event: AwaitedEvent | undefined): readonly AwaitedEvent[] => (event === undefined ? [] : [event]);

async function inTurns<Job>(jobs: readonly Job[], work: (job: Job) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let place = next++; place < jobs.length; place = next++) {
      const job = jobs[place];
      if (job !== undefined) await work(job);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, jobs.length) }, lane));
}
