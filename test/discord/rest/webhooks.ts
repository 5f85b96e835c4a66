// Webhooks and interaction answers: the credential is in the path, and the bot's global limit does not count them.

import type { Channel, Interaction, Message } from "../world.ts";
import { messageProblem, post } from "./messages.ts";
import {
  type Answer,
  type Call,
  empty,
  fail,
  type HiddenLimit,
  invalidForm,
  ok,
  parameter,
  type Route,
} from "./route.ts";

const WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}";
const MESSAGE = `${WEBHOOK}/messages/{message_id}`;
/** interactions/receiving-and-responding: the first answer within 3 s, then 15 min. */
const FIRST_ANSWER_MS = 3_000;
const TOKEN_MS = 900_000;
const CALLBACK_TYPES: ReadonlySet<unknown> = new Set([1, 4, 5, 6, 7, 8, 9, 12]);
const DEFERRED_MESSAGE = 5;
const MESSAGE_ANSWER = 4;

export function webhookRoutes(): Route[] {
  const path = { credential: "path" } as const;
  const limit = () => ({ name: "webhook", limit: 5, windowMs: 2_000 });
  return [
    {
      ...path,
      method: "POST",
      template: "/interactions/{interaction_id}/{interaction_token}/callback",
      handle: callback,
    },
    {
      ...path,
      method: "POST",
      template: WEBHOOK,
      limit,
      hidden: channelLimit,
      handle: (call) => onHook(call, execute),
    },
    ...["GET", "PATCH", "DELETE"].map(
      (method): Route => ({ ...path, method, template: MESSAGE, limit, handle: (call) => onHook(call, onMessage) }),
    ),
  ];
}

interface Hook {
  readonly channel: Channel;
  readonly interaction: Interaction | undefined;
}

function onHook(call: Call, then: (call: Call, hook: Hook) => Answer): Answer {
  const { world, clock } = call.around;
  const id = parameter(call, "webhook_id");
  const token = parameter(call, "webhook_token");
  if (id === world.applicationId) {
    const interaction = world.interactions.get(token);
    if (interaction === undefined) return fail(404, 10015, "Unknown Webhook");
    if (clock.now() - interaction.createdAt > TOKEN_MS) return fail(401, 50027, "Invalid Webhook Token");
    return then(call, { channel: world.channel(interaction.channelId), interaction });
  }
  const webhook = world.webhooks.get(id);
  if (webhook === undefined) return fail(404, 10015, "Unknown Webhook");
  if (webhook.token !== token) return fail(401, 50027, "Invalid Webhook Token");
  return then(call, { channel: world.channel(webhook.channelId), interaction: undefined });
}

/** All webhooks of a channel share 30 in 60 s that no header tells of (observed). */
function channelLimit(call: Call): HiddenLimit[] {
  const webhook = call.around.world.webhooks.get(parameter(call, "webhook_id"));
  if (webhook === undefined) return [];
  return [{ key: `webhooks:${webhook.channelId}`, limit: 30, windowMs: 60_000, scope: "shared" }];
}

function execute(call: Call, { channel, interaction }: Hook): Answer {
  const problem = messageProblem(call.body);
  if (problem !== undefined) return problem;
  const message = post(call, channel, { webhook_id: parameter(call, "webhook_id") });
  if (interaction?.deferred === true) interaction.deferred = false;
  if (interaction !== undefined) originals.set(interaction, originals.get(interaction) ?? message);
  const wait = ["true", "True", "1"].includes(call.query.get("wait") ?? "") || interaction !== undefined;
  return wait ? ok(call.around.world.messageObject(message, true)) : empty;
}

/** The first answer of each interaction, `@original`. */
const originals = new WeakMap<Interaction, Message>();

function onMessage(call: Call, { channel, interaction }: Hook): Answer {
  const { around } = call;
  const id = parameter(call, "message_id");
  let message = id === "@original" && interaction !== undefined ? originals.get(interaction) : channel.messages.get(id);
  if (message === undefined && id === "@original" && interaction?.deferred === true && call.method === "PATCH") {
    interaction.deferred = false;
    message = post(call, channel, { webhook_id: parameter(call, "webhook_id") });
    originals.set(interaction, message);
  }
  if (message === undefined) return fail(404, 10008, "Unknown Message");
  if (call.method === "DELETE") {
    channel.messages.delete(message.id);
    return empty;
  }
  if (call.method === "PATCH") {
    const fields = { ...message.data, ...call.body.fields };
    const problem = messageProblem({ ...call.body, fields });
    if (problem !== undefined) return problem;
    message.data = fields;
  }
  return ok(around.world.messageObject(message, true));
}

function callback(call: Call): Answer {
  const { around } = call;
  const interaction = around.world.interactions.get(parameter(call, "interaction_token"));
  if (interaction === undefined || interaction.id !== parameter(call, "interaction_id")) {
    return fail(404, 10062, "Unknown interaction");
  }
  if (interaction.acknowledged) return fail(400, 40060, "Interaction has already been acknowledged.");
  if (around.clock.now() - interaction.createdAt > FIRST_ANSWER_MS) return fail(404, 10062, "Unknown interaction");
  const { type, data } = call.body.fields;
  if (!CALLBACK_TYPES.has(type))
    return invalidForm("type", "BASE_TYPE_CHOICES", "Value must be one of {1, 4, 5, 6, 7, 8, 9, 12}.");
  const channel = around.world.channel(interaction.channelId);
  if (type === MESSAGE_ANSWER) {
    const fields = typeof data === "object" && data !== null ? Object.fromEntries(Object.entries(data)) : {};
    const inner = { ...call, body: { ...call.body, fields } };
    const problem = messageProblem(inner.body);
    if (problem !== undefined) return problem;
    originals.set(interaction, post(inner, channel));
  }
  interaction.acknowledged = true;
  interaction.deferred = type === DEFERRED_MESSAGE;
  const wantsResponse = ["true", "True", "1"].includes(call.query.get("with_response") ?? "");
  return wantsResponse ? ok({ interaction: { id: interaction.id, type: 2 } }) : empty;
}
