// This process among others with the same ledger: which shards it runs, how they come to it, and how it hands them on.

import type { Checkpoint } from "./checkpoint.ts";
import type { Clock } from "./clock.ts";
import type { Dispatcher } from "./gateway/dispatch.ts";
import type { Fleet } from "./gateway/fleet.ts";
import type { Position } from "./gateway/positions.ts";
import { createIdentifyPermits, type KnownBudget, type Permit } from "./ledger/identifyPermits.ts";
import { isOfSet } from "./ledger/lease.ts";
import { createLeases, type Leases, type LeasesOptions } from "./ledger/leases.ts";
import type { Ledger, StoredSession } from "./ledger/ledger.ts";
import { LedgerError } from "./ledger/ledgerError.ts";
import { bestSessions } from "./ledger/records.ts";
import type { Grant } from "./ledger/shardMoves.ts";
import { createTrafficShare, type TrafficParts } from "./ledger/traffic.ts";
import type { Telemetry } from "./telemetry/telemetry.ts";

export interface SharingParts extends Pick<LeasesOptions, "tasks" | "loss" | "configured" | "recommended" | "beside"> {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly ledger: Ledger;
  readonly shared: NonNullable<Ledger["shared"]>;
  readonly dispatcher: Dispatcher;
  /** This task's requests, and what the others' mean for them. */
  readonly requests: Pick<TrafficParts, "perSecond" | "address" | "own" | "heed"> & {
    /** This task has no part of the limit any more. */
    over?(): void;
  };
  checkpoint(): Checkpoint;
  fleet(): Fleet | undefined;
}

export interface Sharing extends Pick<Leases, "tasks" | "say" | "shardCount"> {
  /** Enters the ledger as one of its tasks. @throws LedgerError */
  join(): Promise<void>;
  /** Begins to take shards into the fleet, which has been started. */
  start(): void;
  /** Whether a handler may start and a request may go; if that is not certain, the ledger is asked meanwhile. */
  mayAct(): boolean;
  settled(): void;
  /** A ready shard's connection was ended, and not by us: perhaps by another task that resumed its session. */
  cutOff(shard: number): void;
  /** The edge has banned this task's address, or lets it through: the others should know at once. */
  tell(): void;
  permitIdentify(
    shard: number,
    maxConcurrency: number,
    budget: Omit<KnownBudget, "maxConcurrency"> | undefined,
  ): Promise<Permit>;
  /** The fleet's sessions under their fences, and those that were given away a moment ago. */
  sessions(): readonly StoredSession[];
  /** Runs the same shards in a new fleet, without their sessions. */
  again(): void;
  /**
   * Writes the checkpoint and frees every shard; nothing may start any more. A ledger that does not answer is asked again
   * until the signal aborts.
   */
  leave(late: AbortSignal): Promise<void>;
  /** The last word, said again likewise until the ledger has heard it. */
  end(late?: AbortSignal): Promise<void>;
}

// Whoever takes a shard reads its session at once; two minutes cover an owner that starts anew meanwhile.
const KEPT_GIVEN_MS = 120_000;

export function createSharing(parts: SharingParts): Sharing {
  const { clock, telemetry, dispatcher, shared } = parts;
  const permits = createIdentifyPermits({ clock, items: shared.items });
  // Sessions of shards that were given to another task; at most as many as there are shards.
  const given = new Map<number, { readonly session: StoredSession; readonly until: number }>();
  let shardCount = 0;

  const granted = (grants: readonly Grant[]): void => {
    const fleet = parts.fleet();
    for (const { shard, shardCount: count, session: stored, finished, spared, died, held } of grants) {
      shardCount = count;
      // What this task has let go without the ledger may never have been written there.
      const own = given.get(shard)?.session;
      const known = [stored, own].flatMap((one) => (one?.shardCount === count ? [one] : []));
      const [session] = bestSessions(known);
      given.delete(shard);
      const isBack = session !== undefined && session.sessionId === own?.sessionId;
      const mine = isBack ? dispatcher.takeBack(shard) : undefined;
      if (!isBack) dispatcher.take(shard);
      if (session !== undefined) {
        const upToDate = broughtUpToDate(session, finished, spared, mine?.position);
        dispatcher.restore(upToDate, (sequence) => mine?.held(sequence) ?? held(sequence), died);
      }
      fleet?.take(shard, count, session);
    }
    void parts.checkpoint().write();
  };

  /** What this task knows of shards that it leaves stays in its checkpoint, until whoever takes them has written one. */
  const keep = (sessions: readonly StoredSession[], fences: ReadonlyMap<number, number>): void => {
    const until = clock.now() + KEPT_GIVEN_MS;
    for (const session of sessions) {
      const fence = fences.get(session.shard);
      if (fence !== undefined) given.set(session.shard, { session: { ...session, fence }, until });
    }
  };

  const traffic = createTrafficShare({ clock, id: shared.task, ...parts.requests });

  const leases = createLeases({
    ...parts,
    items: shared.items,
    id: shared.task,
    traffic,
    granted,
    lost(fences) {
      for (const shard of fences.keys()) dispatcher.lose(shard);
      keep(parts.fleet()?.sessions() ?? [], fences);
      void parts.fleet()?.giveUp([...fences.keys()]);
    },
    async release(shards) {
      for (const shard of shards) dispatcher.release(shard);
      const fences = new Map(leases.held);
      keep((await parts.fleet()?.giveUp(shards)) ?? [], fences);
      await parts.checkpoint().write();
    },
    identifying() {
      const shards = parts.fleet()?.status().shards ?? [];
      return new Set(shards.filter(({ state }) => state === "identifying").map(({ shard }) => shard));
    },
    running: (shard) => dispatcher.running(shard),
    sure: () => dispatcher.goOn(),
  });

  return {
    tasks: leases.tasks,
    say: leases.say,
    shardCount: leases.shardCount,
    join: leases.join,
    start() {
      const count = leases.shardCount();
      const ahead = leases
        .tasks()
        .filter(({ id, record }) => id !== shared.task && record.state === "active" && isOfSet(record, count)).length;
      if (ahead >= parts.tasks) telemetry.event("bot.waiting", { ahead });
      leases.start();
    },
    mayAct: leases.mayAct,
    settled: leases.settled,
    cutOff: leases.cutOff,
    tell() {
      if (traffic.outdated()) leases.tell();
    },
    async permitIdentify(shard, maxConcurrency, budget) {
      if (leases.standing() !== "sure") throw new LedgerError("unreachable", "no IDENTIFY without the ledger");
      return permits.take(`${shard % maxConcurrency} of ${maxConcurrency}`, budget && { ...budget, maxConcurrency });
    },
    sessions() {
      const now = clock.now();
      for (const [shard, { until }] of given) if (until <= now) given.delete(shard);
      const own = (parts.fleet()?.sessions() ?? []).flatMap((session) => {
        const fence = leases.held.get(session.shard);
        return fence === undefined ? [] : [{ ...session, fence }];
      });
      return [...own, ...[...given.values()].map(({ session }) => session)];
    },
    again() {
      for (const shard of leases.held.keys()) parts.fleet()?.take(shard, shardCount, undefined);
    },
    leave: (late) => leases.leave(() => parts.checkpoint().insist(late)),
    async end(late = AbortSignal.abort()) {
      await leases.end(late);
      leases.stop();
      parts.requests.over?.();
    },
  };
}

/**
 * The session with what its last owner has said since it was written down (a checkpoint fears the worst of what runs), and
 * with what this task has itself done of it, if it had it before.
 */
function broughtUpToDate(
  session: StoredSession,
  finished: readonly number[],
  spared: readonly number[],
  mine: Position | undefined,
): StoredSession {
  const above = new Set([...(session.finishedAbove ?? []), ...finished, ...(mine?.finishedAbove ?? [])]);
  const unfinished = (session.unfinished ?? []).map(({ sequence, deaths }) => {
    return { sequence, deaths: spared.includes(sequence) ? Math.max(0, deaths - 1) : deaths };
  });
  const sequence = Math.max(session.sequence, mine?.finished ?? 0);
  return { ...session, sequence, finishedAbove: [...above].sort((one, other) => one - other), unfinished };
}
