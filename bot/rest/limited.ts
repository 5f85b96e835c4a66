// What a 429 means for the call that met it: how long it waits, and when it is told instead of waiting on.

import { LONGEST_WAIT_MS } from "./admission.ts";
import type { Call } from "./call.ts";
import { RestError, waitTooLong } from "./errors.ts";

/** Never a zero wait after a 429, whatever it says; and where it says nothing, a second that doubles. */
const SHORTEST_WAIT_MS = 100;
const UNNAMED_WAIT_MS = 1000;
const MOST_LIMITED = 5;

/** @param named what the answer said, ms @param before 429s that the call had met till then */
export function waitAfter(named: number | undefined, before: number): number {
  return Math.max(named ?? UNNAMED_WAIT_MS * 2 ** before, SHORTEST_WAIT_MS);
}

/** The error of a call that would wait too long, or has met too many; undefined: it goes again. */
export function limitedError(call: Call, wait: number, now: number, wallNow: number): RestError | undefined {
  const { latest, limited } = call;
  const route = call.route.name;
  const until = Math.ceil(wallNow + wait);
  if (now + wait > latest || (wait > LONGEST_WAIT_MS && latest === Infinity)) return waitTooLong(route, wait, until);
  if (limited <= MOST_LIMITED) return undefined;
  return new RestError("rateLimited", `met ${limited} rate limits in a row`, { route, status: 429, until });
}
