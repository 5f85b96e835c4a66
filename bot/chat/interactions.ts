// Slash commands: made known to Discord once, answered within its 3 s or deferred, seen by whoever used them alone.

import { createHash } from "node:crypto";
import type { Bot } from "../defineBot.ts";
import type { Chat } from "./chat.ts";
import { COMMANDS, type CommandName } from "./decide.ts";
import { NOT_ALLOWED, NOT_OPERATOR } from "./notices.ts";
import type { Caller } from "./rights.ts";
import { SLASH_COMMANDS } from "./rights.ts";
import {
  answerInteractionCall,
  applicationCall,
  editInteractionCall,
  type InteractionRef,
  registerCommandsCall,
} from "./routes.ts";

/** The part of INTERACTION_CREATE that a command is made of (interactions/receiving-and-responding). */
export interface IncomingInteraction extends InteractionRef {
  readonly type: number;
  readonly guild_id?: string | undefined;
  readonly channel_id?: string | undefined;
  readonly channel?: { readonly id: string } | undefined;
  readonly data?: object | undefined;
  readonly member?:
    | {
        readonly user: { readonly id: string };
        readonly roles: readonly string[];
        readonly permissions?: string;
      }
    | undefined;
}

const APPLICATION_COMMAND = 2;
// Discord waits 3 s for the first answer (interactions/receiving-and-responding); the way there takes its part.
const DEFER_AFTER_MS = 1_500;
const REGISTERED_AS = "commands";
const REGISTERED_MS = 365 * 86_400_000;

export async function onInteraction(bot: Bot, chat: Chat, interaction: IncomingInteraction): Promise<void> {
  const name = commandOf(interaction);
  const caller = callerOf(interaction);
  if (name === undefined || caller === undefined) return;
  const answered = new AbortController();
  const work = chat.run(name, caller).finally(() => answered.abort());
  const early = await Promise.race([
    work,
    bot.clock.sleep(DEFER_AFTER_MS, answered.signal).then(
      () => undefined,
      () => work,
    ),
  ]);
  if (early === undefined) await bot.rest.request(answerInteractionCall(interaction, undefined));
  const result = early ?? (await work);
  // Unlike a message, an interaction that is not answered looks broken: a stranger is told each time.
  const text = result.text ?? (name === "reboot" ? NOT_OPERATOR : NOT_ALLOWED);
  try {
    await bot.rest.request(
      early === undefined ? editInteractionCall(interaction, text) : answerInteractionCall(interaction, text),
    );
  } finally {
    result.after?.();
  }
}

function commandOf({ type, data }: IncomingInteraction): Exclude<CommandName, "ignore"> | undefined {
  if (type !== APPLICATION_COMMAND) return undefined;
  const name = COMMANDS.find((known) => data !== undefined && "name" in data && known === data.name);
  return name === "ignore" ? undefined : name;
}

function callerOf({ guild_id, channel_id, channel, member }: IncomingInteraction): Caller | undefined {
  const channelId = channel_id ?? channel?.id;
  if (guild_id === undefined || channelId === undefined || member === undefined) return undefined;
  const { user, roles, permissions } = member;
  return {
    userId: user.id,
    guildId: guild_id,
    channelId,
    roles,
    permissions: permissions === undefined ? undefined : BigInt(permissions),
  };
}

/** Makes the commands known, unless Discord knows these already. @param applicationId as READY tells it */
export async function registerCommands(bot: Bot, applicationId: string | undefined): Promise<void> {
  const { clock, values } = bot;
  const version = createHash("sha256").update(JSON.stringify(SLASH_COMMANDS)).digest("hex").slice(0, 16);
  try {
    if ((await values.read(REGISTERED_AS, clock.wall())) === version) return;
    const id = applicationId ?? (await bot.rest.request<{ readonly id: string }>(applicationCall())).id;
    await bot.rest.request(registerCommandsCall(id, SLASH_COMMANDS));
    await values.write(REGISTERED_AS, version, clock.wall(), clock.wall() + REGISTERED_MS);
  } catch (error) {
    bot.log("warn", "the slash commands could not be made known; the next start tries again", { error });
  }
}
