// A fleet over real sockets, with everything it reports kept: what the fleet's tests share.

import type { Clock } from "../../../bot/clock.ts";
import { createFleet, type Fleet, type FleetOptions, type GatewayInfo } from "../../../bot/gateway/fleet.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { Secret } from "../../../shared/secret.ts";
import type { StillClock } from "../../stillClock.ts";
import { type RecordingTelemetry, recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

/** An hour of a still clock is over in moments, and nothing here takes longer. */
const LONGEST_MS = 3_600_000;
const LONGEST_STOP_MS = 3_000;
const LOOKS = 4_000;
const LOOK_AGAIN_MS = 5;

export const TOKEN = "not-a-real-token.of.anybody";

export interface Dispatched {
  readonly shard: number;
  readonly sequence: number;
  readonly type: string;
  readonly replayed: boolean;
}

export interface FleetUnderTest {
  readonly fleet: Fleet;
  readonly telemetry: RecordingTelemetry;
  readonly dispatched: Dispatched[];
  readonly sessions: { shard: number; session: string; sequence: number }[];
  readonly fatals: { code: string; fix: string }[];
  info: GatewayInfo;
  fetches: number;
  /** On a still clock time goes on until it holds; else it is looked at again and again. */
  until(what: string, holds: () => boolean): Promise<void>;
  ready(): number;
  stop(keepSessions: boolean): Promise<void>;
}

export const INFO: GatewayInfo = {
  url: "",
  shards: 1,
  total: 1000,
  remaining: 1000,
  resetAfterMs: 86_400_000,
  maxConcurrency: 16,
};

const isStill = (clock: Clock): clock is StillClock => "until" in clock;

export interface Given extends Partial<FleetOptions> {
  readonly info?: Partial<GatewayInfo>;
  readonly stored?: readonly StoredSession[];
}

export function fleetUnderTest(url: string, given: Given & { readonly clock: Clock }): FleetUnderTest {
  const { clock, info = {}, stored = [], ...options } = given;
  const telemetry = recordingTelemetry();
  const received = new Map<number, number>();
  const subject: Omit<FleetUnderTest, "fleet"> = {
    telemetry,
    dispatched: [],
    sessions: [],
    fatals: [],
    info: { ...INFO, url, ...info },
    fetches: 0,
    async until(what, holds) {
      const failure = new Error(`never came: ${what}`);
      try {
        if (isStill(clock)) await clock.until(what, holds, LONGEST_MS);
        for (let look = 0; !holds(); look++) {
          if (look > LOOKS) throw failure;
          await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
        }
      } catch {
        const told = [...telemetry.events.slice(-30), ...telemetry.lines.slice(-20)];
        failure.message += `\n${told.map((each) => JSON.stringify(each)).join("\n")}`;
        throw failure;
      }
    },
    async stop(keepSessions) {
      const stopped = fleet.stop({ keepSessions });
      if (isStill(clock)) await clock.pass(LONGEST_STOP_MS);
      await stopped;
    },
    ready: () => fleet.status().ready,
  };
  const fleet = createFleet({
    clock,
    random: Math.random,
    telemetry,
    userAgent: "DiscordBot (https://github.com/mooring-bot/mooring, 0.1.0)",
    token: new Secret(TOKEN),
    intents: 513,
    intentNames: ["GUILDS", "GUILD_MESSAGES"],
    shardCount: 1,
    compression: "none",
    gatewayUrl: url,
    identifyOverride: false,
    fetchGateway: async () => {
      built.fetches++;
      return built.info;
    },
    storedSessions: stored,
    onDispatch(shard, sequence, type, _data, replayed) {
      received.set(shard, sequence);
      built.dispatched.push({ shard, sequence, type, replayed });
    },
    finished: (shard) => ({ sequence: received.get(shard) ?? 0, finishedAbove: [], unfinished: [] }),
    onSession: (shard, session, sequence) => void built.sessions.push({ shard, session, sequence }),
    onFatal: (fatal) => void built.fatals.push(fatal),
    ...options,
  });
  const built: FleetUnderTest = Object.assign(subject, { fleet });
  return built;
}
