// What a message is to the bot: nothing, a command, or a question with its words (pure).

import { sanitise } from "./sanitise.ts";

/** The part of a MESSAGE_CREATE that the decision rests on (resources/message#message-object). */
export interface IncomingMessage {
  readonly id: string;
  readonly channel_id: string;
  readonly guild_id?: string;
  readonly type?: number;
  readonly content: string;
  readonly webhook_id?: string;
  readonly author: { readonly id: string; readonly bot?: boolean };
  readonly mentions: readonly { readonly id: string }[];
  readonly attachments?: readonly unknown[];
  readonly sticker_items?: readonly unknown[];
}

export const COMMANDS = ["ignore", "stop", "start", "status", "reboot"] as const;
export type CommandName = (typeof COMMANDS)[number];

export type Decision =
  | { readonly kind: "nothing" }
  | { readonly kind: "command"; readonly name: CommandName }
  | { readonly kind: "question"; readonly text: string }
  /** Meant for the bot, with nothing in it that can be read. */
  | { readonly kind: "wordless"; readonly mentioned: boolean }
  /** Nothing came although somebody wrote in a channel that is to be answered: the content is withheld. */
  | { readonly kind: "withheld" };

const NOTHING: Decision = { kind: "nothing" };
// resources/message#message-types: what a person writes is a default message or a reply; the rest is Discord's own news.
const WRITTEN = new Set<number | undefined>([undefined, 0, 19]);

/** @param isMeant whether every message there is meant for the bot; elsewhere only one that mentions it is. */
export function decide(message: IncomingMessage, botUserId: string | undefined, isMeant: boolean): Decision {
  const { author, mentions, content } = message;
  if (botUserId === undefined || author.id === botUserId || author.bot === true || message.webhook_id !== undefined) {
    return NOTHING;
  }
  if (message.guild_id === undefined || !WRITTEN.has(message.type)) return NOTHING;
  const mentioned = mentions.some(({ id }) => id === botUserId);
  if (!mentioned && !isMeant) return NOTHING;
  // Discord leaves content and attachments empty without the intent (events/gateway#message-content-intent).
  const isBare = content === "" && !message.attachments?.length && !message.sticker_items?.length;
  if (isBare && !mentioned) return { kind: "withheld" };
  const words = content.replaceAll(new RegExp(`<@!?${botUserId}>`, "g"), " ").trim();
  const command = /^\$([a-z]+)(?![\w$])/i.exec(words)?.[1]?.toLowerCase();
  const name = COMMANDS.find((known) => known === command);
  if (name !== undefined) return { kind: "command", name };
  const text = sanitise(words);
  return text === "" ? { kind: "wordless", mentioned } : { kind: "question", text };
}
