// Whether a request that failed may be sent again, and when: never where it could be carried out twice.

import type { Method } from "./route.ts";

/** How an attempt ended without a usable answer. */
export type FaultKind = "network" | "timeout" | "badResponse" | "serverError";

export interface Attempt {
  readonly method: Method;
  readonly nonced: boolean;
  readonly fault: FaultKind;
  /** Whether any byte may have left: without one, nothing can have happened. */
  readonly sent: boolean;
  /** Faults of this call so far, this one included. */
  readonly faults: number;
  /** Milliseconds since the call was first sent. */
  readonly sinceFirstMs: number;
}

// RFC 9110, 9.2.2. PATCH is not among them.
const IDEMPOTENT: ReadonlySet<Method> = new Set(["GET", "PUT", "DELETE"]);
/** Discord remembers a nonce for "a few minutes" (resources/message#create-message): two are safe. */
const NONCE_MS = 120_000;
const MOST_FAULTS = 4;
const BASE_MS = 500;
const LONGEST_MS = 10_000;

/** Milliseconds until the next attempt (full jitter), or undefined when there must be none. `random` is in [0, 1). */
export function retryDelay(attempt: Attempt, random: number): number | undefined {
  if (attempt.faults > MOST_FAULTS) return undefined;
  const nonced = attempt.nonced && attempt.sinceFirstMs < NONCE_MS - LONGEST_MS;
  if (attempt.sent && !IDEMPOTENT.has(attempt.method) && !nonced) return undefined;
  return Math.round(random * Math.min(LONGEST_MS, BASE_MS * 2 ** attempt.faults));
}

/**
 * Retries of the whole client, so that an outage is not answered with several times the traffic: each call that is
 * sent for the first time earns a tenth of a retry, up to a hundred saved, and the client starts with them.
 */
export class RetryBudget {
  #left = 100;

  earned(): void {
    this.#left = Math.min(100, this.#left + 0.1);
  }

  /** Takes one; false when none is left. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
