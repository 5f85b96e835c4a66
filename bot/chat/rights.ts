// Who may use which command, asked of Discord only when it must be.

import { PERMISSIONS } from "../../shared/application.ts";
import type { Bot } from "../defineBot.ts";
import type { CommandName } from "./decide.ts";
import { has, type Overwrite, permissionsIn } from "./permissions.ts";
import { channelCall, guildCall } from "./routes.ts";
import { type ChannelPart, parentOf } from "./threads.ts";

/** Someone who uses a command, as a message or an interaction tells. */
export interface Caller {
  readonly userId: string;
  readonly guildId: string;
  readonly channelId: string;
  readonly roles: readonly string[];
  readonly timedOutUntil?: number | undefined;
  /** Computed by Discord, overwrites included; interactions bring them (interactions/receiving-and-responding). */
  readonly permissions?: bigint | undefined;
}

/** Who uses $stop, $start and $status where no roles are set: whoever keeps order in that channel. */
export const MODERATOR = "MANAGE_MESSAGES";

export async function mayUse(bot: Bot, name: CommandName, caller: Caller): Promise<boolean> {
  const { OPERATOR_USER_IDS: operators = [], CHAT_MODERATOR_ROLES: roles } = bot.environment;
  if (operators.includes(caller.userId)) return true;
  if (name === "reboot") return false;
  if (roles !== undefined) return caller.roles.some((role) => roles.includes(role));
  return has(caller.permissions ?? (await askPermissions(bot, caller)), MODERATOR);
}

interface GuildPart {
  readonly owner_id: string;
  readonly roles: readonly { readonly id: string; readonly permissions: string }[];
}

interface Channel extends ChannelPart {
  readonly permission_overwrites?: readonly Overwrite[];
}

async function askPermissions(bot: Bot, caller: Caller): Promise<bigint> {
  const { guildId, userId, roles: memberRoles, timedOutUntil } = caller;
  const ask = (channelId: string): Promise<Channel> => bot.rest.request<Channel>(channelCall(channelId));
  const [guild, given] = await Promise.all([bot.rest.request<GuildPart>(guildCall(guildId)), ask(caller.channelId)]);
  // A thread's permissions are its parent's (topics/threads).
  const parent = parentOf(given);
  const channel = parent === undefined ? given : await ask(parent);
  const { owner_id: ownerId, roles } = guild;
  const overwrites = channel.permission_overwrites ?? [];
  return permissionsIn({ guildId, ownerId, roles, overwrites, userId, memberRoles, timedOutUntil }, bot.clock.wall());
}

/**
 * The commands as Discord lists them, each shown to those alone who may use it (interactions/application-commands#permissions).
 * A server's administrators can change that there; the bot checks once more.
 */
export const SLASH_COMMANDS = [
  { name: "stop", description: "Silence the bot in this server", ...only(PERMISSIONS[MODERATOR]) },
  { name: "start", description: "Let the bot speak in this server again", ...only(PERMISSIONS[MODERATOR]) },
  { name: "status", description: "Show how the bot is doing", ...only(PERMISSIONS[MODERATOR]) },
  // 0: nobody but administrators.
  { name: "reboot", description: "Start the bot anew", ...only(0n) },
] as const;

/** Chat input, in servers, of an application that is installed to them. */
function only(permissions: bigint) {
  return { type: 1, default_member_permissions: String(permissions), contexts: [0], integration_types: [0] } as const;
}
