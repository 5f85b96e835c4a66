// The users of a rehearsed bot: one question a channel every 30 s, evenly, in words that a drill may change.

import type { Clock } from "../../bot/clock.ts";
import type { SimulatedDiscord } from "../discord/index.ts";

// Two servers with three channels each: enough that a REST fault is noticed within seconds, far below any limit.
export const SERVERS = 2;
export const CHANNELS = 3;
const QUESTION_EVERY_MS = 30_000 / (SERVERS * CHANNELS);

export interface Traffic {
  /** Questions so far. */
  asked(): number;
  /** Begins; once is enough. */
  open(): void;
  /** The words of the questions from now on. */
  usersAsk(words: string): void;
  /** One message besides the questions. */
  say(content: string): void;
}

export function createTraffic(discord: SimulatedDiscord, clock: Clock, ended: AbortSignal): Traffic {
  const places = [...discord.world.guilds.values()].flatMap(({ id, channels }) =>
    channels.map((channel) => ({ guildId: id, channelId: channel.id, authorId: discord.world.addMember(id).id })),
  );
  let asked = 0;
  let words = "how are you";
  let isOpen = false;

  const ask = (): void => {
    const place = places[asked % places.length];
    if (ended.aborted || place === undefined) return;
    asked += 1;
    discord.sendMessage({ ...place, content: `${words}, ${asked}?`, mentionsBot: true });
    clock.schedule(QUESTION_EVERY_MS, ask);
  };

  return {
    asked: () => asked,
    open() {
      if (isOpen) return;
      isOpen = true;
      ask();
    },
    usersAsk: (next) => {
      words = next;
    },
    say(content) {
      const [place] = places;
      if (place !== undefined) discord.sendMessage({ ...place, content, mentionsBot: true });
    },
  };
}
