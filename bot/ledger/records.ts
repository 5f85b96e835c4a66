// The records that a ledger keeps: read from JSON with every field checked, written with exactly the promised names (pure).

import type { StoredRefusal, StoredSession } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";

/** Most process starts that are kept, newest last: more than any window over them can need. */
export const MOST_STARTS = 100;

/** The value when it is a record of its kind, undefined when it is not; members that are not ours are left out. */
export type Reader<Value> = (value: unknown) => Value | undefined;

/**
 * What is kept once `next` comes, with nothing but the promised names; an older checkpoint than the kept one changes
 * nothing. Throws a LedgerError for a session that could not be read back: that is a bug, not the ledger's fault.
 */
export function newerSessions(
  kept: readonly StoredSession[],
  next: readonly StoredSession[],
): readonly StoredSession[] {
  const checked = readSessions(next);
  if (checked === undefined) throw new LedgerError("unwritable", "a session to keep lacks a field; this is a bug");
  const newest = (sessions: readonly StoredSession[]): number =>
    Math.max(...sessions.map(({ writtenAt }) => writtenAt));
  // Of the shards that both have: one that was written last and is gone makes what is left no older.
  const inBoth = kept.filter(({ shard }) => checked.some((session) => session.shard === shard));
  const isOlder = checked.length > 0 && newest(checked) < newest(inBoth.length > 0 ? inBoth : kept);
  // A session's own numbers say more than a wall clock, which may be set back between two checkpoints.
  return isOlder && !checked.some((session) => isFurther(session, kept)) ? kept : checked;
}

/**
 * Of several tasks' checkpoints each shard's last session: the one under the highest fence, among equals the newest.
 * In order of shard counts and shards.
 */
export function bestSessions(sessions: readonly StoredSession[]): readonly StoredSession[] {
  const best = new Map<string, StoredSession>();
  for (const session of sessions) {
    const place = `${session.shard} of ${session.shardCount}`;
    const rival = best.get(place);
    if (rival === undefined || isAhead(session, rival)) best.set(place, session);
  }
  return [...best.values()].sort((one, other) => one.shardCount - other.shardCount || one.shard - other.shard);
}

function isAhead(session: StoredSession, rival: StoredSession): boolean {
  const moves = (session.fence ?? 0) - (rival.fence ?? 0);
  return (moves || session.writtenAt - rival.writtenAt || session.sequence - rival.sequence) > 0;
}

/** Whether a session goes on from where it is kept. */
function isFurther(next: StoredSession, kept: readonly StoredSession[]): boolean {
  const before = kept.find(({ shard, sessionId }) => shard === next.shard && sessionId === next.sessionId);
  if (before === undefined) return false;
  const above = (session: StoredSession): number => session.finishedAbove?.length ?? 0;
  return next.sequence === before.sequence ? above(next) > above(before) : next.sequence > before.sequence;
}

/** The kept starts with one more, in order and bounded. */
export function withStart(starts: readonly number[], at: number): readonly number[] {
  return [...starts, at].sort((left, right) => left - right).slice(-MOST_STARTS);
}

export const readSessions: Reader<readonly StoredSession[]> = (value) => listOf(value, readSession);

export const readStarts: Reader<readonly number[]> = (value) => listOf(value, readTime);

export const readRefusal: Reader<StoredRefusal> = (value) => {
  if (!isObject(value)) return undefined;
  const { fingerprint, code, fix, writtenAt } = value;
  if (!isText(fingerprint) || !isText(code) || !isText(fix) || !isTime(writtenAt)) return undefined;
  return { fingerprint, code, fix, writtenAt };
};

const readSession: Reader<StoredSession> = (value) => {
  if (!isObject(value)) return undefined;
  const { shard, shardCount, sessionId, resumeGatewayUrl, sequence, intents, tokenHash, writtenAt } = value;
  if (!isCount(shard) || !isCount(shardCount) || shard >= shardCount) return undefined;
  if (!isText(sessionId) || !isText(resumeGatewayUrl) || !URL.canParse(resumeGatewayUrl)) return undefined;
  if (!isCount(sequence) || !isCount(intents) || !isText(tokenHash) || !isTime(writtenAt)) return undefined;
  const finishedAbove = value.finishedAbove === undefined ? [] : listOf(value.finishedAbove, readCount);
  const unfinished = value.unfinished === undefined ? [] : listOf(value.unfinished, readUnfinished);
  if (finishedAbove === undefined || unfinished === undefined) return undefined;
  if (value.fence !== undefined && !isCount(value.fence)) return undefined;
  return {
    shard,
    shardCount,
    sessionId,
    resumeGatewayUrl,
    sequence,
    intents,
    tokenHash,
    writtenAt,
    ...(finishedAbove.length > 0 && { finishedAbove }),
    ...(unfinished.length > 0 && { unfinished }),
    ...(value.fence !== undefined && { fence: value.fence }),
  };
};

const readUnfinished: Reader<{ readonly sequence: number; readonly deaths: number }> = (value) => {
  if (!isObject(value)) return undefined;
  const { sequence, deaths } = value;
  return isCount(sequence) && isCount(deaths) ? { sequence, deaths } : undefined;
};

const readCount: Reader<number> = (value) => (isCount(value) ? value : undefined);

const readTime: Reader<number> = (value) => (isTime(value) ? value : undefined);

function listOf<Value>(value: unknown, read: Reader<Value>): Value[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const list: Value[] = [];
  for (const item of value) {
    const record = read(item);
    if (record === undefined) return undefined;
    list.push(record);
  }
  return list;
}

type FieldName = keyof StoredSession | keyof StoredRefusal | "deaths";

function isObject(value: unknown): value is { readonly [Name in FieldName]?: unknown } {
  return typeof value === "object" && value !== null;
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && isTime(value);

/** A wall time, ms since 1970; a fast clock has fractions of a millisecond. */
const isTime = (value: unknown): value is number =>
  typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
