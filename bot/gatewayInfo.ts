// GET /gateway/bot, read and checked: how many shards, how much of the IDENTIFY budget (events/gateway#get-gateway-bot).

import type { Rest } from "./defineBot.ts";
import type { GatewayInfo } from "./gateway/identify.ts";

/**
 * Asks once. Rejects when the answer is none that a bot can go by.
 * @param replaced dialled in place of the answer's `url`, which then may be anything
 * @param plainAllowed whether ws:// may be dialled: the token travels on it
 */
export async function gatewayInfo(
  rest: Rest,
  signal: AbortSignal,
  { replaced, plainAllowed }: { readonly replaced: string | undefined; readonly plainAllowed: boolean },
): Promise<GatewayInfo> {
  const body = await rest.request({ method: "GET", path: "/gateway/bot", signal });
  const url = replaced ?? field(body, "url");
  const limit = field(body, "session_start_limit");
  const isUrl = typeof url === "string" && URL.canParse(url);
  const scheme = isUrl ? new URL(url).protocol : undefined;
  if (!isUrl || (scheme !== "wss:" && (scheme !== "ws:" || !plainAllowed))) {
    throw new Error(`GET /gateway/bot answered url ${JSON.stringify(url)}; a wss:// URL was expected`);
  }
  return {
    url,
    shards: Math.max(1, count(body, "shards")),
    total: count(limit, "total"),
    remaining: count(limit, "remaining"),
    resetAfterMs: count(limit, "reset_after"),
    maxConcurrency: Math.max(1, count(limit, "max_concurrency")),
  };
}

const field = (body: unknown, name: string): unknown =>
  typeof body === "object" && body !== null ? Reflect.get(body, name) : undefined;

function count(body: unknown, name: string): number {
  const value = field(body, name);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`GET /gateway/bot answered ${name} ${JSON.stringify(value)}; a whole number from 0 was expected`);
}
