// The users of a rehearsed bot: one question a channel every 30 s, evenly, in words that a drill may change.

import type { Cancel, Clock } from "../../bot/clock.ts";
import type { SimulatedDiscord } from "../discord/index.ts";

// Two servers with three channels each: enough that a REST fault is noticed within seconds, far below any limit.
export const SERVERS = 2;
export const CHANNELS = 3;
const QUESTION_EVERY_MS = 30_000 / (SERVERS * CHANNELS);

export interface Traffic {
  /** Questions so far. */
  asked(): number;
  /** Their messages' ids. */
  readonly sent: readonly string[];
  /** Begins; once is enough. */
  open(): void;
  /** One question every so many ms from now on. */
  hurry(everyMs: number): void;
  /** Nobody asks any more. */
  hush(): void;
  /** The words of the questions from now on. */
  usersAsk(words: string): void;
  /** One message besides the questions. */
  say(content: string): void;
}

export function createTraffic(discord: SimulatedDiscord, clock: Clock, ended: AbortSignal): Traffic {
  const places = [...discord.world.guilds.values()].flatMap(({ id, channels }) =>
    channels.map((channel) => ({ guildId: id, channelId: channel.id, authorId: discord.world.addMember(id).id })),
  );
  const sent: string[] = [];
  let everyMs = QUESTION_EVERY_MS;
  let words = "how are you";
  let isOpen = false;
  let cancel: Cancel = () => {};

  const ask = (): void => {
    const place = places[sent.length % places.length];
    if (ended.aborted || place === undefined) return;
    sent.push(discord.sendMessage({ ...place, content: `${words}, ${sent.length + 1}?`, mentionsBot: true }));
    cancel = clock.schedule(everyMs, ask);
  };

  return {
    asked: () => sent.length,
    sent,
    open() {
      if (isOpen) return;
      isOpen = true;
      ask();
    },
    hurry(nextMs) {
      everyMs = nextMs;
      cancel();
      ask();
    },
    hush: () => cancel(),
    usersAsk: (next) => {
      words = next;
    },
    say(content) {
      const [place] = places;
      if (place !== undefined) discord.sendMessage({ ...place, content, mentionsBot: true });
    },
  };
}
