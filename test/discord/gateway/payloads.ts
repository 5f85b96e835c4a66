// The bodies of the gateway's own payloads, and checks of the client's (events/gateway-events).

import { INTENT, OP } from "../protocol.ts";
import type { ShardTuple } from "../rules/session.ts";

type Fields = Record<string, unknown>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const frame = (op: number, data: unknown): string => JSON.stringify({ t: null, s: null, op, d: data });

export interface Payload {
  readonly op: number;
  readonly d: unknown;
}

/** undefined if it is no payload at all. */
export function parsePayload(text: string): Payload | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isFields(value) || !Number.isInteger(value["op"])) return undefined;
    return { op: Number(value["op"]), d: value["d"] };
  } catch {
    return undefined;
  }
}

export interface Identify {
  readonly token: string;
  readonly intents: number;
  readonly shard: ShardTuple;
  readonly shardGiven: boolean;
}

/** What IDENTIFY must have; a string says what is missing, "shard" that the tuple cannot be. */
export function parseIdentify(data: unknown): Identify | string {
  if (!isFields(data)) return "d is not an object";
  const { token, intents, properties, shard, large_threshold } = data;
  if (typeof token !== "string") return "token";
  if (typeof intents !== "number" || !Number.isSafeInteger(intents) || intents < 0) return "intents";
  if (!isFields(properties)) return "properties";
  for (const name of ["os", "browser", "device"]) if (typeof properties[name] !== "string") return `properties.${name}`;
  if (large_threshold !== undefined && !between(large_threshold, 50, 250)) return "large_threshold";
  if (shard === undefined) return { token, intents, shard: { id: 0, count: 1 }, shardGiven: false };
  if (!Array.isArray(shard) || shard.length !== 2) return "shard";
  const [id, count]: unknown[] = shard;
  if (!between(count, 1, 65_535) || !between(id, 0, count - 1)) return "shard";
  return { token, intents, shard: { id, count }, shardGiven: true };
}

export interface Resume {
  readonly token: string;
  readonly sessionId: string;
  readonly sequence: number;
}

export function parseResume(data: unknown): Resume | string {
  if (!isFields(data)) return "d is not an object";
  const { token, session_id, seq } = data;
  if (typeof token !== "string") return "token";
  if (typeof session_id !== "string") return "session_id";
  if (!between(seq, 0, Number.MAX_SAFE_INTEGER)) return "seq";
  return { token, sessionId: session_id, sequence: seq };
}

export interface MembersQuery {
  readonly guildId: string;
  readonly several: boolean;
  /** The whole list, the one kind that is limited to one per server and 30 s. */
  readonly full: boolean;
  readonly query: string;
  readonly limit: number;
  readonly userIds: readonly string[] | undefined;
  readonly presences: boolean;
  readonly nonce: string | undefined;
}

/** A nonce of more than 32 bytes is ignored (events/gateway-events#request-guild-members). */
const NONCE_BYTES = 32;

export function parseMembersQuery(data: unknown): MembersQuery | string {
  if (!isFields(data)) return "d is not an object";
  const { guild_id, query, limit, user_ids, presences, nonce } = data;
  const guildId: unknown = Array.isArray(guild_id) ? guild_id[0] : guild_id;
  if (typeof guildId !== "string") return "guild_id";
  const userIds = user_ids === undefined ? undefined : Array.isArray(user_ids) ? user_ids : [user_ids];
  if (userIds !== undefined && (userIds.length > 100 || !userIds.every((id) => typeof id === "string")))
    return "user_ids";
  if (userIds === undefined && typeof query !== "string") return "query";
  if (userIds === undefined && !between(limit, 0, 100)) return "limit";
  return {
    guildId,
    several: Array.isArray(guild_id) && guild_id.length > 1,
    full: userIds === undefined && query === "" && limit === 0,
    query: typeof query === "string" ? query : "",
    limit: typeof limit === "number" ? limit : 0,
    userIds,
    presences: presences === true,
    nonce: typeof nonce === "string" && Buffer.byteLength(nonce) <= NONCE_BYTES ? nonce : undefined,
  };
}

/** The intent that this query lacks, if it lacks one. */
export function missingIntent(query: MembersQuery, intents: number): string | undefined {
  if (query.full && (intents & INTENT.guildMembers) === 0) return "GUILD_MEMBERS";
  if (query.presences && (intents & INTENT.guildPresences) === 0) return "GUILD_PRESENCES";
  return undefined;
}

/** Whether an update has every field that Discord requires of one (events/gateway-events#update-presence). */
export function isPresence(data: unknown): boolean {
  if (!isFields(data)) return false;
  const { since, activities, status, afk } = data;
  const statuses = ["online", "dnd", "idle", "invisible", "offline"];
  const sinceOk = since === null || typeof since === "number";
  return sinceOk && Array.isArray(activities) && statuses.includes(String(status)) && typeof afk === "boolean";
}

/** The opcodes that a bot may send. */
export const CLIENT_OPS: ReadonlySet<number> = new Set([
  OP.heartbeat,
  OP.identify,
  OP.presenceUpdate,
  OP.voiceStateUpdate,
  OP.resume,
  OP.requestGuildMembers,
  OP.requestSoundboardSounds,
  OP.requestChannelInfo,
]);

function between(value: unknown, low: number, high: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
}
