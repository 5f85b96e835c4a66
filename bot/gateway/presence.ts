// The presence that a shard should show: only the newest wish counts, and Discord's limit on updates is kept (pure).

import type { Presence } from "../defineBot.ts";

/**
 * 5 updates per 20 s per session, more are dropped without a word (events/gateway-events#activity-object). The first one
 * goes at once and the others this far apart, so that updates which the network holds up for 5 s still keep to it.
 */
const GAP_MS = 5_000;

export class PresenceKeeper {
  #wanted: Presence | undefined;
  #pending = false;
  #next = Number.NEGATIVE_INFINITY;

  want(presence: Presence): void {
    this.#pending ||= JSON.stringify(presence) !== JSON.stringify(this.#wanted);
    this.#wanted = presence;
  }

  /** What an IDENTIFY carries; undefined: nothing was ever wished for. */
  wanted(): Presence | undefined {
    return this.#wanted;
  }

  /** A session is ready: assert the presence again, for it may have been lost on the way. */
  assert(): void {
    this.#pending = this.#wanted !== undefined;
  }

  /** The update to send now; it is not counted until `sent`. */
  due(now: number): Presence | undefined {
    return this.#pending && this.#next <= now ? this.#wanted : undefined;
  }

  sent(now: number): void {
    this.#pending = false;
    this.#next = now + GAP_MS;
  }

  /** When the next update may go; null: none waits. */
  nextAt(now: number): number | null {
    return this.#pending ? Math.max(now, this.#next) : null;
  }
}
