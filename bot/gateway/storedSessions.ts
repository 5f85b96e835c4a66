// Sessions between processes: which of the ledger's are ours to resume, and how a live one is written down.

import type { Clock } from "../clock.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import { usableUrl } from "./protocol.ts";
import type { Session } from "./sessionState.ts";

/** How far a shard's handlers have come. */
export interface Finished {
  readonly sequence: number;
  readonly finishedAbove: readonly number[];
  readonly unfinished: readonly { readonly sequence: number; readonly deaths: number }[];
}

/** What a session must have been made with. */
export interface Ownership {
  readonly hash: string;
  readonly intents: number;
  /** undefined: that of the newest session decides. */
  readonly shardCount: number | undefined;
  readonly shardIds: readonly number[] | undefined;
}

/** A session belongs to one token, intents and shard tuple; with any other it would be refused, or serve wrong guilds. */
export function sortSessions(
  stored: readonly StoredSession[],
  { hash, intents, shardCount, shardIds }: Ownership,
): { readonly ours: readonly StoredSession[]; readonly others: readonly StoredSession[] } {
  const made = stored.filter((session) => session.tokenHash === hash && session.intents === intents);
  const newest = made.toSorted((one, other) => other.writtenAt - one.writtenAt)[0];
  const count = shardCount ?? newest?.shardCount;
  const ours = made.filter(
    (session) => session.shardCount === count && (shardIds === undefined || shardIds.includes(session.shard)),
  );
  return { ours, others: stored.filter((session) => !ours.includes(session)) };
}

export function importSession(stored: StoredSession | undefined, clock: Clock, plainAllowed: boolean): Session | null {
  if (stored === undefined) return null;
  const resumeUrl = usableUrl(stored.resumeGatewayUrl, { plainAllowed });
  const liveAt = clock.now() - Math.max(0, clock.wall() - stored.writtenAt);
  return { id: stored.sessionId, resumeUrl, sequence: stored.sequence, liveAt };
}

/**
 * @param isLive its connection stands, so its age counts from now
 * @param notBefore `writtenAt` of the last time: a wall clock that was set back must not make a newer checkpoint look older
 */
export function exportSession(
  session: Session,
  isLive: boolean,
  owner: Pick<StoredSession, "shard" | "shardCount" | "intents" | "tokenHash">,
  { sequence, finishedAbove, unfinished }: Finished,
  clock: Clock,
  genericHost: string,
  notBefore: number,
): StoredSession {
  const ageMs = isLive ? 0 : clock.now() - session.liveAt;
  return {
    ...owner,
    sessionId: session.id,
    resumeGatewayUrl: session.resumeUrl ?? genericHost,
    sequence: Math.min(sequence, session.sequence),
    // Also what lies beyond the session's own sequence: after a restart the replay has yet to reach it.
    finishedAbove,
    unfinished,
    writtenAt: Math.max(notBefore, Math.round(clock.wall() - ageMs)),
  };
}
