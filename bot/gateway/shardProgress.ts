// How far the events of each shard's session have come, and whether they are still this process's to run (pure).

import type { StoredSession } from "../ledger/ledger.ts";
import type { Held, Outcome } from "./crossing.ts";
import { openPositions, type Position, type Positions } from "./positions.ts";

/** ours: may run here. released: another process runs what has not begun. lost: it runs also what came over to us. */
export type Standing = "ours" | "released" | "lost";

export interface ShardProgress {
  /** Where an event counts; undefined: its shard is another process's, and it is not taken in. */
  of(shard: number, sequence: number, type: string): Positions | undefined;
  /** As the dispatcher's. */
  onSession(shard: number, change: "started" | "resumed" | "dropped", sequence: number, now: number): void;
  restore(stored: StoredSession, held: Held | undefined, died: boolean): void;
  take(shard: number): void;
  /** As `take`. @returns what this process has left, of which nothing is begun any more */
  takeBack(shard: number): Positions | undefined;
  release(shard: number): void;
  lose(shard: number): void;
  standing(positions: Positions): Standing;
  /** Whether the session's replay may still bring what a process died on. */
  isWary(positions: Positions, now: number, replayed: boolean): boolean;
  /** Set when another process had begun the event. */
  held(positions: Positions, sequence: number): Promise<Outcome> | undefined;
  position(shard: number): Position | undefined;
}

/**
 * A RESUMED ends a replay (events/gateway#resuming), but may be an earlier one that the replay brings again, and what comes
 * right behind it is the rest then. A replay comes in one go; what is later than this, ms, is live.
 */
const REPLAY_TAIL_MS = 1_500;
/** Where a connection was cut within that tail, the next brings the rest: for as long as Discord keeps the session, minutes. */
const REPLAY_AGAIN_MS = 240_000;

export function createShardProgress(): ShardProgress {
  const sessions = new Map<number, Positions>();
  // The sequence of each shard's last READY, to tell whether a session that is announced has begun already.
  const readyAt = new Map<number, number>();
  const released = new Set<number>();
  const standings = new WeakMap<Positions, Standing>();
  const holds = new WeakMap<Positions, Held>();
  // When to be wary no more.
  const wary = new WeakMap<Positions, number>();

  const isWary = (positions: Positions, now: number, replayed: boolean): boolean => {
    const until = wary.get(positions) ?? Number.NEGATIVE_INFINITY;
    return now <= until + (replayed ? REPLAY_AGAIN_MS : 0);
  };

  const leave = (shard: number, standing: Standing): void => {
    released.add(shard);
    const positions = sessions.get(shard);
    if (positions !== undefined) standings.set(positions, standing);
  };

  const take = (shard: number): void => {
    released.delete(shard);
    sessions.delete(shard);
  };

  return {
    of(shard, sequence, type) {
      if (released.has(shard)) return undefined;
      const current = sessions.get(shard);
      if (type === "READY") readyAt.set(shard, sequence);
      // A READY that goes back opens a new session (events/gateway-events#ready), whether or not it was announced.
      const opens = type === "READY" && current !== undefined && sequence <= current.received;
      if (current !== undefined && !opens) return current;
      const positions = openPositions(sequence - 1);
      sessions.set(shard, positions);
      return positions;
    },
    onSession(shard, change, sequence, now) {
      const current = sessions.get(shard);
      // How far the session has come a RESUMED does not say, either.
      if (change === "resumed" && current !== undefined && isWary(current, now, true))
        wary.set(current, now + REPLAY_TAIL_MS);
      else if (change === "dropped") sessions.delete(shard);
      else if (change === "started" && readyAt.get(shard) !== sequence)
        sessions.set(shard, openPositions(sequence - 1));
    },
    restore(stored, held, died) {
      const positions = openPositions(stored);
      sessions.set(stored.shard, positions);
      if (died) wary.set(positions, Number.POSITIVE_INFINITY);
      if (held !== undefined) holds.set(positions, held);
    },
    take,
    takeBack(shard) {
      const left = sessions.get(shard);
      if (left !== undefined) standings.set(left, "lost");
      take(shard);
      return left;
    },
    release: (shard) => leave(shard, "released"),
    lose: (shard) => leave(shard, "lost"),
    standing: (positions) => standings.get(positions) ?? "ours",
    isWary,
    held: (positions, sequence) => holds.get(positions)?.(sequence),
    position: (shard) => sessions.get(shard)?.position(),
  };
}
