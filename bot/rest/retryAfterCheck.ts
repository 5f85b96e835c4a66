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

  /** How long ago the last wait ended that concerns this request; negative: sending now breaks it. undefined: none is known. */
  margin(route: Route, now: number): number | undefined {
    if (this.#ends.size === 0) return undefined;
    const all = [...keys(route, "user"), ...keys(route, "sublimit"), ...keys(route, "global")];
    const last = Math.max(...all.map((key) => this.#ends.get(key) ?? Number.NEGATIVE_INFINITY));
    return last === Number.NEGATIVE_INFINITY ? undefined : now - last;
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
