// What exists: the application, its servers, channels, users, messages, webhooks and interactions.

import type { Clock } from "../../bot/clock.ts";
import { snowflake } from "./protocol.ts";

export interface User {
  readonly id: string;
  readonly username: string;
  readonly bot: boolean;
}

export interface Channel {
  readonly id: string;
  /** channel types: 0 text, 1 direct, 11 public thread (resources/channel). */
  readonly type: number;
  readonly guildId: string | undefined;
  readonly parentId: string | undefined;
  name: string;
  topic: string | null;
  readonly messages: Map<string, Message>;
  /** The code that the API answers 403 with, if the bot may not act here. */
  denied: number | undefined;
}

export interface Guild {
  readonly id: string;
  readonly name: string;
  readonly ownerId: string;
  readonly channels: Channel[];
  readonly members: Map<string, User>;
  unavailable: boolean;
}

export interface Message {
  readonly id: string;
  readonly channel: Channel;
  readonly author: User;
  /** The rest of the message object; changed by an edit. */
  data: Record<string, unknown>;
  readonly mentionsBot: boolean;
}

export interface Webhook {
  readonly id: string;
  readonly token: string;
  readonly channelId: string;
}

export interface Interaction {
  readonly id: string;
  readonly token: string;
  readonly channelId: string;
  readonly createdAt: number;
  acknowledged: boolean;
  /** After a deferral the first followup becomes the answer. */
  deferred: boolean;
}

/** Kept per channel; older ones are gone, as if deleted. */
const MESSAGES_KEPT = 2_000;
const INTERACTIONS_KEPT = 10_000;

/** A base that every usual shard count divides, so that server i falls on shard i % count. */
const FIRST_GUILD_TIME = 720_720n * 200_000n;

export interface WorldOptions {
  readonly applicationId: string;
  readonly guilds: number;
  readonly channelsPerGuild: number;
}

export class World {
  readonly bot: User;
  readonly applicationId: string;
  readonly guilds = new Map<string, Guild>();
  readonly channels = new Map<string, Channel>();
  readonly users = new Map<string, User>();
  readonly webhooks = new Map<string, Webhook>();
  readonly interactions = new Map<string, Interaction>();
  readonly commands = new Map<string, Record<string, unknown>>();
  readonly #clock: Clock;
  readonly #channelsPerGuild: number;
  #counter = 0;

  constructor(clock: Clock, options: WorldOptions) {
    this.#clock = clock;
    this.#channelsPerGuild = options.channelsPerGuild;
    this.applicationId = options.applicationId;
    this.bot = { id: options.applicationId, username: "mooring", bot: true };
    this.users.set(this.bot.id, this.bot);
    for (let index = 0; index < options.guilds; index++) this.addGuild();
  }

  /** A new id, made now. */
  id(): string {
    return snowflake(this.#clock.wall(), this.#counter++);
  }

  /** Adds a server; its id lies on shard (how many there were) % shard count. */
  addGuild(): Guild {
    const index = this.guilds.size;
    const owner = this.addUser(`owner${index}`);
    const guild: Guild = {
      id: ((FIRST_GUILD_TIME + BigInt(index)) << 22n).toString(),
      name: `Server ${index}`,
      ownerId: owner.id,
      channels: [],
      members: new Map([
        [owner.id, owner],
        [this.bot.id, this.bot],
      ]),
      unavailable: false,
    };
    this.guilds.set(guild.id, guild);
    for (let count = 0; count < this.#channelsPerGuild; count++) this.addChannel(guild.id);
    return guild;
  }

  /** Adds a text channel to a server, or with `parentId` a public thread. */
  addChannel(guildId: string, parentId?: string): Channel {
    const guild = this.guild(guildId);
    const name = parentId === undefined ? `channel-${guild.channels.length}` : `thread-${guild.channels.length}`;
    const channel = this.#channel(parentId === undefined ? 0 : 11, name, guildId, parentId);
    guild.channels.push(channel);
    return channel;
  }

  addDirectChannel(): Channel {
    return this.#channel(1, "direct", undefined, undefined);
  }

  addUser(username = "someone"): User {
    const user: User = { id: this.id(), username, bot: false };
    this.users.set(user.id, user);
    return user;
  }

  addMember(guildId: string, user: User = this.addUser()): User {
    this.guild(guildId).members.set(user.id, user);
    return user;
  }

  addWebhook(channelId: string): Webhook {
    const id = this.id();
    const webhook: Webhook = { id, token: `webhook-token-${id}`, channelId };
    this.webhooks.set(id, webhook);
    return webhook;
  }

  addInteraction(channelId: string): Interaction {
    const id = this.id();
    const token = `interaction-token-${id}`;
    const createdAt = this.#clock.now();
    const interaction: Interaction = { id, token, channelId, createdAt, acknowledged: false, deferred: false };
    this.interactions.set(token, interaction);
    forgetOldest(this.interactions, INTERACTIONS_KEPT);
    return interaction;
  }

  addMessage(channel: Channel, author: User, fields: Record<string, unknown>, mentionsBot = false): Message {
    const id = this.id();
    const data = {
      type: 0,
      content: "",
      embeds: [],
      attachments: [],
      components: [],
      mention_everyone: false,
      mention_roles: [],
      pinned: false,
      tts: false,
      edited_timestamp: null,
      ...fields,
      mentions: mentionsBot ? [userObject(this.bot)] : [],
      timestamp: new Date(this.#clock.wall()).toISOString(),
    };
    const message: Message = { id, channel, author, data, mentionsBot };
    channel.messages.set(id, message);
    forgetOldest(channel.messages, MESSAGES_KEPT);
    return message;
  }

  guild(guildId: string): Guild {
    const guild = this.guilds.get(guildId);
    if (guild === undefined) throw new Error(`no server has the id ${guildId}; world.guilds lists them`);
    return guild;
  }

  channel(channelId: string): Channel {
    const channel = this.channels.get(channelId);
    if (channel === undefined) throw new Error(`no channel has the id ${channelId}; world.channels lists them`);
    return channel;
  }

  user(userId: string): User {
    const user = this.users.get(userId);
    if (user === undefined) throw new Error(`no user has the id ${userId}; world.addUser makes one`);
    return user;
  }

  /** The message as REST and MESSAGE_CREATE give it; `whole` false is what an application without MESSAGE_CONTENT sees. */
  messageObject(message: Message, whole: boolean): Record<string, unknown> {
    const { channel, author, data } = message;
    const visible = whole || author.id === this.bot.id || channel.guildId === undefined || message.mentionsBot;
    const object: Record<string, unknown> = {
      id: message.id,
      channel_id: channel.id,
      author: userObject(author),
      ...data,
    };
    return visible ? object : withoutContent(object);
  }

  #channel(type: number, name: string, guildId: string | undefined, parentId: string | undefined): Channel {
    const id = this.id();
    const channel: Channel = { id, type, guildId, parentId, name, topic: null, messages: new Map(), denied: undefined };
    this.channels.set(id, channel);
    return channel;
  }
}

/** What an application without MESSAGE_CONTENT sees of a message (events/gateway#message-content-intent). */
export function withoutContent(message: Record<string, unknown>): Record<string, unknown> {
  const { poll: _, ...rest } = message;
  return { ...rest, content: "", embeds: [], attachments: [], components: [] };
}

export function userObject(user: User): Record<string, unknown> {
  const { id, username, bot } = user;
  return { id, username, discriminator: "0", global_name: null, avatar: null, bot, public_flags: 0 };
}

export function channelObject(channel: Channel): Record<string, unknown> {
  const { id, type, name, topic, guildId, parentId } = channel;
  const common = { id, type, name, topic, parent_id: parentId ?? null, position: 0, permission_overwrites: [] };
  return guildId === undefined ? common : { ...common, guild_id: guildId };
}

/** GUILD_CREATE's data; without GUILD_PRESENCES its members are the bot alone (events/gateway-events#guild-create). */
export function guildObject(guild: Guild, bot: User): Record<string, unknown> {
  const isThread = (channel: Channel): boolean => channel.parentId !== undefined;
  return {
    id: guild.id,
    name: guild.name,
    owner_id: guild.ownerId,
    member_count: guild.members.size,
    large: false,
    unavailable: false,
    joined_at: "2026-01-01T00:00:00.000000+00:00",
    roles: [{ id: guild.id, name: "@everyone", permissions: "274877991936", position: 0 }],
    channels: guild.channels.filter((channel) => !isThread(channel)).map(channelObject),
    threads: guild.channels.filter(isThread).map(channelObject),
    members: [{ user: userObject(bot), roles: [], joined_at: "2026-01-01T00:00:00.000000+00:00", flags: 0 }],
    emojis: [],
    voice_states: [],
    presences: [],
  };
}

function forgetOldest(map: Map<string, unknown>, limit: number): void {
  if (map.size <= limit) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
