// The gateway of discord.js as it comes, inflating with Node's own zlib.

import { call, construct, loadPeer, member } from "../../peers/load.ts";
import { type Client, CONCURRENCY, INTENTS, type Plan, STARTS, TOKEN } from "../contenders.ts";

const gatewayBot = (plan: Plan) => ({
  url: plan.url,
  shards: plan.shards,
  session_start_limit: { total: STARTS, remaining: STARTS, reset_after: 86_400_000, max_concurrency: CONCURRENCY },
});

export const discordjs: Client = async (plan) => {
  const ws = await loadPeer("@discordjs/ws");
  const manager = construct(ws, "WebSocketManager", {
    token: TOKEN,
    intents: INTENTS,
    shardCount: plan.shards,
    rest: { get: async () => gatewayBot(plan) },
    compression: plan.mode === "none" ? null : member(member(ws, "CompressionMethod"), "ZlibNative"),
  });
  const events = member(ws, "WebSocketShardEvents");
  call(manager, "on", member(events, "Ready"), () => plan.ready());
  call(manager, "on", member(events, "Dispatch"), (payload: unknown) => {
    const data = member(payload, "data") ?? payload;
    if (member(data, "t") !== "READY") plan.event();
  });
  await call(manager, "connect");
};
