// How a shard leaves a connection: what remains of its session, and how long it waits before the next (pure).

import { type BackoffRule, backOff, START } from "../resilience/backoff.ts";
import { awaitDial, common, isConnected, type ShardContext, type Step, same } from "./dialling.ts";
import { type Close, type Effect, isBeating, type Session, type ShardState } from "./sessionState.ts";

/** Before another dial, which costs no budget; a fleet in an outage is spaced further by the dial queue. */
const DIAL_BACKOFF: Omit<BackoffRule, "jitter"> = { baseMs: 500, capMs: 8_000 };

/** Before another IDENTIFY, which costs one of a day's. */
const IDENTIFY_BACKOFF: Omit<BackoffRule, "jitter"> = { baseMs: 500, capMs: 30_000 };

/** Any code but 1000 and 1001 keeps the session (events/gateway#initiating-a-disconnect). */
export const KEEP_SESSION_CODE = 4000;
const END_SESSION_CODE = 1000;

/** Ready for this long, and the next loss is not held against the shard. */
const STABLE_MS = 30_000;

/** Wait after op 9 false, ms: 1 to 5 s at random, so that refused shards do not come back together. */
const REFUSED_LEAST_MS = 1_000;
const REFUSED_SPREAD_MS = 4_000;

export interface Loss {
  readonly by: Close["by"];
  /** Set when we close: the socket still stands. */
  readonly reason?: string;
  readonly code?: number | null;
  readonly pauseMs?: number;
  /** Discord told us to go: no fault of the host's. */
  readonly ordered?: boolean;
  readonly backsOff?: boolean;
  /** Discord ended the session; spread: wait 1 to 5 s before the IDENTIFY. */
  readonly refused?: "backoff" | "spread";
}

/** A connection has ended or is to end: what remains of the session, and where the shard goes from here. */
export function lose(state: ShardState, now: number, random: () => number, shard: ShardContext, loss: Loss): Step {
  if (!isConnected(state)) return same(state);
  const effects: Effect[] = [];
  if (loss.by === "us") {
    const reason = loss.reason ?? "";
    effects.push({ kind: "close", generation: state.generation, code: KEEP_SESSION_CODE, reason });
  }
  const beating = isBeating(state);
  const unreachable = !beating && !loss.ordered && loss.refused === undefined;
  if (!beating && unreachable) effects.push({ kind: "unreachable", host: state.host });
  // When we leave by ourselves, an IDENTIFY may still be on its way and be counted on arrival.
  const isAnswered = loss.by !== "us" || loss.refused !== undefined;
  if (state.kind === "identifying" && state.sent && isAnswered) effects.push({ kind: "identifyAnswered" });

  // A dial that met nobody says nothing about the shard, so it keeps its identify turn.
  const turn = "turn" in state && state.turn && unreachable;
  const ended = loss.refused !== undefined || (state.kind === "resuming" && state.lastChance && !loss.ordered);
  const session = ended ? dropSession(state, effects) : keepSession(state, now);

  const stable = state.kind === "ready" && now - state.since >= STABLE_MS;
  const rule = session !== null || turn ? DIAL_BACKOFF : IDENTIFY_BACKOFF;
  // Dials that met nobody were no fault of the IDENTIFY that an outage longer than the session ends in.
  const afterOutage = state.kind === "resuming" && loss.refused === "spread" && state.failedDials > 0;
  const next = backOff(stable || afterOutage ? START : state.backoff, { ...rule, jitter: shard.jitter }, random);
  // An order to reconnect is followed at once (events/gateway-events#reconnect), unless it comes again and again.
  const delayMs = loss.ordered && !loss.backsOff && next.tries === 1 ? 0 : next.delayMs;
  const spreadMs = loss.refused === "spread" ? REFUSED_LEAST_MS + REFUSED_SPREAD_MS * random() : 0;
  const pauseMs = Math.max(spreadMs, loss.pauseMs ?? 0);
  const notBefore = now + Math.max(delayMs, pauseMs);

  const code = loss.by === "us" ? KEEP_SESSION_CODE : (loss.code ?? null);
  const after = {
    ...common(state),
    session,
    failedDials: lived(state) || loss.ordered ? state.failedDials : state.failedDials + 1,
    backoff: { tries: next.tries, lastMs: next.lastMs },
    lastClose: { code, by: loss.by, at: now },
    since: now,
  } as const;
  if (session !== null || turn) {
    const asked = awaitDial(
      { ...after, kind: "waiting", for: "dial", turn, until: notBefore, deadline: notBefore },
      now,
      notBefore,
      pauseMs > 0,
    );
    return { state: asked.state, effects: [...effects, ...asked.effects] };
  }
  effects.push({ kind: "leaveQueues" });
  return {
    state: { ...after, kind: "waiting", for: "pause", turn: false, until: notBefore, deadline: notBefore },
    effects,
  };
}

/** The session after a connection that was no answer to it. Its age counts from the end of its last live connection. */
function keepSession(state: ShardState, now: number): Session | null {
  if (state.session === null) return null;
  return lived(state) ? { ...state.session, liveAt: now } : state.session;
}

/** Whether the connection has brought anything of the session, so that its host is a good one. */
const lived = (state: ShardState): boolean =>
  state.kind === "ready" || (state.kind === "resuming" && state.replayed > 0);

/**
 * The only place where a session ends. Discord refused it (op 9 false, 4003, 4007, 4009), we end it (1000), or it was
 * too old for another try. An unreachable host is no reason.
 */
function dropSession(state: ShardState, effects: Effect[]): null {
  if (state.session !== null) {
    effects.push({ kind: "session", what: "dropped", sequence: state.session.sequence, replayed: 0 });
  }
  return null;
}

export function stop(state: ShardState, now: number, keep: boolean): Step {
  if (state.kind === "stopped" && (keep || state.session === null)) return same(state);
  const effects: Effect[] = [{ kind: "leaveQueues" }];
  const code = keep ? KEEP_SESSION_CODE : END_SESSION_CODE;
  const connected = isConnected(state);
  if (connected) effects.push({ kind: "close", generation: state.generation, code, reason: "stopping" });
  const session = keep ? keepSession(state, now) : dropSession(state, effects);
  const lastClose: Close | null = connected ? { code, by: "us", at: now } : state.lastClose;
  return { state: { ...common(state), kind: "stopped", session, lastClose, since: now }, effects };
}
