// Routes of messages and reactions, with their observed limits (resources/message; limits are not published).

import { INTENT, snowflakeTime } from "../protocol.ts";
import type { Channel, Message } from "../world.ts";
import type { Body } from "./body.ts";
import { type Answer, type Call, empty, fail, invalidForm, type Limit, ok, parameter, type Route } from "./route.ts";

/** resources/message: code points, not UTF-16 units. */
const CONTENT_LENGTH = 2_000;
const NONCE_LENGTH = 25;
/** "A few minutes" (resources/message#create-message); the simulator's choice. */
const NONCE_MS = 180_000;
const EMBEDS = 10;
const FOURTEEN_DAYS_MS = 14 * 86_400_000;
const BULK_DELETE_MIN = 2;
const BULK_DELETE_MAX = 100;

const MESSAGES = "/channels/{channel_id}/messages";
const MESSAGE = `${MESSAGES}/{message_id}`;
const REACTIONS = `${MESSAGE}/reactions`;

export function messageRoutes(): Route[] {
  const nonces = new Map<string, { readonly at: number; readonly message: Message }>();
  const reaction = (): Limit => ({ name: "reactions", limit: 1, windowMs: 250 });
  const bot = { credential: "bot" } as const;
  return [
    {
      ...bot,
      method: "POST",
      template: MESSAGES,
      limit: () => ({ name: "create message", limit: 5, windowMs: 5_000, hashName: "message" }),
      handle: (call) => inChannel(call, (channel) => create(call, channel, nonces)),
    },
    { ...bot, method: "GET", template: MESSAGES, handle: (call) => inChannel(call, (channel) => list(call, channel)) },
    { ...bot, method: "GET", template: MESSAGE, handle: (call) => onMessage(call, (message) => show(call, message)) },
    {
      ...bot,
      method: "PATCH",
      template: MESSAGE,
      // The same hash as creating, counted apart.
      limit: () => ({ name: "edit message", limit: 5, windowMs: 5_000, hashName: "message" }),
      handle: (call) => onMessage(call, (message) => edit(call, message)),
    },
    {
      ...bot,
      method: "DELETE",
      template: MESSAGE,
      limit: deleteLimit,
      handle: (call) => onMessage(call, (m) => remove(call, m)),
    },
    {
      ...bot,
      method: "POST",
      template: `${MESSAGES}/bulk-delete`,
      limit: () => ({ name: "bulk delete", limit: 1, windowMs: 3_000 }),
      handle: (call) => inChannel(call, (channel) => bulkDelete(call, channel)),
    },
    ...[`${REACTIONS}/{emoji}/@me`, `${REACTIONS}/{emoji}/{user_id}`].flatMap((template): Route[] =>
      (template.endsWith("@me") ? ["PUT", "DELETE"] : ["DELETE"]).map((method) => ({
        ...bot,
        method,
        template,
        limit: reaction,
        handle: (call) => onMessage(call, (message) => react(call, message)),
      })),
    ),
    ...[REACTIONS, `${REACTIONS}/{emoji}`].map(
      (template): Route => ({
        ...bot,
        method: "DELETE",
        template,
        limit: reaction,
        handle: (call) => onMessage(call, () => empty),
      }),
    ),
    { ...bot, method: "GET", template: `${REACTIONS}/{emoji}`, handle: (call) => onMessage(call, () => ok([])) },
  ];
}

export function inChannel(call: Call, then: (channel: Channel) => Answer): Answer {
  const channel = call.around.world.channels.get(parameter(call, "channel_id"));
  if (channel === undefined) return fail(404, 10003, "Unknown Channel");
  if (channel.denied !== undefined) {
    return fail(403, channel.denied, channel.denied === 50001 ? "Missing Access" : "Missing Permissions");
  }
  return then(channel);
}

/** What is wrong with a message's fields, for every route that makes one. */
export function messageProblem(body: Body): Answer | undefined {
  const { content, embeds, nonce } = body.fields;
  if (typeof content === "string" && [...content].length > CONTENT_LENGTH) {
    return invalidForm("content", "BASE_TYPE_MAX_LENGTH", `Must be ${CONTENT_LENGTH} or fewer in length.`);
  }
  if (Array.isArray(embeds) && embeds.length > EMBEDS) {
    return invalidForm("embeds", "BASE_TYPE_MAX_LENGTH", `Must be ${EMBEDS} or fewer in length.`);
  }
  if (nonce !== undefined && String(nonce).length > NONCE_LENGTH) {
    return invalidForm("nonce", "NONCE_TYPE_TOO_LONG", `Must be ${NONCE_LENGTH} or fewer in length.`);
  }
  const filled = (name: string): boolean => {
    const value = body.fields[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== "";
  };
  const has = ["content", "embeds", "sticker_ids", "components", "poll", "message_reference"].some(filled);
  return has || body.files.length > 0 ? undefined : fail(400, 50006, "Cannot send an empty message");
}

/** Makes a message of the bot's, tells its sessions, and gives its object. */
export function post(call: Call, channel: Channel, extra: Record<string, unknown> = {}): Message {
  const { around, body } = call;
  const { content, embeds, components, flags } = body.fields;
  const { nonce: _, ...told } = extra;
  const attachments = body.files.map(({ filename, bytes }, index) => ({ id: String(index), filename, size: bytes }));
  const message = around.world.addMessage(channel, around.world.bot, {
    content: content ?? "",
    embeds: embeds ?? [],
    components: components ?? [],
    attachments,
    flags: flags ?? 0,
    ...told,
  });
  around.journal.counts.rest.messagesCreated++;
  const place = channel.guildId === undefined ? {} : { guild_id: channel.guildId, member: { roles: [], flags: 0 } };
  // The event often reaches a client before the answer does.
  around.dispatch("MESSAGE_CREATE", { ...around.world.messageObject(message, true), ...extra, ...place });
  return message;
}

function create(call: Call, channel: Channel, nonces: Map<string, { at: number; message: Message }>): Answer {
  const { around, body } = call;
  const { nonce, enforce_nonce, message_reference } = body.fields;
  const problem = messageProblem(body);
  if (problem !== undefined) return problem;
  if (channel.type === 15 || channel.type === 16)
    return fail(400, 40058, "Cannot message this channel until after the post is created");
  const now = around.clock.now();
  for (const [old, { at }] of nonces) {
    if (now - at < NONCE_MS) break;
    nonces.delete(old);
  }
  const enforced = enforce_nonce === true && nonce !== undefined;
  const earlier = enforced ? nonces.get(String(nonce)) : undefined;
  if (earlier !== undefined) {
    around.journal.counts.rest.nonceHits++;
    // One that was deleted since is not made again (resources/message#create-message).
    if (!earlier.message.channel.messages.has(earlier.message.id)) return fail(404, 10008, "Unknown Message");
    return ok({ ...around.world.messageObject(earlier.message, true), nonce });
  }
  const reply = replied(channel, message_reference);
  if (reply === "unknown")
    return invalidForm("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message");
  const extra = { ...(nonce === undefined ? {} : { nonce }), ...reply };
  const message = post(call, channel, extra);
  if (nonce !== undefined) nonces.set(String(nonce), { at: now, message });
  return ok({ ...around.world.messageObject(message, true), ...extra });
}

function replied(channel: Channel, reference: unknown): "unknown" | Record<string, unknown> {
  if (typeof reference !== "object" || reference === null || !("message_id" in reference)) return {};
  const known = channel.messages.has(String(reference.message_id));
  const optional = "fail_if_not_exists" in reference && reference.fail_if_not_exists === false;
  if (!known) return optional ? {} : "unknown";
  return { type: 19, message_reference: { ...reference, channel_id: channel.id } };
}

function show(call: Call, message: Message): Answer {
  return ok(call.around.world.messageObject(message, (call.around.privilegedIntents() & INTENT.messageContent) !== 0));
}

function list(call: Call, channel: Channel): Answer {
  const { query, around } = call;
  const limit = Number(query.get("limit") ?? 50);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100)
    return invalidForm("limit", "NUMBER_TYPE_MAX", "int value should be 1 to 100.");
  const anchors = ["before", "after", "around"].filter((name) => query.has(name));
  if (anchors.length > 1)
    return invalidForm("before", "BASE_TYPE_MUTUALLY_EXCLUSIVE", "Only one of before, after, around.");
  const before = query.get("before");
  const after = query.get("after");
  const whole = (around.privilegedIntents() & INTENT.messageContent) !== 0;
  let messages = [...channel.messages.values()];
  if (before !== null) messages = messages.filter(({ id }) => BigInt(id) < BigInt(before));
  if (after !== null) messages = messages.filter(({ id }) => BigInt(id) > BigInt(after)).slice(0, limit);
  return ok(
    messages
      .slice(-limit)
      .reverse()
      .map((message) => around.world.messageObject(message, whole)),
  );
}

function edit(call: Call, message: Message): Answer {
  const { around, body } = call;
  if (message.author.id !== around.world.bot.id)
    return fail(403, 50005, "Cannot edit a message authored by another user");
  const problem = messageProblem({ ...body, fields: { ...message.data, ...body.fields } });
  if (problem !== undefined) return problem;
  const { content, embeds, components, flags } = { ...message.data, ...body.fields };
  message.data = { ...message.data, content, embeds, components, flags };
  message.data["edited_timestamp"] = new Date(around.clock.wall()).toISOString();
  const object = around.world.messageObject(message, true);
  around.dispatch("MESSAGE_UPDATE", {
    ...object,
    ...(message.channel.guildId === undefined ? {} : { guild_id: message.channel.guildId }),
  });
  return ok(object);
}

function remove(call: Call, message: Message): Answer {
  const { channel } = message;
  channel.messages.delete(message.id);
  const place = channel.guildId === undefined ? {} : { guild_id: channel.guildId };
  call.around.dispatch("MESSAGE_DELETE", { id: message.id, channel_id: channel.id, ...place });
  return empty;
}

function bulkDelete(call: Call, channel: Channel): Answer {
  const ids = call.body.fields["messages"];
  if (
    !Array.isArray(ids) ||
    ids.length < BULK_DELETE_MIN ||
    ids.length > BULK_DELETE_MAX ||
    new Set(ids).size < ids.length
  ) {
    return invalidForm(
      "messages",
      "BASE_TYPE_BAD_LENGTH",
      `Must be between ${BULK_DELETE_MIN} and ${BULK_DELETE_MAX} in length.`,
    );
  }
  const oldest = call.around.clock.wall() - FOURTEEN_DAYS_MS;
  if (ids.some((id) => snowflakeTime(String(id)) < oldest))
    return fail(400, 50034, "A message is too old to bulk delete");
  for (const id of ids) channel.messages.delete(String(id));
  const place = channel.guildId === undefined ? {} : { guild_id: channel.guildId };
  call.around.dispatch("MESSAGE_DELETE_BULK", { ids, channel_id: channel.id, ...place });
  return empty;
}

/** Three classes by age, each with a hash of its own on the one route. */
function deleteLimit(call: Call): Limit {
  const id = parameter(call, "message_id");
  const known = call.around.world.channels.get(parameter(call, "channel_id"))?.messages.has(id) === true;
  const age = /^\d+$/.test(id) ? call.around.clock.wall() - snowflakeTime(id) : 0;
  if (age > FOURTEEN_DAYS_MS) return { name: "delete old message", limit: 30, windowMs: 4_000 };
  if (age < 10_000 || !known) return { name: "delete new message", limit: 5, windowMs: 1_000 };
  return { name: "delete message", limit: 3, windowMs: 1_000 };
}

function react(call: Call, message: Message): Answer {
  const { around } = call;
  const emoji = parameter(call, "emoji");
  if (!/^\w+:\d+$/.test(emoji) && !/[^\p{ASCII}]/u.test(emoji)) return fail(400, 10014, "Unknown Emoji");
  const [name = "", id = null] = emoji.split(":");
  const { channel } = message;
  const place = channel.guildId === undefined ? {} : { guild_id: channel.guildId };
  around.dispatch(call.method === "PUT" ? "MESSAGE_REACTION_ADD" : "MESSAGE_REACTION_REMOVE", {
    user_id: around.world.bot.id,
    channel_id: channel.id,
    message_id: message.id,
    emoji: { id, name },
    ...place,
  });
  return empty;
}

function onMessage(call: Call, then: (message: Message) => Answer): Answer {
  return inChannel(call, (channel) => {
    const message = channel.messages.get(parameter(call, "message_id"));
    return message === undefined ? fail(404, 10008, "Unknown Message") : then(message);
  });
}
