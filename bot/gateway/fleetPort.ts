// What a fleet of shards is to the rest of the bot: what it is made from, and what it offers.

import type { IntentName } from "../../shared/application.ts";
import type { Secret } from "../../shared/secret.ts";
import type { Clock, Random } from "../clock.ts";
import type { Members, MembersQuery, Presence } from "../defineBot.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import type { Jitter } from "../resilience/backoff.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Connect } from "./connection.ts";
import type { FleetStatus } from "./fleetStatus.ts";
import type { GatewayInfo } from "./identify.ts";
import type { Compression } from "./inflate.ts";
import type { IdentifyPermit } from "./spending.ts";
import type { Finished } from "./storedSessions.ts";

export interface FleetOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly userAgent: string;
  readonly token: Secret;
  readonly intents: number;
  readonly intentNames: readonly IntentName[];
  readonly shardCount: number | "auto";
  /** What "auto" stands for where no stored session tells; undefined: what Discord recommends. */
  readonly keptShardCount?: number | undefined;
  readonly shardIds?: readonly number[] | undefined;
  readonly compression: Compression;
  /** Replaces `url` of GET /gateway/bot, whose limits are still read. */
  readonly gatewayUrl?: string | undefined;
  /** Whether a `resume_gateway_url` of ws:// is dialled; by default only with `gatewayUrl`. */
  readonly plainAllowed?: boolean | undefined;
  readonly identifyReserve?: number | undefined;
  readonly identifyOverride: boolean;
  /** Milliseconds after `start` before the first IDENTIFY: for a process that was started too often (crashLoopPauseMs). */
  readonly identifyDelayMs?: number | undefined;
  /** GET /gateway/bot; while it rejects it is asked again with backoff. */
  fetchGateway(signal: AbortSignal): Promise<GatewayInfo>;
  readonly storedSessions: readonly StoredSession[];
  /** Every dispatch, READY and RESUMED included: synchronous, in order of sequence, and it must not throw. */
  onDispatch(shard: number, sequence: number, type: string, data: unknown, replayed: boolean): void;
  /** How far a shard's handlers have come; asked when sessions are exported. */
  finished(shard: number): Finished;
  /** Before the dispatch that brought it. started: `sequence` is READY's. resumed: the last replayed one. */
  onSession(shard: number, session: "started" | "resumed" | "dropped", sequence: number): void;
  /** A ready shard's connection was ended, and not by us. */
  onCutOff?(shard: number): void;
  /** Once: none of `shardIds` is below the count that `auto` has found, so there is nothing to run. */
  onNoShard?(shardCount: number): void;
  /** Once; by then every shard has stopped. */
  onFatal(fatal: { readonly code: string; readonly fix: string }): void;
  /** How chance spreads reconnects (resilience/backoff.ts); by default full. */
  readonly jitter?: Jitter | undefined;
  /** Payloads that a shard sends in any 61 s, heartbeats included; by default 115. */
  readonly sendLimit?: number | undefined;
  /** Opens a connection; by default over `ws`. */
  readonly connect?: Connect | undefined;
  /** Shards come and go by `take` and `giveUp`; by default all of them run from `start` on. */
  readonly leased?: boolean | undefined;
  /** Asked before each IDENTIFY where other processes use the token, too. */
  readonly identifyPermit?: IdentifyPermit | undefined;
  /** The gateway's edge bans this address, or does so no more. */
  onEdge?(state: "banned" | "clear"): void;
}

export interface Fleet {
  start(): void;
  stop(options: { readonly keepSessions: boolean }): Promise<void>;
  setRestBan(untilWall: number | undefined): void;
  setPresence(presence: Presence, target?: { readonly shard?: number | undefined }): void;
  requestGuildMembers(query: MembersQuery, signal?: AbortSignal): Promise<Members>;
  sessions(): StoredSession[];
  /** Runs one more shard, from its session if that is ours. Only when leased, and after `start`. */
  take(shard: number, shardCount: number, stored: StoredSession | undefined): void;
  /** Leaves shards to another process: resolves to their sessions once nothing comes in on them any more. */
  giveUp(shards: readonly number[]): Promise<readonly StoredSession[]>;
  status(): FleetStatus;
}
