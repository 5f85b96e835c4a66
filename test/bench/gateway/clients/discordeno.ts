// Discordeno's gateway, with its renaming of every field or with `preferSnakeCase`, which leaves them as they are.

import { call, loadPeer, member } from "../../peers/load.ts";
import { type Client, CONCURRENCY, INTENTS, STARTS, TOKEN } from "../contenders.ts";

export const discordeno = ({ preferSnakeCase }: { readonly preferSnakeCase: boolean }): Client => {
  return async (plan) => {
    const gateway = await loadPeer("@discordeno/gateway");
    const quiet = { debug() {}, info() {}, warn() {}, error: console.error, fatal: console.error };
    const manager = call(gateway, "createGatewayManager", {
      token: TOKEN,
      intents: INTENTS,
      url: plan.url,
      totalShards: plan.shards,
      shardsPerWorker: plan.shards,
      totalWorkers: 1,
      spawnShardDelay: 0,
      preferSnakeCase,
      transportCompression: plan.mode === "none" ? null : plan.mode,
      resharding: { enabled: false },
      logger: quiet,
      connection: {
        url: plan.url,
        shards: plan.shards,
        sessionStartLimit: { total: STARTS, remaining: STARTS, resetAfter: 1, maxConcurrency: CONCURRENCY },
      },
      events: {
        message(_shard: unknown, payload: unknown) {
          const type = member(payload, "t");
          if (type === "READY") plan.ready();
          else if (typeof type === "string") plan.event();
        },
      },
    });
    await call(manager, "spawnShards");
  };
};
