// The floor: ws, inflate, JSON.parse and a counter; what no client can go below.

import { Buffer } from "node:buffer";
import { WebSocket } from "ws";
import { type Client, INTENTS, socketAddress, TOKEN } from "../contenders.ts";
import { decompressor } from "../contexts.ts";

/** awaits: each event also goes through a handler that waits for something, as most of a bot's do. */
export const bare =
  ({ awaits }: { readonly awaits: boolean }): Client =>
  (plan) => {
    const handler = async (): Promise<void> => {
      await undefined;
      plan.event();
    };
    for (let shard = 0; shard < plan.shards; shard++) {
      const socket = new WebSocket(socketAddress(plan), {
        perMessageDeflate: false,
        skipUTF8Validation: true,
      });
      const inflate = plan.mode === "none" ? undefined : decompressor(plan.mode);
      socket.on("message", (data) => {
        if (!Buffer.isBuffer(data)) return;
        const text = inflate === undefined ? data.toString("utf8") : inflate(data).toString("utf8");
        const payload: { op?: unknown; t?: unknown } = JSON.parse(text);
        if (payload.op === 10) {
          const properties = { os: "linux", browser: "bare", device: "bare" };
          const d = { token: TOKEN, intents: INTENTS, shard: [shard, plan.shards], properties };
          socket.send(JSON.stringify({ op: 2, d }));
        } else if (payload.t === "READY") plan.ready();
        else if (awaits) void handler();
        else plan.event();
      });
    }
  };
