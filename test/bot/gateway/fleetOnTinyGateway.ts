// Fleets against a tiny gateway on one still clock: set up before each test of a file, taken down after it.

import { afterEach, beforeEach } from "vitest";
import { type StillClock, stillClock } from "../../stillClock.ts";
import { type FleetUnderTest, fleetUnderTest, type Given } from "./fleetUnderTest.ts";
import { type Received, type TinyGateway, tinyGateway } from "./tinyGateway.ts";

/** Of the test that runs now. */
export let clock: StillClock;
export let gateway: TinyGateway;
const running: FleetUnderTest[] = [];

/** Call once in a test file, before its tests. */
export function gatewayPerTest(): void {
  beforeEach(async () => {
    clock = await stillClock();
    gateway = await tinyGateway(clock);
  });
  afterEach(async () => {
    for (const subject of running.splice(0)) await subject.stop(true);
    await gateway.stop();
    clock.stop();
  });
}

/** A fleet that has not been started. */
export function fleet(options: Given = {}): FleetUnderTest {
  const subject = fleetUnderTest(gateway.url, { clock, ...options });
  running.push(subject);
  return subject;
}

export function started(options: Given = {}): FleetUnderTest {
  const subject = fleet(options);
  subject.fleet.start();
  return subject;
}

export async function ready(options: Given = {}): Promise<FleetUnderTest> {
  const subject = started(options);
  const shards = options.shardIds?.length ?? (typeof options.shardCount === "number" ? options.shardCount : 1);
  await subject.until("ready", () => subject.ready() === shards);
  return subject;
}

/** What the gateway has received of these opcodes, in order. */
export const sent = (...opcodes: number[]): Received[] => gateway.received.filter(({ op }) => opcodes.includes(op));

export const resumed = ({ sessions }: FleetUnderTest): boolean => sessions.some(({ session }) => session === "resumed");
