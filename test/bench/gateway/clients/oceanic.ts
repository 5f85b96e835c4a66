// Oceanic without its cache; the whole client, for its gateway is not to be had alone.

import { call, construct, loadPeer, member } from "../../peers/load.ts";
import { type Client, CONCURRENCY, INTENTS, socketAddress, TOKEN } from "../contenders.ts";

export const oceanic: Client = async (plan) => {
  const library = await loadPeer("oceanic.js");
  const client = construct(library, "Client", {
    auth: `Bot ${TOKEN}`,
    disableCache: "no-warning",
    gateway: {
      intents: INTENTS,
      maxShards: plan.shards,
      concurrency: CONCURRENCY,
      compress: plan.mode === "none" ? false : plan.mode,
      guildCreateTimeout: 0,
      override: { url: async () => socketAddress(plan), timeBetweenShardConnects: 0 },
    },
  });
  call(client, "on", "error", (error: unknown) => {
    throw error;
  });
  call(client, "on", "packet", (payload: unknown) => {
    const type = member(payload, "t");
    if (type === "READY") plan.ready();
    else if (typeof type === "string") plan.event();
  });
  await call(client, "connect");
};
