// Begins events of which one may kill the process: one after the other, each written down before, so that its death counts.
//
// A death is counted for what the ledger knew to run. An event that kills at once, before any checkpoint, is not known to
// have been there: nothing tells it from one that came after that death, and an event is never given up for a single death.
// So such a killer gets three: one that nobody can count, then two that count, since its start is written down first.
// A death counts for all that runs, since none can be told from the others; begun in turns, few run that have one already.
// It counts for the one that is being written down, too: from what kills at once, nobody can tell it afterwards. So an
// innocent event may be given up for two deaths of which one, or both, fell into the few ms of its own write.

import type { Cancel, Clock } from "../clock.ts";
import type { Keyed, Lanes } from "./lanes.ts";
import type { Positions } from "./positions.ts";

/**
 * How long an event that goes on keeps the next from beginning, ms: a handler that kills at once has done it by then and
 * has the death for itself, and a replay of 200 events takes 6 s.
 */
export const TURN_MS = 30;
// Longer than a ledger's own deadlines: what is not written by then is on a disk that hangs.
const LONGEST_WRITE_MS = 5_000;
/**
 * Most events that wait so; at TURN_MS and 10 ms for a write each, they are through before one has waited for the 5 min
 * after which it is shed.
 */
export const MOST_WARY = 5_000;

/** One event, in the session that brought it. */
export interface WaryJob extends Keyed {
  /** Whether it has to be written down before. */
  readonly isWary: boolean;
  readonly shard: number;
  readonly sequence: number;
  readonly positions: Positions;
}

export interface WaryParts {
  readonly clock: Clock;
  /** Keeps what runs and what is about to; whether the ledger has it. Absent: nothing outlives the process. */
  readonly writeAhead: (() => Promise<boolean>) | undefined;
  /** Another may start. */
  freed(): void;
}

export interface Wary<Job extends WaryJob> {
  /** Whether one more event is to be written down before; it counts until its turn, or `forget`. */
  admit(): boolean;
  forget(): void;
  /** Takes what may start now: what has been written down, else what waits longest and need not be, or not yet. */
  next(lanes: Pick<Lanes<Job>, "next">): Job | undefined;
  /** An event has its turn, but its handler has not started yet. */
  readonly isPending: boolean;
  /** It was written down, too: `next` gives it. */
  readonly isReady: boolean;
  /** An event is over, or its handler will not start. */
  settled(job: Job): void;
  /** Nobody has a turn and one was had: the ledger may forget what has ended since. */
  tidy(): void;
  /** The shard is another process's, and what has not started here will not. */
  release(shard: number): void;
  /** The process ends of its own accord. */
  stop(): void;
}

type Turn<Job> =
  | { readonly kind: "free" }
  | { readonly kind: "writing" | "written"; readonly job: Job }
  | { readonly kind: "watched"; readonly job: Job; readonly cancel: Cancel };

const FREE = { kind: "free" } as const;

const isUnwary = ({ isWary }: WaryJob): boolean => !isWary;

export function createWary<Job extends WaryJob>({ clock, writeAhead, freed }: WaryParts): Wary<Job> {
  let turn: Turn<Job> = FREE;
  let waiting = 0;
  // The ledger fails, so what waits begins without it.
  let isOff = false;
  let hasWritten = false;

  /** What has not started yet never will, here. */
  const postpone = (): void => {
    if (turn.kind === "writing" || turn.kind === "written") turn.job.positions.postpone(turn.job.sequence);
  };

  const watch = (job: Job): void => {
    const cancel = clock.schedule(TURN_MS, () => {
      turn = FREE;
      freed();
    });
    turn = { kind: "watched", job, cancel };
  };

  const write = async (job: Job): Promise<void> => {
    hasWritten = true;
    job.positions.start(job.sequence);
    turn = { kind: "writing", job };
    const over = new AbortController();
    const { signal } = over;
    // A moment more: after a standstill of the process this comes due before the ledger's answer is read.
    const late = clock.sleep(LONGEST_WRITE_MS, signal).then(() => clock.sleep(1, signal));
    const gaveUp = late.then(
      () => false,
      () => false,
    );
    const kept = await Promise.race([writeAhead?.(), gaveUp]);
    over.abort();
    if (turn.kind !== "writing" || turn.job !== job) return;
    if (kept !== true) isOff = true;
    turn = { kind: "written", job };
    freed();
  };

  return {
    admit() {
      if (writeAhead === undefined || waiting >= MOST_WARY) return false;
      // Whoever waits from now on finds out for itself whether the ledger is back.
      if (waiting === 0) isOff = false;
      waiting++;
      return true;
    },
    forget: () => void waiting--,
    next(lanes) {
      if (turn.kind === "written") {
        const { job } = turn;
        watch(job);
        return job;
      }
      for (;;) {
        const job = lanes.next(turn.kind === "free" || isOff ? undefined : isUnwary);
        if (job === undefined || !job.isWary) return job;
        waiting--;
        if (isOff) return job;
        void write(job);
      }
    },
    get isPending() {
      return turn.kind === "writing" || turn.kind === "written";
    },
    get isReady() {
      return turn.kind === "written";
    },
    settled(job) {
      if (turn.kind !== "watched" || turn.job !== job) return;
      turn.cancel();
      turn = FREE;
    },
    tidy() {
      if (!hasWritten || turn.kind !== "free") return;
      hasWritten = false;
      void writeAhead?.();
    },
    release(shard) {
      if (turn.kind !== "free" && turn.job.shard === shard) postpone();
    },
    stop() {
      postpone();
      if (turn.kind === "watched") turn.cancel();
      turn = FREE;
      hasWritten = false;
    },
  };
}
