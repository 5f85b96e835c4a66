// The presence that a shard should show: only the newest wish counts, and Discord's limit on updates is kept (pure).

import type { Presence } from "../defineBot.ts";

/**
 * 5 updates per 20 s per session, more are dropped without a word (events/gateway-events#activity-object). The first one
 * goes at once and the others this far apart, so that updates which the network holds up for 5 s still keep to it.
 */
const GAP_MS = 5_000;

export interface PresenceKeeper {
  want(presence: Presence): void;
  /** What an IDENTIFY carries; undefined: nothing was ever wished for. */
  wanted(): Presence | undefined;
  /** A session is ready: assert the presence again, for it may have been lost on the way. */
  assert(): void;
  /** The update to send now; it is not counted until `sent`. */
  due(now: number): Presence | undefined;
  sent(now: number): void;
  /** When the next update may go; null: none waits. */
  nextAt(now: number): number | null;
}

export function presenceKeeper(): PresenceKeeper {
  let desired: Presence | undefined;
  let pending = false;
  let next = Number.NEGATIVE_INFINITY;

  return {
    want(presence) {
      pending ||= JSON.stringify(presence) !== JSON.stringify(desired);
      desired = presence;
    },
    wanted: () => desired,
    assert() {
      pending = desired !== undefined;
    },
    due: (now) => (pending && next <= now ? desired : undefined),
    sent(now) {
      pending = false;
      next = now + GAP_MS;
    },
    nextAt: (now) => (pending ? Math.max(now, next) : null),
  };
}
