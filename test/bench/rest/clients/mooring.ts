// Mooring's REST client with its real telemetry, whose lines go nowhere.

import { systemClock } from "../../../../bot/clock.ts";
import { createRestClient } from "../../../../bot/rest/client.ts";
import { createTelemetry } from "../../../../bot/telemetry/telemetryDriver.ts";
import { Secret } from "../../../../shared/secret.ts";
import { type Send, type Setting, TOKEN } from "../contenders.ts";

export async function open({ origin, unlimited }: Setting): Promise<Send> {
  const clock = systemClock();
  const telemetry = createTelemetry({ clock, stack: "bench", intervalMs: 10_000, level: "info", write: () => {} });
  telemetry.start();
  const client = createRestClient({
    clock,
    random: Math.random,
    telemetry,
    userAgent: "DiscordBot (https://example.com, 1.0)",
    apiUrl: `${origin}/api/v10`,
    token: new Secret(TOKEN),
    globalPerSecond: unlimited ? 1_000_000 : 50,
    addresses: [],
    onEdge() {},
    onUnauthorized() {},
  });
  return (method, path, body) => client.request({ method, path, body });
}
