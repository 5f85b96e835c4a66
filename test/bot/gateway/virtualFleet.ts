// A fleet and a strict gateway on one virtual clock, with seeded chance: hours of both run in moments.

import { createFleet, type Fleet, type FleetOptions } from "../../../bot/gateway/fleet.ts";
import { Secret } from "../../../shared/secret.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { type RecordingTelemetry, recordingTelemetry } from "../telemetry/recordingTelemetry.ts";
import { type VirtualGateway, virtualGateway } from "./virtualGateway.ts";

/** The same numbers for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface VirtualFleet {
  readonly fleet: Fleet;
  readonly clock: VirtualClock;
  readonly gateway: VirtualGateway;
  readonly telemetry: RecordingTelemetry;
  /** Every dispatch as "session/sequence", in order of arrival. */
  readonly handled: { shard: number; sequence: number; type: string }[];
  readonly dropped: number[];
  readonly fatals: { code: string; fix: string }[];
  fetches: number;
  ready(): number;
  /** Advances until it holds, in steps; the time it took, or undefined after `most` ms. */
  runUntil(holds: () => boolean, most: number, step?: number): Promise<number | undefined>;
}

export function virtualFleet(seed: number, shards: number, given: Partial<FleetOptions> = {}): VirtualFleet {
  const clock = virtualClock();
  const random = seeded(seed);
  const gateway = virtualGateway(clock, random);
  const telemetry = recordingTelemetry();
  const received = new Map<number, number>();
  const parts = {
    clock,
    gateway,
    telemetry,
    handled: [] as VirtualFleet["handled"],
    dropped: [] as number[],
    fatals: [] as VirtualFleet["fatals"],
    fetches: 0,
    ready: () => fleet.status().ready,
    async runUntil(holds: () => boolean, most: number, step = 50) {
      const from = clock.now();
      while (!holds()) {
        if (clock.now() - from >= most) return undefined;
        await clock.advance(step);
      }
      return clock.now() - from;
    },
  };
  const fleet = createFleet({
    clock,
    random,
    telemetry,
    userAgent: "test",
    token: new Secret("not-a-real-token"),
    intents: 1,
    intentNames: ["GUILDS"],
    shardCount: shards,
    compression: "none",
    identifyOverride: false,
    async fetchGateway() {
      built.fetches++;
      return {
        url: "wss://gateway.test",
        shards,
        total: 1000,
        remaining: gateway.remaining,
        resetAfterMs: 3_600_000,
        maxConcurrency: gateway.maxConcurrency,
      };
    },
    storedSessions: [],
    connect: gateway.connect,
    onDispatch(shard, sequence, type) {
      received.set(shard, sequence);
      parts.handled.push({ shard, sequence, type });
    },
    finished: (shard) => ({ sequence: received.get(shard) ?? 0, finishedAbove: [], unfinished: [] }),
    onSession(shard, what) {
      if (what === "dropped") parts.dropped.push(shard);
    },
    onFatal: (fatal) => void parts.fatals.push(fatal),
    ...given,
  });
  const built: VirtualFleet = Object.assign(parts, { fleet });
  return built;
}

/** A fleet whose shards are all ready. */
export async function ready(shards: number, options: Partial<FleetOptions> = {}, seed = 1): Promise<VirtualFleet> {
  const subject = virtualFleet(seed, shards, options);
  subject.gateway.maxConcurrency = 16;
  subject.fleet.start();
  if ((await subject.runUntil(() => subject.ready() === shards, 120_000)) === undefined) throw new Error("never ready");
  return subject;
}
