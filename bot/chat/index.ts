// The bundled bot: an AI chat bot that answers whoever mentions it. Replace this module with your own by BOT_MODULE.

import { APPLICATION } from "../../shared/application.ts";
import { type Bot, defineBot } from "../defineBot.ts";
import { type Chat, createChat } from "./chat.ts";
import { onInteraction, registerCommands } from "./interactions.ts";

/** One for each run; a run that follows another in the same process begins anew. */
const chats = new WeakMap<Bot, Chat>();
let latest: Chat | undefined;

const chatOf = (bot: Bot): Chat => {
  const chat = chats.get(bot) ?? createChat(bot);
  chats.set(bot, chat);
  latest = chat;
  return chat;
};

const registered = new WeakSet<Bot>();

/** Once a run, not waited for: what comes next on that shard has nothing to do with it. */
function register(bot: Bot, applicationId: string | undefined): void {
  if (registered.has(bot)) return;
  registered.add(bot);
  void registerCommands(bot, applicationId);
}

export default defineBot({
  intents: ({ CHAT_CHANNELS }) =>
    CHAT_CHANNELS === undefined ? APPLICATION.intents : [...APPLICATION.intents, ...APPLICATION.optionalIntents],
  optionalIntents: APPLICATION.optionalIntents,
  permissions: APPLICATION.permissions,
  // An interaction must be answered within 3 s, so it waits for no message.
  key: (type, data) => (type === "INTERACTION_CREATE" ? `interaction ${idOf(data)}` : undefined),
  start: (bot) => chatOf(bot).start(),
  onDispatch(_shard, _sequence, type, data) {
    if (type === "MESSAGE_CREATE") latest?.arrived(idOf(data));
    else latest?.saw(type, data);
  },
  handlers: {
    READY: (ready, bot) => register(bot, ready.application.id),
    RESUMED: (_resumed, bot) => register(bot, undefined),
    MESSAGE_CREATE: (message, bot, context) => chatOf(bot).onMessage(message, context),
    INTERACTION_CREATE: (interaction, bot) => onInteraction(bot, chatOf(bot), interaction),
    // Its threads' permissions are the channel's (topics/threads), and which they are is not remembered.
    CHANNEL_UPDATE: ({ guild_id }, bot) => chatOf(bot).guildChanged(guild_id),
    CHANNEL_DELETE: (channel, bot) => chatOf(bot).channelChanged(channel.id),
    THREAD_UPDATE: (thread, bot) => chatOf(bot).channelChanged(thread.id),
    GUILD_CREATE: (guild, bot) => chatOf(bot).guildChanged(guild.id),
    GUILD_ROLE_UPDATE: ({ guild_id }, bot) => chatOf(bot).guildChanged(guild_id),
    GUILD_ROLE_DELETE: ({ guild_id }, bot) => chatOf(bot).guildChanged(guild_id),
    GUILD_MEMBER_UPDATE: ({ guild_id }, bot) => chatOf(bot).guildChanged(guild_id),
  },
});

function idOf(data: unknown): string {
  const id = typeof data === "object" && data !== null ? Reflect.get(data, "id") : undefined;
  return typeof id === "string" ? id : "";
}
