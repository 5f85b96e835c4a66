// How long to wait before another try: exponential, capped, and spread by chance so that many do not come together (pure).

/** full: anything from 0 to the ceiling. decorrelated: from the base to three times the wait before, AWS's other variant. */
export type Jitter = "full" | "decorrelated";

export interface BackoffRule {
  readonly baseMs: number;
  readonly capMs: number;
  readonly jitter: Jitter;
}

/** The tries so far; `START` before the first. */
export interface Backoff {
  readonly tries: number;
  readonly lastMs: number;
}

export const START: Backoff = { tries: 0, lastMs: 0 };

// 2^30 x any base is beyond any cap; it keeps the power a finite number.
const HIGHEST_POWER = 30;

/** The wait before the next try in ms, and the state after it (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
export function backOff(backoff: Backoff, rule: BackoffRule, random: () => number): Backoff & { delayMs: number } {
  const { baseMs, capMs, jitter } = rule;
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(backoff.tries, HIGHEST_POWER));
  const last = Math.max(backoff.lastMs, baseMs);
  const delayMs = jitter === "full" ? random() * ceiling : Math.min(capMs, baseMs + random() * (last * 3 - baseMs));
  return { tries: backoff.tries + 1, lastMs: delayMs, delayMs };
}
