// The gateway's words: opcodes, payloads as they come in, and the few fields of them that the runtime reads.

/** Gateway opcodes (topics/opcodes-and-status-codes#gateway-opcodes). */
export const OPCODE = {
  DISPATCH: 0,
  HEARTBEAT: 1,
  IDENTIFY: 2,
  PRESENCE_UPDATE: 3,
  RESUME: 6,
  RECONNECT: 7,
  REQUEST_GUILD_MEMBERS: 8,
  INVALID_SESSION: 9,
  HELLO: 10,
  HEARTBEAT_ACK: 11,
} as const;

/** A payload of the gateway; `s` and `t` are null unless `op` is 0 (events/gateway-events#payload-structure). */
export interface Payload {
  readonly op: number;
  readonly d: unknown;
  readonly s: number | null;
  readonly t: string | null;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/** Reads one message; undefined when it is not a payload. */
export function readPayload(text: string): Payload | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isPayload(value) ? value : undefined;
}

function isPayload(value: unknown): value is Payload {
  if (!isObject(value) || typeof value["op"] !== "number") return false;
  return value["op"] !== OPCODE.DISPATCH || (typeof value["s"] === "number" && typeof value["t"] === "string");
}

/** `heartbeat_interval` of a HELLO in ms; undefined when it is no sensible number. */
export function heartbeatInterval(data: unknown): number | undefined {
  const interval = isObject(data) ? data["heartbeat_interval"] : undefined;
  return typeof interval === "number" && interval > 0 && Number.isFinite(interval) ? interval : undefined;
}

/** What a READY says about its session; undefined when it says none. */
export function readySession(data: unknown): { readonly id: string; readonly resumeUrl: string | null } | undefined {
  if (!isObject(data) || typeof data["session_id"] !== "string") return undefined;
  const url = data["resume_gateway_url"];
  return { id: data["session_id"], resumeUrl: typeof url === "string" ? url : null };
}

/** `guild_id`, `nonce` and such of an object; undefined when the field is absent or of another type. */
export function textField(data: unknown, field: string): string | undefined {
  const value = isObject(data) ? data[field] : undefined;
  return typeof value === "string" ? value : undefined;
}

/**
 * The address to dial: the host that Discord named, with the parameters of this connection
 * (events/gateway#connecting; RESUME needs the same ones).
 */
export function dialAddress(host: string, compression: "zstd-stream" | "zlib-stream" | "none"): string {
  const address = new URL(host);
  // A fragment names nothing in a WebSocket's address (RFC 6455, section 3), and `ws` refuses it.
  address.hash = "";
  address.searchParams.set("v", "10");
  address.searchParams.set("encoding", "json");
  if (compression === "none") address.searchParams.delete("compress");
  else address.searchParams.set("compress", compression);
  return address.href;
}

/** The resume URL when it may be dialled: a plain ws:// one only where the caller chose the gateway himself. */
export function usableUrl(url: string | null, shard: { readonly plainAllowed: boolean }): string | null {
  if (url === null || !URL.canParse(url)) return null;
  const { protocol } = new URL(url);
  return protocol === "wss:" || (protocol === "ws:" && shard.plainAllowed) ? url : null;
}
