// The presence that a shard should show: only the newest wish counts, and Discord's limit on updates is kept (pure).

import type { Presence } from "../defineBot.ts";

/** 5 updates per 20 s per session, more are dropped without a word (events/gateway-events#activity-object). */
const MOST_UPDATES = 5;
/** A little more than Discord's window, since it counts on arrival and we on departure. */
const WINDOW_MS = 20_500;

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
  let updates: number[] = [];

  const roomAt = (now: number): number => {
    updates = updates.filter((at) => now - at < WINDOW_MS);
    const blocking = updates[updates.length - MOST_UPDATES];
    return blocking === undefined ? now : blocking + WINDOW_MS;
  };

  return {
    want(presence) {
      pending ||= JSON.stringify(presence) !== JSON.stringify(desired);
      desired = presence;
    },
    wanted: () => desired,
    assert() {
      pending = desired !== undefined;
    },
    due: (now) => (pending && roomAt(now) <= now ? desired : undefined),
    sent(now) {
      pending = false;
      updates.push(now);
    },
    nextAt: (now) => (pending ? roomAt(now) : null),
  };
}
