// A ledger that ends with the process: for trying a bot out, and for whoever needs nothing to outlive a restart.

import type { Ledger, StoredRefusal, StoredSession } from "./ledger.ts";
import { newerSessions, withStart } from "./records.ts";

export function createMemoryLedger(): Ledger {
  let sessions: readonly StoredSession[] = [];
  let starts: readonly number[] = [];
  let refusal: StoredRefusal | undefined;
  return {
    persistent: false,
    readSessions: async () => structuredClone(sessions),
    writeSessions: async (next) => {
      sessions = newerSessions(sessions, next);
    },
    readStarts: async () => [...starts],
    recordStart: async (at) => {
      starts = withStart(starts, at);
    },
    readRefusal: async () => structuredClone(refusal),
    writeRefusal: async (next) => {
      refusal = structuredClone(next);
    },
  };
}
