// Keeps the sessions in the ledger: every few seconds when they moved, and at once when asked; never in an event's way.

import type { Cancel, Clock } from "./clock.ts";
import type { Ledger, StoredSession } from "./ledger/ledger.ts";
import type { Telemetry } from "./telemetry/telemetry.ts";

// A crash replays what came since the last checkpoint; Discord keeps sessions for minutes, so seconds are fresh enough.
const CHECKPOINT_EVERY_MS = 5_000;
const INSIST_EVERY_MS = 1_000;

export interface Checkpoint {
  start(): void;
  /**
   * Writes now if anything moved; calls that come before the write has begun share it. A ledger that fails is reported,
   * and tried again at the next turn.
   */
  write(): Promise<void>;
  /** Writes until the ledger has taken it: once at least, and then every second until the signal aborts. */
  insist(signal: AbortSignal): Promise<void>;
  /** Whether the ledger holds what the last write that has ended was to keep. */
  kept(): boolean;
  /** Leaves no session behind: they were ended, and a successor must not try them. Before `start` none was. */
  forget(): Promise<void>;
  /** Ends the turns; both writes still work. */
  stop(): void;
}

export function createCheckpoint(parts: {
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly telemetry: Telemetry;
  sessions(): readonly StoredSession[];
}): Checkpoint {
  const { clock, ledger, telemetry } = parts;
  // What the ledger is known to hold; before the first write that may be an earlier process's sessions.
  let written: string | undefined;
  let hadSessions = false;
  let isKept = true;
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  let cancel: Cancel | undefined;

  const writeOnce = async (sessions: readonly StoredSession[]): Promise<void> => {
    const moved = JSON.stringify(sessions.map((session) => ({ ...session, writtenAt: 0 })));
    isKept = moved === written;
    if (isKept) return;
    try {
      await ledger.writeSessions(sessions);
      isKept = true;
      written = moved;
      telemetry.level("LedgerUnreachable", 0);
    } catch (error) {
      telemetry.level("LedgerUnreachable", 1);
      telemetry.event("ledger.unreachable", { error: String(error) });
    }
  };

  // One write after the other: a slow one must not be overtaken by its successor.
  const after = (step: () => Promise<void>): Promise<void> => {
    writing = writing.then(step);
    return writing;
  };
  const write = (): Promise<void> => {
    next ??= after(async () => {
      next = undefined;
      // Nothing to keep is no reason to wipe what an earlier process kept, unless this one has had it and lost it.
      const sessions = parts.sessions();
      hadSessions ||= sessions.length > 0;
      if (hadSessions) await writeOnce(sessions);
    });
    return next;
  };

  const turn = (): void => {
    cancel = clock.schedule(CHECKPOINT_EVERY_MS, () => {
      void write();
      turn();
    });
  };

  return {
    start() {
      hadSessions = parts.sessions().length > 0;
      turn();
    },
    write,
    async insist(signal) {
      await write();
      while (!isKept && !signal.aborted) {
        await clock.sleep(INSIST_EVERY_MS, signal).catch(() => {});
        await write();
      }
    },
    kept: () => isKept,
    forget: async () => (cancel === undefined ? undefined : after(() => writeOnce([]))),
    stop: () => cancel?.(),
  };
}
