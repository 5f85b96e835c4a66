// How the bundled chat bot's own settings are read: Discord ids, keys of the model's provider, and their quotas.

import { Secret } from "./secret.ts";
import type { Reading, Syntax } from "./syntax.ts";

const good = <Value>(value: Value): Reading<Value> => ({ ok: true, value });
const bad = (problem: string): Reading<never> => ({ ok: false, problem });

/** Discord ids separated by commas (reference#snowflakes). */
export const snowflakes: Syntax<readonly string[]> = {
  expects: "Discord ids separated by commas, such as 1100000000000000000",
  read(given) {
    const ids = given.split(",").map((part) => part.trim());
    const wrong = ids.find((id) => !/^\d{15,20}$/.test(id));
    return wrong === undefined ? good(ids) : bad(`has "${wrong}"; it must be ${this.expects}`);
  },
};

/** Keys separated by commas, the preferred one first. What is wrong is told by place, never by the text. */
export const keys: Syntax<readonly Secret[]> = {
  expects: "keys separated by commas, the preferred one first",
  read(given) {
    const parts = given.split(",").map((part) => part.trim());
    const wrong = parts.findIndex((part) => !/^[\x21-\x7e]{8,}$/.test(part) || /["']/.test(part));
    if (wrong >= 0)
      return bad(`has a key at place ${wrong + 1} that is short, quoted or has blanks; give the raw keys`);
    if (new Set(parts).size < parts.length) return bad("has a key twice; each counts its own quota, give it once");
    return good(parts.map((part) => new Secret(part)));
  },
};

/** What one key may use; an absent number is no limit. Windows begin at the top of the hour and the first of the month, UTC. */
export interface Quota {
  readonly requestsAnHour?: number;
  readonly requestsAMonth?: number;
  readonly tokensAnHour?: number;
  readonly tokensAMonth?: number;
}

const LIMITS: ReadonlyMap<string, keyof Quota> = new Map([
  ["requests/hour", "requestsAnHour"],
  ["requests/month", "requestsAMonth"],
  ["tokens/hour", "tokensAnHour"],
  ["tokens/month", "tokensAMonth"],
]);

/** One quota for each key in the keys' order, separated by commas; the last one holds for all further keys. */
export const quotas: Syntax<readonly Quota[]> = {
  expects:
    'quotas such as "300 requests/hour 900 requests/month 1000000 tokens/month", by commas in the keys\' order, or none',
  read(given) {
    const list: Quota[] = [];
    for (const part of given.split(",")) {
      const quota: { -readonly [Name in keyof Quota]: number } = {};
      const words = part.trim() === "none" ? [] : part.trim().split(/\s+/);
      for (let at = 0; at < words.length; at += 2) {
        const limit = LIMITS.get(words[at + 1] ?? "");
        const number = /^\d{1,12}$/.test(words[at] ?? "") ? Number(words[at]) : 0;
        if (limit === undefined || number < 1) return bad(`has "${part.trim()}"; it must be ${this.expects}`);
        quota[limit] = number;
      }
      list.push(quota);
    }
    return good(list);
  },
};

/** The quota of the key at `index`. */
export function quotaOf(list: readonly Quota[], index: number): Quota {
  return list[index] ?? list.at(-1) ?? {};
}
