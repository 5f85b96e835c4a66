// Shows in a channel that the bot is thinking, for as long as it is, and no more often than is seen.

import type { Cancel, Clock } from "../clock.ts";

// The indicator lasts 10 s (resources/channel#trigger-typing-indicator).
const REPEAT_MS = 8_000;

/** Begins to show it; the returned function ends that. Several at once in one channel are one. */
export function createTyping(clock: Clock, show: (channelId: string) => void): (channelId: string) => () => void {
  const thinking = new Map<string, { users: number; cancel: Cancel }>();

  const repeat = (channelId: string): Cancel =>
    clock.schedule(REPEAT_MS, () => {
      const found = thinking.get(channelId);
      if (found === undefined) return;
      show(channelId);
      found.cancel = repeat(channelId);
    });

  return (channelId) => {
    const found = thinking.get(channelId);
    if (found !== undefined) found.users++;
    else {
      show(channelId);
      thinking.set(channelId, { users: 1, cancel: repeat(channelId) });
    }
    let over = false;
    return () => {
      const kept = thinking.get(channelId);
      if (over || kept === undefined) return;
      over = true;
      if (--kept.users > 0) return;
      kept.cancel();
      thinking.delete(channelId);
    };
  };
}
