// A circuit breaker: after enough failures it lets one probe through at a time, until one succeeds (pure).

export interface BreakerRule {
  /** Failures within the window that open it. */
  readonly failures: number;
  readonly windowMs: number;
  /** Longest gap between probes; the n-th gap is chosen from half to all of min(longest, 1 s x 2^n). */
  readonly longestGapMs: number;
}

/** closed: all may try. open: nobody until `probeAt`, then one. probing: that one is out and its outcome is awaited. */
export type Breaker =
  | { readonly kind: "closed"; readonly failedAt: readonly number[] }
  | { readonly kind: "open"; readonly since: number; readonly probes: number; readonly probeAt: number }
  | { readonly kind: "probing"; readonly since: number; readonly probes: number; readonly probeEndsAt: number };

export const CLOSED: Breaker = { kind: "closed", failedAt: [] };

const FIRST_GAP_MS = 1_000;
// A gap of 2^20 s is beyond any longest gap; it keeps the power finite.
const HIGHEST_POWER = 20;

function gap(probes: number, rule: BreakerRule, random: () => number): number {
  const ceiling = Math.min(rule.longestGapMs, FIRST_GAP_MS * 2 ** Math.min(probes, HIGHEST_POWER));
  return ceiling * (0.5 + random() / 2);
}

/** Opens it at once, or moves the next probe no nearer than `notBefore`. */
export function open(breaker: Breaker, now: number, rule: BreakerRule, random: () => number, notBefore = now): Breaker {
  const probes = breaker.kind === "closed" ? 0 : breaker.probes;
  const since = breaker.kind === "closed" ? now : breaker.since;
  return { kind: "open", since, probes: probes + 1, probeAt: Math.max(notBefore, now + gap(probes, rule, random)) };
}

/** Something failed. */
export function fail(breaker: Breaker, now: number, rule: BreakerRule, random: () => number): Breaker {
  if (breaker.kind === "probing") return open(breaker, now, rule, random);
  if (breaker.kind === "open") return breaker;
  const failedAt = [...breaker.failedAt.filter((at) => now - at < rule.windowMs), now];
  return failedAt.length >= rule.failures ? open(CLOSED, now, rule, random) : { kind: "closed", failedAt };
}

/** Something succeeded: it works again. */
export function succeed(breaker: Breaker): Breaker {
  return breaker.kind === "closed" && breaker.failedAt.length === 0 ? breaker : CLOSED;
}

/** Whether one may try now. A probe that never reports is given up at `probeEndsAt`. */
export function mayTry(breaker: Breaker, now: number): boolean {
  if (breaker.kind === "closed") return true;
  return now >= (breaker.kind === "open" ? breaker.probeAt : breaker.probeEndsAt);
}

/** One tries; while it is not closed, that is the only probe until it reports or `probeMs` have passed. */
export function tried(breaker: Breaker, now: number, probeMs: number): Breaker {
  if (breaker.kind === "closed") return breaker;
  return { kind: "probing", since: breaker.since, probes: breaker.probes, probeEndsAt: now + probeMs };
}
