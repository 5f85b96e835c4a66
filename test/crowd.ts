// A crowd for the simulated Discord: a thousand users who write what people write, in a mix that a seed decides.

import type { SimulatedDiscord } from "./discord/index.ts";

export interface Asked {
  readonly id: string;
  /** The question reads `question-<number>`. */
  readonly number: number;
  readonly channelId: string;
}

export interface Crowd {
  /** Questions that must be answered or refused, in order. */
  readonly asked: readonly Asked[];
  /** Commands of those who may use them: each gets one reply. */
  readonly commands: readonly string[];
  /** Everything else that was written: nothing of it may get an answer. */
  readonly silent: ReadonlySet<string>;
  /** So many messages at once, spread over all servers and channels. */
  write(count: number): void;
}

export interface Reply {
  /** The message that it answers. */
  readonly to: string;
  readonly content: string;
}

const USERS = 1_000;

/** The same numbers for the same seed, in [0, 1) (a linear congruential generator, Numerical Recipes' constants). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** Its users join when it writes first. */
export function createCrowd(discord: SimulatedDiscord, seed: number): Crowd {
  const random = seeded(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item;
  const guilds = [...discord.world.guilds.values()];
  let users: readonly string[] = [];
  const asked: Asked[] = [];
  const commands: string[] = [];
  const silent = new Set<string>();

  const say = (content: string, mentionsBot: boolean, byOwner = false): { id: string; channelId: string } => {
    const guild = pick(guilds);
    const channelId = pick(guild.channels).id;
    const authorId = byOwner ? guild.ownerId : pick(users);
    return { id: discord.sendMessage({ guildId: guild.id, channelId, authorId, content, mentionsBot }), channelId };
  };
  const question = (content: (number: number) => string): void => {
    const number = asked.length + 1;
    asked.push({ number, ...say(content(number), true) });
  };
  const kinds: readonly (readonly [share: number, write: () => void])[] = [
    [0.55, () => question((of) => `question-${of}`)],
    [0.7, () => question((of) => `👋🏽 question-${of} <:blob:123456789012345678> https://tenor.com/view/x-gif-1`)],
    [0.8, () => void silent.add(say("just talking", false).id)],
    [0.89, () => void silent.add(say("$ignore what I say", true).id)],
    // A server's owner moderates it.
    [0.9, () => void commands.push(say("$status", true, true).id)],
    [1, () => void silent.add(say("👍🎉", false).id)],
  ];
  return {
    asked,
    commands,
    silent,
    write(count) {
      if (users.length === 0) users = Array.from({ length: USERS }, () => discord.world.addUser().id);
      for (let index = 0; index < count; index++) {
        const dice = random();
        kinds.find(([share]) => dice < share)?.[1]();
      }
    },
  };
}

/** What the bot wrote in a channel, in order. */
export function repliesIn(discord: SimulatedDiscord, channelId: string): readonly Reply[] {
  return [...discord.world.channel(channelId).messages.values()]
    .filter(({ author }) => author.id === discord.world.bot.id)
    .map(({ data }) => ({
      to: String(Object(data["message_reference"]).message_id),
      content: String(data["content"]),
    }));
}

/** What the bot wrote anywhere, in order for each channel. */
export const allReplies = (discord: SimulatedDiscord): readonly Reply[] =>
  [...discord.world.channels.keys()].flatMap((channelId) => repliesIn(discord, channelId));
