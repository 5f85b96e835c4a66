// GET /gateway/bot, read and checked: how many shards, how much of the IDENTIFY budget (events/gateway#get-gateway-bot).

import type { Rest } from "./defineBot.ts";
import type { GatewayInfo } from "./gateway/identify.ts";

export async function gatewayInfo(rest: Rest, signal: AbortSignal): Promise<GatewayInfo> {
  const body = await rest.request({ method: "GET", path: "/gateway/bot", signal });
  const url = field(body, "url");
  const limit = field(body, "session_start_limit");
  if (typeof url !== "string" || !URL.canParse(url)) throw new Error("GET /gateway/bot answered without a usable url");
  return {
    url,
    shards: count(body, "shards"),
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
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`GET /gateway/bot answered ${name} ${JSON.stringify(value)}; a number from 0 was expected`);
}
