// A bot module's values with a count of its changes under way, so that a process does not end in the middle of one.

import type { Values } from "./ledger.ts";

export interface SettlingValues extends Values {
  /** Resolves once no change is under way, however those ended. */
  settled(): Promise<void>;
}

export function settlingValues(values: Values): SettlingValues {
  let underWay = 0;
  let waiting: (() => void)[] = [];

  const change = async <Result>(work: Promise<Result>): Promise<Result> => {
    underWay += 1;
    try {
      return await work;
    } finally {
      underWay -= 1;
      if (underWay === 0) {
        for (const resolve of waiting) resolve();
        waiting = [];
      }
    }
  };

  return {
    read: (key, now) => values.read(key, now),
    claim: (key, value, now, expiresAt) => change(values.claim(key, value, now, expiresAt)),
    write: (key, value, now, expiresAt) => change(values.write(key, value, now, expiresAt)),
    remove: (key) => change(values.remove(key)),
    settled: () => (underWay === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
