// Discord's own numbers: opcodes, close codes, intents, and which intent each event needs (topics/opcodes-and-status-codes, events/gateway).

export const OP = {
  dispatch: 0,
  heartbeat: 1,
  identify: 2,
  presenceUpdate: 3,
  voiceStateUpdate: 4,
  resume: 6,
  reconnect: 7,
  requestGuildMembers: 8,
  invalidSession: 9,
  hello: 10,
  heartbeatAck: 11,
  requestSoundboardSounds: 31,
  requestChannelInfo: 43,
} as const;

export const CLOSE = {
  unknownError: 4000,
  unknownOpcode: 4001,
  decodeError: 4002,
  notAuthenticated: 4003,
  authenticationFailed: 4004,
  alreadyAuthenticated: 4005,
  invalidSequence: 4007,
  rateLimited: 4008,
  sessionTimedOut: 4009,
  invalidShard: 4010,
  shardingRequired: 4011,
  invalidVersion: 4012,
  invalidIntents: 4013,
  disallowedIntents: 4014,
} as const;

/** Codes after which a client must not come back by itself (topics/opcodes-and-status-codes#gateway-close-event-codes). */
export const FATAL_CLOSE_CODES: ReadonlySet<number> = new Set([4004, 4010, 4011, 4012, 4013, 4014]);

/** Codes by which the server itself says that the session is gone. */
export const SESSION_ENDING_CLOSE_CODES: ReadonlySet<number> = new Set([4003, 4007, 4009]);

const bit = (position: number): number => 1 << position;

export const INTENT = {
  guilds: bit(0),
  guildMembers: bit(1),
  guildModeration: bit(2),
  guildExpressions: bit(3),
  guildIntegrations: bit(4),
  guildWebhooks: bit(5),
  guildInvites: bit(6),
  guildVoiceStates: bit(7),
  guildPresences: bit(8),
  guildMessages: bit(9),
  guildMessageReactions: bit(10),
  guildMessageTyping: bit(11),
  directMessages: bit(12),
  directMessageReactions: bit(13),
  directMessageTyping: bit(14),
  messageContent: bit(15),
  guildScheduledEvents: bit(16),
  autoModerationConfiguration: bit(20),
  autoModerationExecution: bit(21),
  guildMessagePolls: bit(24),
  directMessagePolls: bit(25),
} as const;

export const ALL_INTENTS: number = Object.values(INTENT).reduce((all, one) => all | one, 0);
export const PRIVILEGED_INTENTS: number = INTENT.guildMembers | INTENT.guildPresences | INTENT.messageContent;

interface Needs {
  readonly guild: number;
  readonly direct?: number;
}

const NEEDS: Readonly<Record<string, Needs>> = {
  ...each(INTENT.guilds, [
    "GUILD_CREATE",
    "GUILD_UPDATE",
    "GUILD_DELETE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_UPDATE",
    "GUILD_ROLE_DELETE",
    "CHANNEL_CREATE",
    "CHANNEL_UPDATE",
    "CHANNEL_DELETE",
    "THREAD_CREATE",
    "THREAD_UPDATE",
    "THREAD_DELETE",
    "THREAD_LIST_SYNC",
    "THREAD_MEMBER_UPDATE",
    "STAGE_INSTANCE_CREATE",
    "STAGE_INSTANCE_UPDATE",
    "STAGE_INSTANCE_DELETE",
  ]),
  CHANNEL_PINS_UPDATE: { guild: INTENT.guilds, direct: INTENT.directMessages },
  THREAD_MEMBERS_UPDATE: { guild: INTENT.guilds | INTENT.guildMembers },
  ...each(INTENT.guildMembers, ["GUILD_MEMBER_ADD", "GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE"]),
  ...each(INTENT.guildModeration, ["GUILD_AUDIT_LOG_ENTRY_CREATE", "GUILD_BAN_ADD", "GUILD_BAN_REMOVE"]),
  ...each(INTENT.guildExpressions, [
    "GUILD_EMOJIS_UPDATE",
    "GUILD_STICKERS_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_CREATE",
    "GUILD_SOUNDBOARD_SOUND_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_DELETE",
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
  ]),
  ...each(INTENT.guildIntegrations, [
    "GUILD_INTEGRATIONS_UPDATE",
    "INTEGRATION_CREATE",
    "INTEGRATION_UPDATE",
    "INTEGRATION_DELETE",
  ]),
  ...each(INTENT.guildWebhooks, ["WEBHOOKS_UPDATE"]),
  ...each(INTENT.guildInvites, ["INVITE_CREATE", "INVITE_DELETE"]),
  ...each(INTENT.guildVoiceStates, ["VOICE_STATE_UPDATE", "VOICE_CHANNEL_EFFECT_SEND"]),
  ...each(INTENT.guildPresences, ["PRESENCE_UPDATE"]),
  ...each(INTENT.guildMessages, ["MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"], INTENT.directMessages),
  ...each(INTENT.guildMessages, ["MESSAGE_DELETE_BULK"]),
  ...each(
    INTENT.guildMessageReactions,
    ["MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE", "MESSAGE_REACTION_REMOVE_ALL", "MESSAGE_REACTION_REMOVE_EMOJI"],
    INTENT.directMessageReactions,
  ),
  ...each(INTENT.guildMessageTyping, ["TYPING_START"], INTENT.directMessageTyping),
  ...each(INTENT.guildScheduledEvents, [
    "GUILD_SCHEDULED_EVENT_CREATE",
    "GUILD_SCHEDULED_EVENT_UPDATE",
    "GUILD_SCHEDULED_EVENT_DELETE",
    "GUILD_SCHEDULED_EVENT_USER_ADD",
    "GUILD_SCHEDULED_EVENT_USER_REMOVE",
  ]),
  ...each(INTENT.autoModerationConfiguration, [
    "AUTO_MODERATION_RULE_CREATE",
    "AUTO_MODERATION_RULE_UPDATE",
    "AUTO_MODERATION_RULE_DELETE",
  ]),
  ...each(INTENT.autoModerationExecution, ["AUTO_MODERATION_ACTION_EXECUTION"]),
  ...each(INTENT.guildMessagePolls, ["MESSAGE_POLL_VOTE_ADD", "MESSAGE_POLL_VOTE_REMOVE"], INTENT.directMessagePolls),
};

function each(guild: number, types: readonly string[], direct?: number): Record<string, Needs> {
  return Object.fromEntries(types.map((type) => [type, direct === undefined ? { guild } : { guild, direct }]));
}

/** Whether a session with these intents gets this event; an event that no intent names goes to everyone. */
export function wantsEvent(intents: number, type: string, inGuild: boolean): boolean {
  const needs = NEEDS[type];
  if (needs === undefined) return true;
  const mask = inGuild ? needs.guild : (needs.direct ?? needs.guild);
  return (intents & mask) !== 0;
}

/** topics/sharding: shard_id = (guild_id >> 22) % num_shards; ids pass 2^53, so BigInt. */
export function shardOf(guildId: string, shardCount: number): number {
  return Number((BigInt(guildId) >> 22n) % BigInt(shardCount));
}

const DISCORD_EPOCH_MS = 1_420_070_400_000n;

/** A snowflake for a wall time in ms since 1970 and a counter below 2^22. */
export function snowflake(wallMs: number, counter: number): string {
  return (((BigInt(Math.floor(wallMs)) - DISCORD_EPOCH_MS) << 22n) | BigInt(counter % 4_194_304)).toString();
}

/** Wall time in ms since 1970 at which a snowflake was made. */
export function snowflakeTime(id: string): number {
  return Number((BigInt(id) >> 22n) + DISCORD_EPOCH_MS);
}
