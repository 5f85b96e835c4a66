// Whether a bucket leaks, by what its own answers say: only then its slots come back one by one, and may be used so.
//
// No header tells a leaking bucket from a fixed window, but the numbers do. In a leaking one Reset-After is the time to
// the full refill: a slot's worth for each request that it still holds. So the first request into a full bucket reads a
// slot's length, and each later answer must lie within as many slots as Remaining says are taken. In a fixed window, or
// in a log of the last requests, the first one reads the whole window, and none after it reads more: the same test fails.

import type { LimitHeaders } from "./verdict.ts";

/** Answers that must agree before it is believed. */
const PROOFS = 2;
// The headers have whole milliseconds, and nobody says how they are rounded.
const ROUNDING_MS = 1;

export type Pace =
  /** An answer contradicted it. */
  { readonly kind: "refuted" } | { readonly kind: "seen"; readonly slotMs: number; readonly proofs: number };

/** A hundred thousand channels read the same slot first: one object serves them all. */
let latestFirst: Pace & { readonly kind: "seen" } = { kind: "seen", slotMs: 0, proofs: 0 };

function first(slotMs: number): Pace {
  if (latestFirst.slotMs !== slotMs) latestFirst = { kind: "seen", slotMs, proofs: 0 };
  return latestFirst;
}

/** Takes in one answer's numbers; undefined while no request into a full bucket was seen. */
export function observePace(pace: Pace | undefined, limits: LimitHeaders): Pace | undefined {
  if (pace?.kind === "refuted") return pace;
  const { limit, remaining, resetAfterMs } = limits;
  const taken = limit - remaining;
  if (pace === undefined) {
    const readable = taken === 1 && limit > 1 && resetAfterMs > 2 * ROUNDING_MS;
    return readable ? first(resetAfterMs) : undefined;
  }
  const { slotMs, proofs } = pace;
  const most = taken * (slotMs + ROUNDING_MS) + ROUNDING_MS;
  // The first request into a full bucket takes exactly one slot; later ones find slots that are partly back.
  const least = taken === 1 ? slotMs - 2 * ROUNDING_MS : (taken - 1) * (slotMs - ROUNDING_MS) - ROUNDING_MS;
  if (resetAfterMs < least || resetAfterMs > most) return { kind: "refuted" };
  if (taken === 1) return { kind: "seen", slotMs: Math.min(slotMs, resetAfterMs), proofs };
  // Within the rounding of a whole number of slots it proves nothing.
  const clear = resetAfterMs > (taken - 1) * (slotMs + ROUNDING_MS) + ROUNDING_MS;
  return clear && proofs < PROOFS ? { kind: "seen", slotMs, proofs: proofs + 1 } : pace;
}

/** How long one slot takes to come back, at least; undefined unless the bucket is proven to leak. */
export function slotOf(pace: Pace | undefined): number | undefined {
  return pace?.kind === "seen" && pace.proofs >= PROOFS ? pace.slotMs - ROUNDING_MS : undefined;
}
