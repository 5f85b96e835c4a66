// Channels that Discord does not let the bot write in, remembered until an event may have changed that (pure).

// An event may have been missed; after an hour one message finds out.
const REMEMBERED_MS = 3_600_000;
const MOST_CHANNELS = 5_000;

export interface Access {
  isDenied(channelId: string, now: number): boolean;
  deny(channelId: string, guildId: string, now: number): void;
  /** Something about the channel has changed. */
  channelChanged(channelId: string): void;
  /** Something about the whole server has changed: a role, or the bot itself. */
  guildChanged(guildId: string): void;
}

export function createAccess(): Access {
  const denied = new Map<string, { readonly guildId: string; readonly until: number }>();
  return {
    isDenied: (channelId, now) => (denied.get(channelId)?.until ?? 0) > now,
    deny(channelId, guildId, now) {
      denied.delete(channelId);
      denied.set(channelId, { guildId, until: now + REMEMBERED_MS });
      const [oldest] = denied.keys();
      if (denied.size > MOST_CHANNELS && oldest !== undefined) denied.delete(oldest);
    },
    channelChanged: (channelId) => void denied.delete(channelId),
    guildChanged(guildId) {
      for (const [channelId, entry] of denied) if (entry.guildId === guildId) denied.delete(channelId);
    },
  };
}
