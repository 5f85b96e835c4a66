// The interface that a bot module is handed, put together from the runtime's parts.

import type {
  Bot,
  DispatchType,
  Handler,
  HandlerContext,
  Handlers,
  Members,
  MembersQuery,
  Presence,
  Rest,
} from "./defineBot.ts";

/** What the runtime lends to the face; the fleet's parts exist from the first dial on. */
export interface BotFaceParts
  extends Pick<Bot, "environment" | "clock" | "random" | "values" | "telemetry" | "signal" | "restart"> {
  readonly rest: Rest;
  readonly handlers: Handlers;
  intents(): number;
  userId(): string | undefined;
  setPresence(presence: Presence, target: { readonly shard?: number }): void;
  requestGuildMembers(query: MembersQuery, signal: AbortSignal | undefined): Promise<Members>;
  status(): unknown;
  stop(options: { readonly keepSessions?: boolean }): void;
}

/** All of a type's handlers as one: over when it returns, or when the promise settles that it returned. */
export type JoinedHandler = (data: unknown, context: HandlerContext) => unknown;

/** The face, and what the dispatcher asks for a type's handler. */
export interface BotFace {
  readonly bot: Bot;
  handlerOf(type: string): JoinedHandler | undefined;
}

// A handler of any one type, as it is kept: the type's name under which it stands is what makes its data fit.
type KeptHandler = (data: never, bot: Bot, context: HandlerContext) => unknown;

// Discord: content of at most 2,000 code points, and nobody is pinged unless asked for (resources/message).
const QUIET = { parse: [], replied_user: false } as const;

export function createBotFace(parts: BotFaceParts): BotFace {
  const joined = new Map<string, JoinedHandler>();
  const keep = (type: string, handler: KeptHandler): void => {
    const first = joined.get(type);
    // The data is `never` to a handler of any type: what stands under the type's name takes the type's data.
    const own: JoinedHandler = (data, context) => handler(data as never, bot, context);
    joined.set(type, first === undefined ? own : inTurn(first, own));
  };

  const create = async (channelId: string, body: Readonly<Record<string, unknown>>): Promise<string> => {
    const message = await parts.rest.request({
      method: "POST",
      path: `/channels/${channelId}/messages`,
      body: { ...body, allowed_mentions: QUIET },
    });
    return messageId(message);
  };

  const bot: Bot = {
    get userId() {
      return parts.userId();
    },
    get intents() {
      return parts.intents();
    },
    rest: parts.rest,
    environment: parts.environment,
    clock: parts.clock,
    random: parts.random,
    values: parts.values,
    telemetry: parts.telemetry,
    signal: parts.signal,
    restart: () => parts.restart(),
    on<Type extends DispatchType>(type: Type, handler: Handler<Type>) {
      keep(type, handler);
    },
    send: (channelId, content) => create(channelId, { content }),
    reply: (message, content) =>
      create(message.channel_id, { content, message_reference: { message_id: message.id, fail_if_not_exists: false } }),
    setPresence: (presence, target = {}) => parts.setPresence(presence, target),
    requestGuildMembers: (query, signal) => parts.requestGuildMembers(query, signal),
    status: parts.status,
    stop: async (options = {}) => parts.stop(options),
    log: (level, message, fields) => parts.telemetry.log(level, message, fields),
  };

  for (const [type, handler] of Object.entries(parts.handlers)) {
    if (typeof handler === "function") keep(type, handler);
  }

  return { bot, handlerOf: (type) => joined.get(type) };
}

const inTurn = (first: JoinedHandler, second: JoinedHandler): JoinedHandler => {
  return async (data, context) => {
    await first(data, context);
    await second(data, context);
  };
};

function messageId(message: unknown): string {
  const id = typeof message === "object" && message !== null ? Reflect.get(message, "id") : undefined;
  if (typeof id === "string") return id;
  throw new Error("Discord answered Create Message without an id; the message may or may not exist");
}
