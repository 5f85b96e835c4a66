// How a shard comes to a connection: its places in the queues, and which host it dials (pure).

import type { Jitter } from "../resilience/backoff.ts";
import type { CloseContext } from "./closeCodes.ts";
import { type Beating, type Connecting, DEADLINE_MS, type Effect, isBeating, type ShardState } from "./sessionState.ts";

/** What a shard is, besides what it goes through. */
export interface ShardContext extends CloseContext {
  /** Whether `resume_gateway_url` may be ws://. */
  readonly plainAllowed: boolean;
  /** How chance spreads its reconnects. */
  readonly jitter: Jitter;
  /** Payloads in any 61 s (outbox.ts); by default as many as are safe. */
  readonly sendLimit?: number | undefined;
}

export interface Step {
  readonly state: ShardState;
  readonly effects: readonly Effect[];
}

/** Failed dials at the resume host before the generic one is tried too. */
const RESUME_HOST_TRIES = 2;

export const same = (state: ShardState): Step => ({ state, effects: [] });
export const step = (state: ShardState, ...effects: Effect[]): Step => ({ state, effects });

export function isConnected(state: ShardState): state is Connecting | Beating {
  return state.kind === "connecting" || state.kind === "awaitingHello" || isBeating(state);
}

export const common = ({ generation, session, failedDials, backoff, lastClose, since }: ShardState) =>
  ({ generation, session, failedDials, backoff, lastClose, since }) as const;

export function begin(state: ShardState, now: number): Step {
  return state.session === null ? awaitIdentifyTurn(state, now) : awaitDial(state, now, now, false);
}

export function awaitIdentifyTurn(state: ShardState, now: number): Step {
  const until = now + DEADLINE_MS.place;
  return step(
    { ...common(state), kind: "waiting", for: "identifyTurn", turn: false, since: now, until, deadline: until },
    { kind: "askIdentifyTurn" },
  );
}

/** Takes a place in the dial queue; a session, or a held identify turn, is what the dial is for. */
export function awaitDial(state: ShardState, now: number, notBefore: number, patient: boolean): Step {
  const turn = "turn" in state && state.turn;
  const deadline = notBefore + DEADLINE_MS.place;
  return step(
    { ...common(state), kind: "waiting", for: "dial", turn, since: now, until: notBefore, deadline },
    { kind: "askDial", notBefore, patient },
  );
}

/** The ladder: failed dials change the host only. The resume host, after two failures the generic one, then in turn. */
export function dial(state: ShardState & { kind: "waiting" }, now: number): Step {
  const { session, failedDials } = state;
  const resumes = session !== null && session.resumeUrl !== null;
  const host = resumes && (failedDials < RESUME_HOST_TRIES || failedDials % 2 === 1) ? "resume" : "generic";
  const generation = state.generation + 1;
  return step(
    {
      ...common(state),
      kind: "connecting",
      generation,
      turn: state.turn,
      host,
      dialledAt: now,
      since: now,
      deadline: now + DEADLINE_MS.connecting,
    },
    { kind: "dial", generation, host, session },
  );
}
