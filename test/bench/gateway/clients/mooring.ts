// Mooring's fleet with its real telemetry, whose lines go nowhere.

import { systemClock } from "../../../../bot/clock.ts";
import { createDispatcher } from "../../../../bot/gateway/dispatch.ts";
import { createFleet } from "../../../../bot/gateway/fleet.ts";
import { createTelemetry } from "../../../../bot/telemetry/telemetryDriver.ts";
import { Secret } from "../../../../shared/secret.ts";
import { type Client, CONCURRENCY, INTENTS, STARTS, TOKEN } from "../contenders.ts";

/** handlers: whether each event also goes through the ordered handlers, as it does in the bot, and whether those wait. */
export const mooring = ({ handlers }: { readonly handlers: "none" | "synchronous" | "asynchronous" }): Client => {
  return (plan) => {
    const clock = systemClock();
    const random = Math.random;
    const telemetry = createTelemetry({ clock, stack: "bench", intervalMs: 10_000, level: "info", write: () => {} });
    telemetry.start();
    const handler =
      handlers === "synchronous"
        ? plan.event
        : async (): Promise<void> => {
            await undefined;
            plan.event();
          };
    const dispatcher = createDispatcher({
      clock,
      telemetry,
      handler: () => handler,
      waitDeadlineMs: 60_000,
      runDeadlineMs: 60_000,
    });
    const fleet = createFleet({
      clock,
      random,
      telemetry,
      userAgent: "DiscordBot (https://example.com, 1.0)",
      token: new Secret(TOKEN),
      intents: INTENTS,
      intentNames: ["GUILDS", "GUILD_MESSAGES", "MESSAGE_CONTENT"],
      shardCount: plan.shards,
      compression: plan.mode,
      gatewayUrl: plan.url,
      identifyOverride: false,
      identifyReserve: 0,
      fetchGateway: async () => ({
        url: plan.url,
        shards: plan.shards,
        total: STARTS,
        remaining: STARTS,
        resetAfterMs: 86_400_000,
        maxConcurrency: CONCURRENCY,
      }),
      storedSessions: [],
      onDispatch(shard, sequence, type, data) {
        if (type === "READY") plan.ready();
        else if (handlers !== "none") dispatcher.dispatch(shard, sequence, type, data);
        else plan.event();
      },
      finished: () => ({ sequence: 0, finishedAbove: [], unfinished: [] }),
      onSession: (shard, session, sequence) => dispatcher.onSession(shard, session, sequence),
      onFatal: ({ fix }) => {
        throw new Error(fix);
      },
    });
    fleet.start();
  };
};
