// Whether every Retry-After was kept: noted apart from what schedules by them, so that a mistake there shows here.

import type { Route } from "./route.ts";
import type { LimitScope } from "./verdict.ts";

export class RetryAfterCheck {
  readonly #ends = new Map<string, number>();

  get size(): number {
    return this.#ends.size;
  }

  /** A 429 asked to wait until then (monotonic ms). */
  told(route: Route, scope: LimitScope, until: number): void {
    for (const key of keys(route, scope)) this.#ends.set(key, Math.max(until, this.#ends.get(key) ?? 0));
  }

  /** Whether sending now breaks a wait. */
  broken(route: Route, now: number): boolean {
    if (this.#ends.size === 0) return false;
    const all = [...keys(route, "user"), ...keys(route, "sublimit"), ...keys(route, "global")];
    return all.some((key) => (this.#ends.get(key) ?? 0) > now);
  }

  /** Forgets waits that are over. */
  prune(now: number): void {
    for (const [key, until] of this.#ends) if (until <= now) this.#ends.delete(key);
  }
}

function keys(route: Route, scope: LimitScope): readonly string[] {
  if (scope === "sublimit") return route.kinds.map((kind) => `${route.major} ${kind} (sub-limit)`);
  if (scope === "global" && !route.exempt) return ["global"];
  return [`${route.major} ${route.key}`];
}
