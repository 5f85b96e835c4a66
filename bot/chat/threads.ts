// Which threads belong to the channels in which every message is meant for the bot: events tell, else Discord is asked once.

import type { Bot } from "../defineBot.ts";
import { channelCall } from "./routes.ts";

/** The part of a channel object that tells a thread (resources/channel#channel-object). */
export interface ChannelPart {
  readonly type: number;
  readonly parent_id?: string | null | undefined;
}

export interface Threads {
  /** Whether messages there are meant for the bot: it is one of those channels, or a thread of one. */
  isMeant(channelId: string, guildId: string | undefined): boolean | Promise<boolean>;
  /** A dispatch, at once: a thread's first message may be handled before the event that tells of the thread. */
  saw(type: string, data: unknown): void;
}

/** Threads of three kinds (resources/channel#channel-types). */
const THREADS = new Set([10, 11, 12]);
// A server has at most 1,000 active threads; what is not remembered is asked for again.
const MOST_KEPT = 10_000;

/** The channel that a thread stands in; undefined for what is no thread. */
export function parentOf({ type, parent_id }: ChannelPart): string | undefined {
  return THREADS.has(type) && typeof parent_id === "string" ? parent_id : undefined;
}

export function createThreads(bot: Pick<Bot, "rest">, channels: ReadonlySet<string>): Threads {
  const ours = new Set<string>();
  // Channels that were asked for, and servers of which GUILD_CREATE has told every thread: neither is asked for again.
  const others = new Set<string>();
  const known = new Set<string>();

  const learn = (id: string, channel: ChannelPart): void => {
    const parent = parentOf(channel);
    keep(parent !== undefined && channels.has(parent) ? ours : others, id);
  };

  async function ask(channelId: string): Promise<boolean> {
    try {
      learn(channelId, await bot.rest.request<ChannelPart>(channelCall(channelId)));
    } catch {
      // Perhaps the next message finds out; until then a mention is answered, as everywhere.
    }
    return ours.has(channelId);
  }

  return {
    isMeant(channelId, guildId) {
      if (channels.size === 0 || guildId === undefined) return false;
      if (channels.has(channelId) || ours.has(channelId)) return true;
      return known.has(guildId) || others.has(channelId) ? false : ask(channelId);
    },
    saw(type, data) {
      if (channels.size === 0 || !/^(THREAD_(CREATE|UPDATE|LIST_SYNC)|GUILD_CREATE)$/.test(type)) return;
      const { id, threads }: { readonly id?: unknown; readonly threads?: unknown } = Object(data);
      for (const thread of Array.isArray(threads) ? threads : [data]) {
        const part: { readonly id?: unknown; readonly type?: unknown; readonly parent_id?: unknown } = Object(thread);
        if (typeof part.id !== "string" || typeof part.type !== "number" || typeof part.parent_id !== "string")
          continue;
        learn(part.id, { type: part.type, parent_id: part.parent_id });
      }
      if (type === "GUILD_CREATE" && typeof id === "string") keep(known, id);
    },
  };
}

function keep(set: Set<string>, id: string): void {
  set.add(id);
  const [oldest] = set;
  if (set.size > MOST_KEPT && oldest !== undefined) set.delete(oldest);
}
