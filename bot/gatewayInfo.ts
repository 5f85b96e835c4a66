// GET /gateway/bot, read and checked: how many shards, how much of the IDENTIFY budget (events/gateway#get-gateway-bot).

import { isLoopback } from "../shared/syntax.ts";
import type { Rest } from "./defineBot.ts";
import type { GatewayInfo } from "./gateway/identify.ts";

/**
 * Asks once. Rejects when the answer is none that a bot can go by.
 * @param replaced dialled in place of the answer's `url`, which then may be anything
 */
export async function gatewayInfo(rest: Rest, signal: AbortSignal, replaced: string | undefined): Promise<GatewayInfo> {
  const body = await rest.request({ method: "GET", path: "/gateway/bot", signal });
  const url = replaced ?? field(body, "url");
  const limit = field(body, "session_start_limit");
  if (typeof url !== "string" || !(replaced !== undefined || isSafe(url))) {
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

/** The token travels there: encrypted, or not beyond this machine. */
function isSafe(url: string): boolean {
  const scheme = URL.canParse(url) ? new URL(url).protocol : undefined;
  return scheme === "wss:" || (scheme === "ws:" && isLoopback(url));
}

const field = (body: unknown, name: string): unknown =>
  typeof body === "object" && body !== null ? Reflect.get(body, name) : undefined;

function count(body: unknown, name: string): number {
  const value = field(body, name);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`GET /gateway/bot answered ${name} ${JSON.stringify(value)}; a whole number from 0 was expected`);
}
