// A shard's states, what comes in and what goes out: the vocabulary of the reducer in session.ts (pure).

import type { Backoff } from "../resilience/backoff.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Payload } from "./protocol.ts";

/** Longest stay in a state, ms; each is that state's named deadline. */
export const DEADLINE_MS = {
  /** Name lookup, TCP, TLS and the upgrade together. */
  connecting: 10_000,
  awaitingHello: 10_000,
  /** From HELLO to the IDENTIFY's turn; the turn was near when the dial began. */
  turn: 30_000,
  /** From IDENTIFY to READY. In an outage Discord may keep a connection up and let it wait (events/gateway#heartbeat-interval). */
  ready: 120_000,
  /** From RESUME, or the last replayed dispatch, to the next. */
  replay: 60_000,
  /** A place in a queue is asked for again after this, lest a lost answer strands the shard. */
  place: 600_000,
} as const;

/** A session that RESUME may bring back. */
export interface Session {
  readonly id: string;
  /** null: READY named none that may be used; the generic host takes RESUMEs too. */
  readonly resumeUrl: string | null;
  /** The last dispatch received. */
  readonly sequence: number;
  /** When it was last known to live: the end of its last connection. */
  readonly liveAt: number;
}

/** How the last connection ended. */
export interface Close {
  readonly code: number | null;
  readonly by: "us" | "discord" | "network";
  readonly at: number;
}

interface Common {
  /** Number of the newest connection; callbacks of older ones are ignored. */
  readonly generation: number;
  readonly session: Session | null;
  /** Connections in a row that ended before READY or RESUMED through no order of Discord's: chooses the host. */
  readonly failedDials: number;
  readonly backoff: Backoff;
  readonly lastClose: Close | null;
  /** When this state was entered. */
  readonly since: number;
}

/** No socket. pause: backs off before it asks to identify. identifyTurn, budget: in the identify queue. dial: in the dial queue. */
export interface Waiting extends Common {
  readonly kind: "waiting";
  readonly for: "pause" | "identifyTurn" | "budget" | "dial";
  /** Holds an identify turn while it dials. */
  readonly turn: boolean;
  /** When the wait is over, as far as is known. */
  readonly until: number;
  readonly deadline: number;
}

export interface Connecting extends Common {
  readonly kind: "connecting" | "awaitingHello";
  readonly dialledAt: number;
  readonly turn: boolean;
  readonly host: "resume" | "generic";
  readonly deadline: number;
}

export interface Identifying extends Common {
  readonly kind: "identifying";
  /** false while the IDENTIFY still waits for its moment. */
  readonly sent: boolean;
  readonly heartbeat: Heartbeat;
  readonly deadline: number;
}

export interface Resuming extends Common {
  readonly kind: "resuming";
  readonly session: Session;
  readonly heartbeat: Heartbeat;
  readonly replayed: number;
  /** The session is so old that, should this RESUME fail in any way, an IDENTIFY follows. */
  readonly lastChance: boolean;
  readonly deadline: number;
}

export interface Ready extends Common {
  readonly kind: "ready";
  readonly session: Session;
  readonly heartbeat: Heartbeat;
}

export interface Stopped extends Common {
  readonly kind: "stopped";
}

export type ShardState = Waiting | Connecting | Identifying | Resuming | Ready | Stopped;

/** A state whose connection beats. */
export type Beating = Identifying | Resuming | Ready;

/** What may happen to a shard; `generation` says to which connection. */
export type Input =
  | { readonly kind: "start" }
  /** The instant of `nextDeadline` has come. `behind`: bytes of the peer's wait to be read. */
  | { readonly kind: "timer"; readonly behind: boolean }
  /** The identify queue: an IDENTIFY's turn is near, dial. */
  | { readonly kind: "identifyTurn" }
  /** The identify queue: send the IDENTIFY now. */
  | { readonly kind: "identifyNow" }
  /** The identify queue: the budget is at its reserve until then. */
  | { readonly kind: "budget"; readonly until: number }
  /** The dial queue: dial now. */
  | { readonly kind: "dialTurn" }
  | { readonly kind: "opened"; readonly generation: number }
  | { readonly kind: "payload"; readonly generation: number; readonly payload: Payload }
  /** A message that does not inflate or parse. */
  | { readonly kind: "broken"; readonly generation: number; readonly reason: string }
  | { readonly kind: "closed"; readonly generation: number; readonly code: number | undefined }
  /** The machine was suspended: connections may be dead without a sign. */
  | { readonly kind: "suspended" }
  | { readonly kind: "stop"; readonly keepSession: boolean };

/** What the driver carries out, in order. */
export type Effect =
  | { readonly kind: "askIdentifyTurn" }
  /** HELLO is here; the IDENTIFY waits only for its moment. */
  | { readonly kind: "identifyReady" }
  /** READY, op 9 or the other side's close answered the IDENTIFY. */
  | { readonly kind: "identifyAnswered" }
  /** `patient`: the wait is a rule of Discord's and no probe may cut it short. */
  | { readonly kind: "askDial"; readonly notBefore: number; readonly patient: boolean }
  | { readonly kind: "leaveQueues" }
  | {
      readonly kind: "dial";
      readonly generation: number;
      readonly host: "resume" | "generic";
      readonly session: Session | null;
    }
  /** The host did not get as far as HELLO. */
  | { readonly kind: "unreachable"; readonly host: "resume" | "generic" }
  | { readonly kind: "reachable"; readonly host: "resume" | "generic" }
  | { readonly kind: "close"; readonly generation: number; readonly code: number; readonly reason: string }
  | { readonly kind: "heartbeat"; readonly sequence: number | null }
  | { readonly kind: "identify" }
  | { readonly kind: "resume"; readonly session: Session }
  | {
      readonly kind: "dispatch";
      readonly sequence: number;
      readonly type: string;
      readonly data: unknown;
      readonly replayed: boolean;
    }
  /** started: `sequence` is READY's. resumed: the last replayed one. dropped: the last received one. */
  | {
      readonly kind: "session";
      readonly what: "started" | "resumed" | "dropped";
      readonly sequence: number;
      readonly replayed: number;
    }
  | { readonly kind: "acknowledged"; readonly latencyMs: number }
  | { readonly kind: "acknowledgementMissed" }
  | { readonly kind: "fatal"; readonly code: number; readonly fix: string };

/** A state as a person reads it. */
export type StateName =
  | "connecting"
  | "awaitingHello"
  | "waitingToIdentify"
  | "waitingForBudget"
  | "identifying"
  | "resuming"
  | "ready"
  | "waiting"
  | "stopped";

export function stateName(state: ShardState): StateName {
  if (state.kind === "identifying") return state.sent ? "identifying" : "waitingToIdentify";
  if (state.kind !== "waiting") return state.kind;
  if (state.for === "identifyTurn") return "waitingToIdentify";
  return state.for === "budget" ? "waitingForBudget" : "waiting";
}

export function isBeating(state: ShardState): state is Beating {
  return state.kind === "identifying" || state.kind === "resuming" || state.kind === "ready";
}

/** When the reducer wants its next `timer`; null when never. A ready shard's deadline is its next heartbeat. */
export function nextDeadline(state: ShardState): number | null {
  if (state.kind === "stopped") return null;
  if (state.kind === "ready") return state.heartbeat.dueAt;
  return isBeating(state) ? Math.min(state.deadline, state.heartbeat.dueAt) : state.deadline;
}
