// The seam between a bot and the runtime: what a bot module exports, and the small interface it is handed.

import type { GatewayDispatchPayload } from "discord-api-types/v10";
import { INTENTS, type IntentName, intentBits, PERMISSIONS, type PermissionName } from "../shared/application.ts";
import type { Environment } from "../shared/environment.ts";
import type { Clock, Random } from "./clock.ts";
import type { Values } from "./ledger/ledger.ts";
import type { Telemetry } from "./telemetry/telemetry.ts";

/** A dispatch's type, such as MESSAGE_CREATE (events/gateway-events#receive-events). */
export type DispatchType = `${GatewayDispatchPayload["t"]}`;

/** The `d` of a dispatch of one type. */
export type DispatchData<Type extends DispatchType> =
  Extract<GatewayDispatchPayload, { t: Type }> extends { d: infer Data } ? Data : unknown;

/** What a handler knows about the event besides its data. */
export interface HandlerContext {
  readonly shard: number;
  readonly sequence: number;
  /** Aborts when the handler has overrun its deadline, or the drain has ended. */
  readonly signal: AbortSignal;
}

/** Handles one event; its promise settles when the event is finished, which is when a replay may skip it. */
export type Handler<Type extends DispatchType> = (
  data: DispatchData<Type>,
  bot: Bot,
  context: HandlerContext,
) => unknown;

export type Handlers = { readonly [Type in DispatchType]?: Handler<Type> };

/** A file of a multipart request (reference#uploading-files). */
export interface RequestFile {
  readonly name: string;
  readonly data: Uint8Array | string;
  readonly contentType?: string;
}

/** One REST call; `path` starts after the API base, such as `/channels/123/messages`. */
export interface RestCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>;
  readonly body?: unknown;
  readonly files?: readonly RequestFile[];
  /** For the server's audit log, 1 to 512 characters (resources/audit-log). */
  readonly reason?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds the call may take in all, queueing included; refused before queueing when the wait is longer. */
  readonly deadlineMs?: number;
  /** Who goes first: interaction, then user (the default), then background, which is also shed first. */
  readonly priority?: "interaction" | "user" | "background";
  /** false sends no Authorization header. */
  readonly auth?: boolean;
  /**
   * For a GET: an answer kept from before will do if it is at most so many milliseconds old (60,000 at most); an event
   * or a write that may have changed it ends that at once.
   */
  readonly cacheMs?: number;
}

/** A bot's view of Discord's REST API; every limit is kept for it. */
export interface Rest {
  /** Resolves to the parsed JSON body, or undefined when the answer has none. Rejects with a RestError. */
  request<Result = unknown>(call: RestCall): Promise<Result>;
}

/** A presence as op 3 takes it (events/gateway-events#update-presence). */
export interface Presence {
  readonly status: "online" | "dnd" | "idle" | "invisible" | "offline";
  readonly activities?: readonly { readonly name: string; readonly type: number; readonly [field: string]: unknown }[];
  readonly since?: number | null;
  readonly afk?: boolean;
}

/** A request for members of one guild (events/gateway-events#request-guild-members). */
export interface MembersQuery {
  readonly guildId: string;
  readonly query?: string;
  readonly limit?: number;
  readonly userIds?: readonly string[];
  readonly presences?: boolean;
}

/** The chunks of an answer put together. */
export interface Members {
  readonly members: readonly unknown[];
  readonly presences: readonly unknown[];
  readonly notFound: readonly string[];
}

/** What a bot is handed: Discord without sockets, shards or limits. */
export interface Bot {
  /** The bot user's id, known from the first READY on. */
  readonly userId: string | undefined;
  /** The bits of the intents in use: those of the definition, less what Discord did not grant. */
  readonly intents: number;
  readonly rest: Rest;
  /** Every setting, parsed. */
  readonly environment: Environment;
  /** The bot's only source of time; it runs fast in a rehearsal. */
  readonly clock: Clock;
  readonly random: Random;
  /** The bot's own small texts in the ledger; with LEDGER=memory they end with the process. */
  readonly values: Values;
  /** Counts, levels, samples and events of the declared names. */
  readonly telemetry: Telemetry;
  /** Aborts when the run is over: ends whatever the module holds open. */
  readonly signal: AbortSignal;
  /** Adds a handler for one type, besides those of the definition; they run one after the other. */
  on<Type extends DispatchType>(type: Type, handler: Handler<Type>): void;
  /** Sends a message that pings nobody. Resolves to the message's id. */
  send(channelId: string, content: string): Promise<string>;
  /** Replies to a message and pings nobody. Resolves to the reply's id. */
  reply(message: { readonly id: string; readonly channel_id: string }, content: string): Promise<string>;
  /** Asks for a presence on every shard or on one; coalesced, and asserted again after every READY. */
  setPresence(presence: Presence, target?: { readonly shard?: number }): void;
  requestGuildMembers(query: MembersQuery, signal?: AbortSignal): Promise<Members>;
  /** The same object as GET /state. */
  status(): unknown;
  /**
   * Ends the process as SIGTERM does; `keepSessions` overrides what the ledger would decide. Resolves at once: a handler
   * that waited for the end would hold it up.
   */
  stop(options?: { readonly keepSessions?: boolean }): Promise<void>;
  /** Ends the run as a deploy does and begins another one in the same process, which resumes the sessions. */
  restart(): void;
  log(level: "debug" | "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Names, or their bits in one number. */
export type Intents = readonly IntentName[] | number;

/** A bot: what it asks Discord for, and what it does with what comes. */
export interface BotDefinition {
  /** What to ask for, or how that follows from the settings. */
  readonly intents: Intents | ((environment: Environment) => Intents);
  /** Privileged ones that the bot goes on without when they are all that Discord does not grant (close 4014). */
  readonly optionalIntents?: readonly IntentName[];
  /** What the bot needs in a server: names, or their bits. Stated for the invite link; the runtime never asks for it. */
  readonly permissions?: readonly PermissionName[] | bigint | number;
  readonly handlers?: Handlers;
  /** Events with one key are handled one after the other; undefined = by channel, else server, else shard. */
  key?(type: string, data: unknown): string | undefined;
  /** Runs once, after preflight and before the first dial. */
  start?(bot: Bot): unknown;
  /** Sees every dispatch, READY and RESUMED included, synchronously and in order. */
  onDispatch?(shard: number, sequence: number, type: string, data: unknown): void;
}

/** Gives a bot definition its types; the module's default export. */
export function defineBot(definition: BotDefinition): BotDefinition {
  return definition;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

const namesFrom = (value: unknown, known: object): boolean =>
  Array.isArray(value) && value.every((name) => typeof name === "string" && name in known);

const areIntents = (value: unknown): value is Intents =>
  namesFrom(value, INTENTS) || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0);

const INTENTS_EXPECTED = `neither bits nor a list of names from ${Object.keys(INTENTS).join(", ")}`;

/**
 * The bits of the intents that a bot asks for with these settings.
 * @throws TypeError when its function gives something else, and whatever that function throws
 */
export function intentsOf({ intents }: BotDefinition, environment: Environment): number {
  const asked: unknown = typeof intents === "function" ? intents(environment) : intents;
  if (areIntents(asked)) return intentBits(asked);
  throw new TypeError(`its intents are ${INTENTS_EXPECTED}`);
}

/** What keeps a module's default export from being a bot definition; empty when nothing does. */
export function definitionProblems(value: unknown): string[] {
  if (!isObject(value)) return ["has no default export made by defineBot({ intents, permissions, handlers })"];
  const problems: string[] = [];
  const { intents, optionalIntents, permissions, handlers, key, start, onDispatch } = value;
  if (!areIntents(intents) && typeof intents !== "function") problems.push(`has intents that are ${INTENTS_EXPECTED}`);
  if (optionalIntents !== undefined && !namesFrom(optionalIntents, INTENTS)) {
    problems.push("has optionalIntents that are not a list of Discord's intent names");
  }
  const isBits = typeof permissions === "bigint" || typeof permissions === "number";
  if (permissions !== undefined && !isBits && !namesFrom(permissions, PERMISSIONS)) {
    problems.push("has permissions that are neither bits nor a list of Discord's permission names");
  }
  const areFunctions = isObject(handlers) && Object.values(handlers).every((handler) => typeof handler === "function");
  if (handlers !== undefined && !areFunctions) {
    problems.push("has handlers that are not an object of functions, one for each event type");
  }
  if (key !== undefined && typeof key !== "function") problems.push("has a key that is not a function");
  if (start !== undefined && typeof start !== "function") problems.push("has a start that is not a function");
  if (onDispatch !== undefined && typeof onDispatch !== "function") {
    problems.push("has an onDispatch that is not a function");
  }
  return problems;
}

/** Whether a module's default export is a bot definition. */
export function isBotDefinition(value: unknown): value is BotDefinition {
  return definitionProblems(value).length === 0;
}
