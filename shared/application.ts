// What the bundled bot asks Discord for: its gateway intents and its permissions in a server.

/** Gateway intents by Discord's names (events/gateway#list-of-intents). */
export const INTENTS = {
  GUILDS: 1 << 0,
  GUILD_MEMBERS: 1 << 1,
  GUILD_MODERATION: 1 << 2,
  GUILD_EXPRESSIONS: 1 << 3,
  GUILD_INTEGRATIONS: 1 << 4,
  GUILD_WEBHOOKS: 1 << 5,
  GUILD_INVITES: 1 << 6,
  GUILD_VOICE_STATES: 1 << 7,
  GUILD_PRESENCES: 1 << 8,
  GUILD_MESSAGES: 1 << 9,
  GUILD_MESSAGE_REACTIONS: 1 << 10,
  GUILD_MESSAGE_TYPING: 1 << 11,
  DIRECT_MESSAGES: 1 << 12,
  DIRECT_MESSAGE_REACTIONS: 1 << 13,
  DIRECT_MESSAGE_TYPING: 1 << 14,
  MESSAGE_CONTENT: 1 << 15,
  GUILD_SCHEDULED_EVENTS: 1 << 16,
  AUTO_MODERATION_CONFIGURATION: 1 << 20,
  AUTO_MODERATION_EXECUTION: 1 << 21,
  GUILD_MESSAGE_POLLS: 1 << 24,
  DIRECT_MESSAGE_POLLS: 1 << 25,
} as const;

export type IntentName = keyof typeof INTENTS;

/** Intents that the developer portal must switch on, with the switch's name there. */
export const PRIVILEGED_INTENTS = {
  GUILD_MEMBERS: "Server Members Intent",
  GUILD_PRESENCES: "Presence Intent",
  MESSAGE_CONTENT: "Message Content Intent",
} as const satisfies Partial<Record<IntentName, string>>;

export const PRIVILEGED_BITS = INTENTS.GUILD_MEMBERS | INTENTS.GUILD_PRESENCES | INTENTS.MESSAGE_CONTENT;

/** Permissions by Discord's names (topics/permissions); BigInt, since the table passes bit 31. Bits 47 and 48 are unused. */
export const PERMISSIONS = {
  CREATE_INSTANT_INVITE: 1n << 0n,
  KICK_MEMBERS: 1n << 1n,
  BAN_MEMBERS: 1n << 2n,
  ADMINISTRATOR: 1n << 3n,
  MANAGE_CHANNELS: 1n << 4n,
  MANAGE_GUILD: 1n << 5n,
  ADD_REACTIONS: 1n << 6n,
  VIEW_AUDIT_LOG: 1n << 7n,
  PRIORITY_SPEAKER: 1n << 8n,
  STREAM: 1n << 9n,
  VIEW_CHANNEL: 1n << 10n,
  SEND_MESSAGES: 1n << 11n,
  SEND_TTS_MESSAGES: 1n << 12n,
  MANAGE_MESSAGES: 1n << 13n,
  EMBED_LINKS: 1n << 14n,
  ATTACH_FILES: 1n << 15n,
  READ_MESSAGE_HISTORY: 1n << 16n,
  MENTION_EVERYONE: 1n << 17n,
  USE_EXTERNAL_EMOJIS: 1n << 18n,
  VIEW_GUILD_INSIGHTS: 1n << 19n,
  CONNECT: 1n << 20n,
  SPEAK: 1n << 21n,
  MUTE_MEMBERS: 1n << 22n,
  DEAFEN_MEMBERS: 1n << 23n,
  MOVE_MEMBERS: 1n << 24n,
  USE_VAD: 1n << 25n,
  CHANGE_NICKNAME: 1n << 26n,
  MANAGE_NICKNAMES: 1n << 27n,
  MANAGE_ROLES: 1n << 28n,
  MANAGE_WEBHOOKS: 1n << 29n,
  MANAGE_GUILD_EXPRESSIONS: 1n << 30n,
  USE_APPLICATION_COMMANDS: 1n << 31n,
  REQUEST_TO_SPEAK: 1n << 32n,
  MANAGE_EVENTS: 1n << 33n,
  MANAGE_THREADS: 1n << 34n,
  CREATE_PUBLIC_THREADS: 1n << 35n,
  CREATE_PRIVATE_THREADS: 1n << 36n,
  USE_EXTERNAL_STICKERS: 1n << 37n,
  SEND_MESSAGES_IN_THREADS: 1n << 38n,
  USE_EMBEDDED_ACTIVITIES: 1n << 39n,
  MODERATE_MEMBERS: 1n << 40n,
  VIEW_CREATOR_MONETIZATION_ANALYTICS: 1n << 41n,
  USE_SOUNDBOARD: 1n << 42n,
  CREATE_GUILD_EXPRESSIONS: 1n << 43n,
  CREATE_EVENTS: 1n << 44n,
  USE_EXTERNAL_SOUNDS: 1n << 45n,
  SEND_VOICE_MESSAGES: 1n << 46n,
  SEND_POLLS: 1n << 49n,
  USE_EXTERNAL_APPS: 1n << 50n,
  PIN_MESSAGES: 1n << 51n,
  BYPASS_SLOWMODE: 1n << 52n,
} as const;

export type PermissionName = keyof typeof PERMISSIONS;

/** The bundled bot: the link that invites it is made from this, and its module asks for nothing else. */
export const APPLICATION = {
  intents: ["GUILDS", "GUILD_MESSAGES"],
  /** What it asks for as well when CHAT_CHANNELS is set, and goes on without when Discord does not grant it. */
  optionalIntents: ["MESSAGE_CONTENT"],
  permissions: ["VIEW_CHANNEL", "SEND_MESSAGES", "SEND_MESSAGES_IN_THREADS", "READ_MESSAGE_HISTORY"],
} as const satisfies {
  intents: readonly IntentName[];
  optionalIntents: readonly IntentName[];
  permissions: readonly PermissionName[];
};

/** The intents' bits in one number, as IDENTIFY takes them. */
export function intentBits(intents: readonly IntentName[] | number): number {
  return typeof intents === "number" ? intents : intents.reduce((bits, name) => bits | INTENTS[name], 0);
}

const isIntentName = (name: string): name is IntentName => name in INTENTS;

/** The names behind an intents number; bits without a name are left out. */
export function intentNames(bits: number): readonly IntentName[] {
  return Object.keys(INTENTS)
    .filter(isIntentName)
    .filter((name) => (bits & INTENTS[name]) !== 0);
}

/** The link that adds the bundled bot to a server with exactly its permissions (topics/oauth2#bot-authorization-flow). */
export function inviteUrl(applicationId: string): string {
  const permissions = APPLICATION.permissions.reduce((bits, name) => bits | PERMISSIONS[name], 0n);
  const address = new URL("https://discord.com/oauth2/authorize");
  address.searchParams.set("client_id", applicationId);
  address.searchParams.set("scope", "bot applications.commands");
  address.searchParams.set("permissions", permissions.toString());
  return address.href;
}
