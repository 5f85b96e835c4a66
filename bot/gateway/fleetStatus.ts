// The fleet's state as a person reads it: plain JSON, times as ISO 8601 wall time.

import type { Budget } from "./budget.ts";
import { nextDeadline, type StateName, stateName } from "./sessionState.ts";
import type { Shard } from "./shard.ts";

export interface ShardStatus {
  readonly shard: number;
  readonly shardCount: number;
  readonly state: StateName;
  readonly received: number;
  readonly finished: number;
  readonly lastClose: { readonly code: number | null; readonly by: string; readonly at: string } | null;
  readonly ackMs: number | null;
  readonly since: string;
  readonly deadline: string | null;
}

export interface FleetStatus {
  readonly shardCount: number | null;
  readonly ready: number;
  /** Share of this process's shards that are ready, 0 to 1; 0 before their number is known. */
  readonly readyShare: number;
  readonly shards: readonly ShardStatus[];
  readonly identify: {
    readonly left: number | null;
    readonly total: number | null;
    readonly resetAt: string | null;
    readonly reserve: number | null;
    readonly waitingUntil: string | null;
  };
  readonly edge: { readonly state: "clear" | "banned"; readonly since: string | null; readonly until: string | null };
}

/** What the fleet knows, in its own clock's time. */
export interface FleetFacts {
  readonly shardCount: number | undefined;
  readonly shards: readonly Shard[];
  readonly budget: Budget | null;
  readonly waitingUntil: number | null;
  readonly edge: { readonly since: number; readonly until: number } | null;
  finished(shard: number): number;
  /** Clock time as wall time. */
  iso(at: number): string;
}

export function fleetStatus(facts: FleetFacts): FleetStatus {
  const { shards, budget, waitingUntil, edge, iso } = facts;
  const ready = shards.filter((shard) => shard.state().kind === "ready").length;
  return {
    shardCount: facts.shardCount ?? null,
    ready,
    readyShare: shards.length === 0 ? 0 : ready / shards.length,
    shards: shards.map((shard) => shardStatus(shard, facts)),
    identify: {
      left: budget?.left ?? null,
      total: budget?.total ?? null,
      resetAt: budget === null ? null : iso(budget.resetAt),
      reserve: budget?.reserve ?? null,
      waitingUntil: waitingUntil === null ? null : iso(waitingUntil),
    },
    edge: {
      state: edge === null ? "clear" : "banned",
      since: edge === null ? null : iso(edge.since),
      until: edge === null ? null : iso(edge.until),
    },
  };
}

function shardStatus(shard: Shard, { shardCount, iso, finished }: FleetFacts): ShardStatus {
  const state = shard.state();
  const { lastClose, session } = state;
  const deadline = nextDeadline(state);
  return {
    shard: shard.id,
    shardCount: shardCount ?? 0,
    state: stateName(state),
    received: session?.sequence ?? 0,
    finished: session === null ? 0 : finished(shard.id),
    lastClose: lastClose === null ? null : { code: lastClose.code, by: lastClose.by, at: iso(lastClose.at) },
    ackMs: shard.ackMs(),
    since: iso(state.since),
    deadline: deadline === null ? null : iso(deadline),
  };
}
