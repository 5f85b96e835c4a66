// Bulk work beside the rules' optimum: how long a strict Discord makes it take, and how much longer the client needs.

import { expect, it } from "vitest";
import { createRestClient } from "../../../bot/rest/client.ts";
import { Secret } from "../../../shared/secret.ts";
import { recordedTelemetry } from "../../bot/rest/harness.ts";
import { createChance } from "../gateway/chance.ts";
import { createTimeline } from "../gateway/timeline.ts";
import { Trace } from "../gateway/trace.ts";
import { type Faults, SimulatedRest } from "./discord.ts";
import { Watch } from "./watch.ts";

const CALM: Faults = { serverError: 0, resetBefore: 0, resetAfter: 0, lost: 0, half: 0 };

/** One way of a request or an answer, milliseconds: between a machine in AWS and Discord. */
const LATENCY = [10, 20] as const;

async function send(channels: number, messages: number, shape: "leaky" | "fixed") {
  const timeline = createTimeline();
  const chance = createChance(1);
  const trace = new Trace(timeline.now);
  const watch = new Watch(timeline.now, (rule) => trace.broken(rule));
  const discord = new SimulatedRest({ timeline, chance, trace, watch }, CALM, LATENCY);
  discord.rules.told.splice(0, Infinity, ...discord.rules.told.map((rule) => ({ ...rule, shape })));
  const client = createRestClient(
    {
      clock: timeline,
      random: chance.random,
      telemetry: recordedTelemetry(),
      userAgent: "DiscordBot (https://example.com, 1.0)",
      apiUrl: "http://127.0.0.1:1/api/v10",
      token: new Secret("simulated"),
      globalPerSecond: 50,
      addresses: [],
      onEdge: () => {},
      onUnauthorized: () => {},
    },
    discord,
  );
  let tookMs = 0;
  for (let content = 0; content < messages; content++) {
    for (let channel = 0; channel < channels; channel++) {
      const path = `/channels/${900_000_000_000_000_000n + BigInt(channel)}/messages`;
      void client.request({ method: "POST", path, body: { content } }).then(() => (tookMs = timeline.now()));
    }
  }
  await timeline.run(120_000, () => trace.check());
  expect(discord.executed).toHaveLength(channels * messages);
  expect(discord.avoidable).toEqual([]);
  return tookMs;
}

// The optimum. 2,000 over 40 channels, 5 per 5 s each: leaking, the fiftieth of a channel may go after 45 s. With fixed
// windows its tenth window opens after 45 s, and then 200 are left, at 50 a second: the last go after 48 s. 1,000 over
// 1,000 channels: 50 a second, the last ones after 19 s.
it.each([
  ["2,000 messages over 40 channels, leaking", 40, 50, "leaky", 45_000, 1.03],
  ["2,000 messages over 40 channels, fixed windows", 40, 50, "fixed", 48_000, 1.03],
  ["1,000 messages over 1,000 channels", 1_000, 1, "leaky", 19_000, 1.1],
] as const)("%s, without a 429", async (_, channels, messages, shape, optimumMs, most) => {
  expect((await send(channels, messages, shape)) / optimumMs).toBeLessThanOrEqual(most);
});
