// The REST routes that the chat uses, each with the permissions it takes: no other file here names a path (pure).

import type { PermissionName } from "../../shared/application.ts";
import type { RestCall } from "../defineBot.ts";

/** What the bot must be granted for each route, in a channel and in a thread. */
export const ROUTES = {
  reply: ["VIEW_CHANNEL", "SEND_MESSAGES", "SEND_MESSAGES_IN_THREADS", "READ_MESSAGE_HISTORY"],
  typing: ["VIEW_CHANNEL", "SEND_MESSAGES", "SEND_MESSAGES_IN_THREADS"],
  guild: [],
  channel: ["VIEW_CHANNEL"],
  application: [],
  registerCommands: [],
  answerInteraction: [],
  editInteraction: [],
} as const satisfies Record<string, readonly PermissionName[]>;

/** The message that is replied to. */
export interface Asked {
  readonly id: string;
  readonly channel_id: string;
}

/**
 * A reply that pings nobody but, if wanted, whoever asked. Sent twice with one suffix it is one message: the nonce is
 * enforced for some minutes (resources/message#create-message).
 * @param suffix what follows the message's id in the nonce; with it at most 25 characters
 */
export function replyCall(asked: Asked, suffix: string, content: string, ping: boolean): RestCall {
  return {
    method: "POST",
    path: `/channels/${asked.channel_id}/messages`,
    body: {
      content,
      nonce: `${asked.id}.${suffix}`,
      enforce_nonce: true,
      message_reference: { message_id: asked.id, fail_if_not_exists: false },
      allowed_mentions: { parse: [], replied_user: ping },
    },
  };
}

/** The indicator goes out by itself after 10 s, or with the next message (resources/channel#trigger-typing-indicator). */
export function typingCall(channelId: string): RestCall {
  // One that comes late is of no use to anybody.
  return { method: "POST", path: `/channels/${channelId}/typing`, priority: "background", deadlineMs: 3_000 };
}

const LOOKUP_MS = 5_000;

export const guildCall = (guildId: string): RestCall => ({
  method: "GET",
  path: `/guilds/${guildId}`,
  deadlineMs: LOOKUP_MS,
});

export const channelCall = (channelId: string): RestCall => ({
  method: "GET",
  path: `/channels/${channelId}`,
  deadlineMs: LOOKUP_MS,
});

export const applicationCall = (): RestCall => ({ method: "GET", path: "/applications/@me" });

/** Replaces all global commands (interactions/application-commands#bulk-overwrite-global-application-commands). */
export const registerCommandsCall = (applicationId: string, commands: readonly object[]): RestCall => ({
  method: "PUT",
  path: `/applications/${applicationId}/commands`,
  body: commands,
  priority: "background",
});

export interface InteractionRef {
  readonly id: string;
  readonly token: string;
  readonly application_id: string;
}

/** interactions/receiving-and-responding: callback types and the flag of a message that one user alone sees. */
const MESSAGE = 4;
const DEFERRED = 5;
const EPHEMERAL = 1 << 6;
const QUIET = { parse: [] } as const;

/** @param content undefined = it comes later. */
export const answerInteractionCall = ({ id, token }: InteractionRef, content: string | undefined): RestCall => ({
  method: "POST",
  path: `/interactions/${id}/${token}/callback`,
  body:
    content === undefined
      ? { type: DEFERRED, data: { flags: EPHEMERAL } }
      : { type: MESSAGE, data: { content, flags: EPHEMERAL, allowed_mentions: QUIET } },
});

export const editInteractionCall = (interaction: InteractionRef, content: string): RestCall => ({
  method: "PATCH",
  path: `/webhooks/${interaction.application_id}/${interaction.token}/messages/@original`,
  body: { content, allowed_mentions: QUIET },
});
