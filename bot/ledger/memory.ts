// A ledger that ends with the process: for trying a bot out, and for whoever needs nothing to outlive a restart.

import { type Ledger, MOST_VALUES, type StoredRefusal, type StoredSession, type Values } from "./ledger.ts";
import { newerSessions, withStart } from "./records.ts";
import { planFrom, planText } from "./shardPlan.ts";

export function createMemoryLedger(): Ledger {
  let sessions: readonly StoredSession[] = [];
  let starts: readonly number[] = [];
  let refusal: StoredRefusal | undefined;
  let plan: string | undefined;
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
    values: createMemoryValues(),
    shardPlans: {
      read: async () => ({ plan: plan === undefined ? undefined : planFrom(plan), version: plan }),
      async write(next, version) {
        if (plan !== version) return false;
        plan = planText(next);
        return true;
      },
    },
  };
}

function createMemoryValues(): Values {
  const values = new Map<string, { readonly value: string; readonly expiresAt: number }>();

  const sweep = (now: number): void => {
    if (values.size <= MOST_VALUES) return;
    for (const [key, { expiresAt }] of values) if (expiresAt <= now) values.delete(key);
    // A tenth at once, so that not every write has to sort.
    const surplus = values.size <= MOST_VALUES ? 0 : values.size - MOST_VALUES * 0.9;
    const first = [...values].sort(([, left], [, right]) => left.expiresAt - right.expiresAt).slice(0, surplus);
    for (const [key] of first) values.delete(key);
  };

  const read = (key: string, now: number): string | undefined => {
    const kept = values.get(key);
    return kept !== undefined && kept.expiresAt > now ? kept.value : undefined;
  };

  const write = (key: string, value: string, now: number, expiresAt: number): void => {
    values.set(key, { value, expiresAt });
    sweep(now);
  };

  return {
    read: async (key, now) => read(key, now),
    async claim(key, value, now, expiresAt) {
      if (read(key, now) !== undefined) return false;
      write(key, value, now, expiresAt);
      return true;
    },
    write: async (key, value, now, expiresAt) => write(key, value, now, expiresAt),
    remove: async (key) => void values.delete(key),
  };
}
