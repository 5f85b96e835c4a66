// This task's own item: its beats, one after the other, and how sure each leaves us that we still are who we were.

import { KIND } from "../../shared/table.ts";
import type { Clock } from "../clock.ts";
import { elapsedMeter } from "./elapsed.ts";
import type { Items } from "./items.ts";
import { SURE_MS } from "./lease.ts";
import { type TaskRecord, taskFrom } from "./leaseRecords.ts";
import { LedgerError } from "./ledgerError.ts";

/** kept: the record stands. lost: somebody has declared this task dead. unreachable: nobody knows. */
export type BeatOutcome = "kept" | "lost" | "unreachable";

/** sure: nobody can have taken anything. unsure: ask first. unreachable: asked in vain. */
export type Standing = "sure" | "unsure" | "unreachable";

// A table that did not answer will not answer a moment later; then it is asked again first. Longer than from one failing
// beat to the next, and counted from the question: a machine that slept over the answer has learned nothing by it.
const ASKED_IN_VAIN_MS = 9_000;
// Its remains are of no use to anybody after a day.
const CLEARED_AFTER_MS = 86_400_000;

export interface OwnTask {
  /** Writes the record as it is now. Resolves once that is answered; beats never overtake each other. */
  beat(): Promise<BeatOutcome>;
  standing(): Standing;
  /** What the last beat that failed met. */
  readonly failure: LedgerError | undefined;
}

export function createOwnTask(parts: {
  readonly clock: Clock;
  readonly items: Items;
  readonly id: string;
  record(): TaskRecord;
}): OwnTask {
  const { clock, items, id } = parts;
  const elapsed = elapsedMeter(clock);
  let version: number | undefined;
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let failure: LedgerError | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  const swap = (expected: number | undefined): Promise<number | undefined> => {
    const body = JSON.stringify(parts.record());
    return items.swap({ kind: KIND.task, id, body, expiresAt: clock.wall() + CLEARED_AFTER_MS }, expected);
  };

  const write = async (): Promise<BeatOutcome> => {
    const sentAt = elapsed();
    try {
      let next = await swap(version);
      if (next === undefined) {
        // Nobody else writes here but to declare us dead; anything else is a write of ours whose answer was lost.
        const kept = await items.get(KIND.task, id);
        const record = kept === undefined ? undefined : taskFrom(kept)?.record;
        const dead = kept === undefined ? version !== undefined : record === undefined || record.state === "dead";
        // Whoever joins again goes on from there.
        version = kept?.version;
        next = dead ? undefined : await swap(version);
        if (next === undefined) return "lost";
      }
      version = next;
      confirmedAt = sentAt;
      failure = undefined;
      return "kept";
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      failedAt = sentAt;
      failure = error;
      return "unreachable";
    }
  };

  return {
    beat() {
      const mine = turn.then(write);
      turn = mine.catch(() => {});
      return mine;
    },
    standing() {
      const now = elapsed();
      if (now - confirmedAt < SURE_MS) return "sure";
      return failedAt > confirmedAt && now - failedAt < ASKED_IN_VAIN_MS ? "unreachable" : "unsure";
    },
    get failure() {
      return failure;
    },
  };
}
