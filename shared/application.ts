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

/** Permission bits that the bundled bot uses (topics/permissions); BigInt, since the table passes bit 31. */
export const PERMISSIONS = {
  VIEW_CHANNEL: 1n << 10n,
  SEND_MESSAGES: 1n << 11n,
  READ_MESSAGE_HISTORY: 1n << 16n,
  SEND_MESSAGES_IN_THREADS: 1n << 38n,
} as const;

export type PermissionName = keyof typeof PERMISSIONS;

/** The bundled bot: the link that invites it is made from this, and its module asks for nothing else. */
export const APPLICATION = {
  intents: ["GUILDS", "GUILD_MESSAGES"],
  permissions: ["VIEW_CHANNEL", "SEND_MESSAGES", "SEND_MESSAGES_IN_THREADS", "READ_MESSAGE_HISTORY"],
} as const satisfies { intents: readonly IntentName[]; permissions: readonly PermissionName[] };

/** The intents' bits in one number, as IDENTIFY takes them. */
export function intentBits(intents: readonly IntentName[]): number {
  return intents.reduce((bits, name) => bits | INTENTS[name], 0);
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
