// The port to state that outlives a process: gateway sessions, recent starts, a refusal by Discord, a bot's own values.

import type { Items } from "./items.ts";
import type { ShardPlan } from "./shardPlan.ts";

/** A gateway session as it is kept between processes; the names are those of sessions.json and are a promise. */
export interface StoredSession {
  readonly shard: number;
  readonly shardCount: number;
  readonly sessionId: string;
  readonly resumeGatewayUrl: string;
  /** The last dispatch up to which every handler has settled: what RESUME asks to replay from. */
  readonly sequence: number;
  /** Dispatches above `sequence` that are done already, ascending and bounded; a replay drops them. */
  readonly finishedAbove?: readonly number[];
  /** Dispatches above `sequence` whose handler was running, with the process deaths that each has seen. */
  readonly unfinished?: readonly { readonly sequence: number; readonly deaths: number }[];
  readonly intents: number;
  /** First 16 hex digits of the SHA-256 of the token: tells another token without knowing one. */
  readonly tokenHash: string;
  /** Wall time of the checkpoint, ms since 1970. */
  readonly writtenAt: number;
  /** How often the shard's lease had moved when it was written; absent where one process at a time has all shards. */
  readonly fence?: number;
}

/** What Discord refused, so that a restart with the same settings does not ask again. */
export interface StoredRefusal {
  /** Hash of token, intents and shards that were refused. */
  readonly fingerprint: string;
  readonly code: string;
  readonly fix: string;
  readonly writtenAt: number;
}

/** Most values that are kept; beyond it those go first that expire first. */
export const MOST_VALUES = 20_000;

/**
 * A bot's own small texts by key, such as who answers which question. Times are wall time, ms since 1970; a value is gone
 * at `expiresAt`. Every call may reject with a LedgerError.
 */
export interface Values {
  read(key: string, now: number): Promise<string | undefined>;
  /** Keeps the value unless the key has one; whether it was kept. One step: of several claims at once one wins. */
  claim(key: string, value: string, now: number, expiresAt: number): Promise<boolean>;
  /** Keeps the value, whatever was there. */
  write(key: string, value: string, now: number, expiresAt: number): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The number of shards, one for all processes. Every call may reject with a LedgerError. */
export interface ShardPlans {
  /** `version` names what was read, for `write`; both are undefined before the first write. */
  read(): Promise<{ readonly plan: ShardPlan | undefined; readonly version: string | undefined }>;
  /** Writes if the plan is still the one that was read as `version`; whether it was. */
  write(plan: ShardPlan, version: string | undefined): Promise<boolean>;
}

/** Every call may reject with a LedgerError; callers say so through `ledger.unreachable` and go on. */
export interface Ledger {
  /** Whether anything is kept when the process ends. */
  readonly persistent: boolean;
  readSessions(): Promise<readonly StoredSession[]>;
  /** Replaces the sessions of the named shards' process as a whole; a session left out is gone. */
  writeSessions(sessions: readonly StoredSession[]): Promise<void>;
  /** Wall times of process starts, newest last, bounded. */
  readStarts(): Promise<readonly number[]>;
  recordStart(at: number): Promise<void>;
  readRefusal(): Promise<StoredRefusal | undefined>;
  /** `undefined` forgets it. */
  writeRefusal(refusal: StoredRefusal | undefined): Promise<void>;
  readonly values: Values;
  readonly shardPlans: ShardPlans;
  /** What several tasks coordinate over, and this task's name among them; absent: one process at a time. */
  readonly shared?: { readonly items: Items; readonly task: string };
}
