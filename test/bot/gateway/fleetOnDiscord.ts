// Fleets against the simulated Discord on one still clock: set up before each test of a file, taken down after it.

import { afterEach, beforeEach } from "vitest";
import type { GatewayInfo } from "../../../bot/gateway/fleet.ts";
import { type SimulatedDiscord, type SimulatedDiscordOptions, startSimulatedDiscord } from "../../discord/index.ts";
import { type StillClock, stillClock } from "../../stillClock.ts";
import { type FleetUnderTest, fleetUnderTest, type Given, TOKEN } from "./fleetUnderTest.ts";

const USER_AGENT = "DiscordBot (https://github.com/mooring-bot/mooring, 0.1.0)";

/** Of the test that runs now. */
export let clock: StillClock;
export let discord: SimulatedDiscord;
const running: FleetUnderTest[] = [];

/** Call once in a test file, before its tests. */
export function discordPerTest(): void {
  beforeEach(async () => {
    clock = await stillClock();
  });
  afterEach(async () => {
    for (const subject of running.splice(0)) await subject.stop(true);
    await discord.stop();
    clock.stop();
  });
}

async function readGateway(): Promise<GatewayInfo> {
  const headers = { Authorization: `Bot ${TOKEN}`, "User-Agent": USER_AGENT, Connection: "close" };
  const response = await fetch(`${discord.apiUrl}/gateway/bot`, { headers });
  const { url, shards, session_start_limit: limit } = Object(await response.json());
  const { total, remaining, reset_after: resetAfterMs, max_concurrency: maxConcurrency } = Object(limit);
  return { url, shards, total, remaining, resetAfterMs, maxConcurrency };
}

/** Starts Discord and a fleet of all its shards. `options.clock` is Discord's, too. */
export async function begin(
  shards: number,
  simulated: Partial<SimulatedDiscordOptions> = {},
  options: Given = {},
): Promise<FleetUnderTest> {
  const time = options.clock ?? clock;
  discord = await startSimulatedDiscord({ clock: time, token: TOKEN, shards, maxConcurrency: 16, ...simulated });
  return next(shards, options);
}

/** Starts another fleet against the same Discord. */
export function next(shards: number, options: Given = {}): FleetUnderTest {
  const given = { clock, shardCount: shards, fetchGateway: readGateway, ...options };
  const subject = fleetUnderTest(discord.gatewayUrl, given);
  running.push(subject);
  subject.fleet.start();
  return subject;
}

/** Ready, as both sides see it. */
export const allReady = (subject: FleetUnderTest, shards: number) => (): boolean =>
  subject.ready() === shards && discord.readyShards().length === shards;

export async function ready(shards: number, ...more: [Partial<SimulatedDiscordOptions>?, Given?]) {
  const subject = await begin(shards, ...more);
  await subject.until("ready", allReady(subject, shards));
  return subject;
}
