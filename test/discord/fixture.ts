// What the simulator's own tests share: a fresh simulator under a virtual clock for each, and a client's usual first steps.

import { afterEach, beforeEach } from "vitest";
import { type VirtualClock, virtualClock } from "../virtualClock.ts";
import { type DialOptions, type RestAnswer, rest, TestClient, TOKEN } from "./client.ts";
import { type SimulatedDiscord, type SimulatedDiscordOptions, startSimulatedDiscord } from "./index.ts";

/** Of the test that runs now. */
export let clock: VirtualClock;
export let discord: SimulatedDiscord;
/** The first channel. */
export let channelId: string;

/** Call once in a test file, before its tests. */
export function simulatePerTest(): void {
  beforeEach(() => {
    clock = virtualClock();
  });
  afterEach(() => discord.stop());
}

export async function start(options: Partial<SimulatedDiscordOptions> = {}): Promise<void> {
  discord = await startSimulatedDiscord({ clock, token: TOKEN, ...options });
  channelId = [...discord.world.channels.keys()][0] ?? "";
}

/** The rules broken so far, in order. */
export const rules = (): string[] => discord.violations.map(({ rule }) => rule);

/** A session as a client keeps it. */
export interface Held {
  readonly client: TestClient;
  readonly sessionId: string;
  readonly resumeUrl: string;
}

/** Dials and reads HELLO. */
export async function greeted(url = discord.gatewayUrl, options: DialOptions = {}): Promise<TestClient> {
  const client = new TestClient(url, options);
  await client.next(10);
  return client;
}

/** Dials, identifies and heartbeats, as a client does that has read READY and what follows it. */
export async function ready(fields: Record<string, unknown> = {}, options: DialOptions = {}): Promise<Held> {
  const client = await greeted(discord.gatewayUrl, options);
  client.identify(fields);
  const { d } = await client.next("READY");
  client.send(1, 1);
  await client.next(11);
  const { session_id, resume_gateway_url } = Object(d);
  return { client, sessionId: session_id, resumeUrl: resume_gateway_url };
}

/** Dials and asks for the session; the answer is still to come. */
export async function resume(
  held: Held,
  sequence: number,
  url = held.resumeUrl,
  options: DialOptions = {},
): Promise<TestClient> {
  const client = await greeted(url, options);
  client.resume(held.sessionId, sequence);
  return client;
}

type RestCall = Parameters<typeof rest> extends [string, ...infer Rest] ? Rest : never;

export const call = (...request: RestCall): Promise<RestAnswer> => rest(discord.apiUrl, ...request);

export const post = (content = "hello", fields: Record<string, unknown> = {}): Promise<RestAnswer> =>
  call("POST", `/channels/${channelId}/messages`, { content, ...fields });

/** The statuses of so many requests, one after another. */
export async function times(count: number, request: () => Promise<RestAnswer>): Promise<number[]> {
  const statuses: number[] = [];
  for (let index = 0; index < count; index++) statuses.push((await request()).status);
  return statuses;
}
