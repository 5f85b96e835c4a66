// One shard as a pure reducer: what comes in changes the state and yields effects; no socket, no timer, no clock.

import { type BackoffRule, backOff, START } from "../resilience/backoff.ts";
import { type CloseContext, closeVerdict } from "./closeCodes.ts";
import { acknowledge, beat, beatOnRequest, beatWithGrace, judge, startHeartbeat } from "./heartbeat.ts";
import { heartbeatInterval, OPCODE, type Payload, readySession } from "./protocol.ts";
import {
  type Beating,
  type Close,
  type Connecting,
  DEADLINE_MS,
  type Effect,
  type Input,
  isBeating,
  type Ready,
  type Resuming,
  type Session,
  type ShardState,
} from "./sessionState.ts";

/** What a shard is, besides what it goes through. */
export interface ShardContext extends CloseContext {
  /** Whether `resume_gateway_url` may be ws://. */
  readonly plainAllowed: boolean;
  readonly backoff: BackoffRule;
}

export interface Step {
  readonly state: ShardState;
  readonly effects: readonly Effect[];
}

/** Full jitter up to 30 s. Dials that meet no HELLO are spaced further by the dial queue. */
export const RECONNECT_BACKOFF: BackoffRule = { baseMs: 500, capMs: 30_000, jitter: "full" };

/** Any code but 1000 and 1001 keeps the session (events/gateway#initiating-a-disconnect). */
export const KEEP_SESSION_CODE = 4000;
const END_SESSION_CODE = 1000;

/** Ready for this long, and the next loss is not held against the shard. */
const STABLE_MS = 30_000;

/** A session is resumable for "a few minutes" (events/gateway#resuming); from here on one RESUME is tried, no more. */
const LAST_CHANCE_MS = 180_000;

/** Failed dials at the resume host before the generic one is tried too. */
const RESUME_HOST_TRIES = 2;

/** Wait after op 9 false, ms: 1 to 5 s at random, so that refused shards do not come back together. */
const REFUSED_LEAST_MS = 1_000;
const REFUSED_SPREAD_MS = 4_000;

/** A shard before `start`, with the session of an earlier process when there is one. */
export function initialState(session: Session | null, now: number): ShardState {
  return { kind: "stopped", generation: 0, session, failedDials: 0, backoff: START, lastClose: null, since: now };
}

/** The one transition function. Inputs of older connections, and those that do not fit the state, change nothing. */
export function reduce(state: ShardState, input: Input, now: number, random: () => number, shard: ShardContext): Step {
  if ("generation" in input && (input.generation !== state.generation || !isConnected(state))) return same(state);
  switch (input.kind) {
    case "start":
      return state.kind === "stopped" ? begin(state, now) : same(state);
    case "stop":
      return stop(state, now, input.keepSession);
    case "timer":
      return onTimer(state, now, random);
    case "suspended":
      return isBeating(state) ? sendBeat({ ...state, heartbeat: beatWithGrace(state.heartbeat, now) }) : same(state);
    case "identifyTurn":
      if (state.kind !== "waiting" || state.session !== null || state.for === "dial") return same(state);
      return awaitDial({ ...state, turn: true }, now, now, false);
    case "budget":
      if (state.kind !== "waiting" || (state.for !== "identifyTurn" && state.for !== "budget")) return same(state);
      return same({
        ...state,
        for: "budget",
        since: state.for === "budget" ? state.since : now,
        until: input.until,
        deadline: input.until + DEADLINE_MS.place,
      });
    case "identifyNow":
      if (state.kind !== "identifying" || state.sent) return same(state);
      return step({ ...state, sent: true, since: now, deadline: now + DEADLINE_MS.ready }, { kind: "identify" });
    case "dialTurn":
      return state.kind === "waiting" && state.for === "dial" ? dial(state, now) : same(state);
    case "opened":
      if (state.kind !== "connecting") return same(state);
      return same({ ...state, kind: "awaitingHello", since: now, deadline: now + DEADLINE_MS.awaitingHello });
    case "broken":
      return lose(state, now, random, { by: "us", reason: input.reason });
    case "closed":
      return onClosed(state, input.code, now, random, shard);
    case "payload":
      return onPayload(state, input.payload, now, random, shard);
  }
}

const same = (state: ShardState): Step => ({ state, effects: [] });
const step = (state: ShardState, ...effects: Effect[]): Step => ({ state, effects });

function isConnected(state: ShardState): state is Connecting | Beating {
  return state.kind === "connecting" || state.kind === "awaitingHello" || isBeating(state);
}

const common = ({ generation, session, failedDials, backoff, lastClose, since }: ShardState) =>
  ({ generation, session, failedDials, backoff, lastClose, since }) as const;

function begin(state: ShardState, now: number): Step {
  return state.session === null ? awaitIdentifyTurn(state, now) : awaitDial(state, now, now, false);
}

function awaitIdentifyTurn(state: ShardState, now: number): Step {
  const until = now + DEADLINE_MS.place;
  return step(
    { ...common(state), kind: "waiting", for: "identifyTurn", turn: false, since: now, until, deadline: until },
    { kind: "askIdentifyTurn" },
  );
}

/** Takes a place in the dial queue; a session, or a held identify turn, is what the dial is for. */
function awaitDial(state: ShardState, now: number, notBefore: number, patient: boolean): Step {
  const turn = "turn" in state && state.turn;
  const deadline = notBefore + DEADLINE_MS.place;
  return step(
    { ...common(state), kind: "waiting", for: "dial", turn, since: now, until: notBefore, deadline },
    { kind: "askDial", notBefore, patient },
  );
}

/** The ladder: failed dials change the host only. The resume host, after two failures the generic one, then in turn. */
function dial(state: ShardState & { kind: "waiting" }, now: number): Step {
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
      since: now,
      deadline: now + DEADLINE_MS.connecting,
    },
    { kind: "dial", generation, host, session },
  );
}

function onTimer(state: ShardState, now: number, random: () => number): Step {
  if (state.kind === "stopped") return same(state);
  if (state.kind === "waiting") {
    if (now < state.deadline) return same(state);
    if (state.for === "dial") return awaitDial(state, now, now, false);
    return awaitIdentifyTurn(state, now);
  }
  if (!isBeating(state)) {
    return now < state.deadline
      ? same(state)
      : lose(state, now, random, { by: "us", reason: `${state.kind} timed out` });
  }
  if (state.kind !== "ready" && now >= state.deadline) {
    return lose(state, now, random, { by: "us", reason: `${state.kind} timed out` });
  }
  if (now < state.heartbeat.dueAt) return same(state);
  const verdict = judge(state.heartbeat, now);
  if (verdict === "beat") return sendBeat({ ...state, heartbeat: beat(state.heartbeat, now, random) });
  if (verdict === "grace") return sendBeat({ ...state, heartbeat: beatWithGrace(state.heartbeat, now) });
  const lost = lose(state, now, random, { by: "us", reason: "heartbeat not acknowledged" });
  return { state: lost.state, effects: [{ kind: "acknowledgementMissed" }, ...lost.effects] };
}

function sendBeat(state: Beating): Step {
  return step(state, { kind: "heartbeat", sequence: state.session?.sequence ?? null });
}

function onClosed(
  state: ShardState,
  code: number | undefined,
  now: number,
  random: () => number,
  shard: ShardContext,
): Step {
  const close: Close = { code: code ?? null, by: code === undefined || code === 1006 ? "network" : "discord", at: now };
  const verdict = closeVerdict(code, shard);
  if (verdict.action === "fatal") {
    const effects: Effect[] = [{ kind: "leaveQueues" }, { kind: "fatal", code: code ?? 0, fix: verdict.fix }];
    return { state: { ...common(state), kind: "stopped", lastClose: close, since: now }, effects };
  }
  const end = { by: close.by, code: close.code };
  if (verdict.action === "identify") return lose(state, now, random, { ...end, refused: "backoff" });
  return lose(state, now, random, { ...end, pauseMs: verdict.pauseMs });
}

function onPayload(state: ShardState, payload: Payload, now: number, random: () => number, shard: ShardContext): Step {
  switch (payload.op) {
    case OPCODE.DISPATCH:
      return onDispatch(state, payload, now, random, shard);
    case OPCODE.HEARTBEAT:
      if (!isBeating(state)) return same(state);
      return sendBeat({ ...state, heartbeat: beatOnRequest(state.heartbeat, now, random) });
    case OPCODE.HEARTBEAT_ACK: {
      if (!isBeating(state)) return same(state);
      const { heartbeat, latencyMs } = acknowledge(state.heartbeat, now);
      return latencyMs === null
        ? same({ ...state, heartbeat })
        : step({ ...state, heartbeat }, { kind: "acknowledged", latencyMs });
    }
    case OPCODE.HELLO:
      return onHello(state, payload.d, now, random);
    case OPCODE.RECONNECT:
      return lose(state, now, random, { by: "us", reason: "asked to reconnect", ordered: true });
    case OPCODE.INVALID_SESSION: {
      const reason = "session invalid";
      if (payload.d === true && state.session !== null) {
        return lose(state, now, random, { by: "us", reason, ordered: true, backsOff: true });
      }
      return lose(state, now, random, { by: "us", reason, refused: "spread" });
    }
    default:
      return same(state);
  }
}

function onHello(state: ShardState, data: unknown, now: number, random: () => number): Step {
  if (state.kind !== "awaitingHello") return same(state);
  const intervalMs = heartbeatInterval(data);
  if (intervalMs === undefined) return lose(state, now, random, { by: "us", reason: "HELLO without an interval" });
  const heartbeat = startHeartbeat(intervalMs, now, random);
  const reachable: Effect = { kind: "reachable", host: state.host };
  const { session } = state;
  if (session === null) {
    return step(
      { ...common(state), kind: "identifying", sent: false, heartbeat, since: now, deadline: now + DEADLINE_MS.turn },
      reachable,
      { kind: "identifyReady" },
    );
  }
  const resuming: Resuming = {
    ...common(state),
    kind: "resuming",
    session,
    heartbeat,
    replayed: 0,
    lastChance: now - session.liveAt >= LAST_CHANCE_MS,
    since: now,
    deadline: now + DEADLINE_MS.replay,
  };
  return step(resuming, reachable, { kind: "resume", session });
}

function onDispatch(state: ShardState, payload: Payload, now: number, random: () => number, shard: ShardContext): Step {
  const { s: sequence, t: type, d: data } = payload;
  if (sequence === null || type === null) return same(state);
  if (state.kind === "identifying") {
    return type === "READY" ? onReady(state, sequence, data, now, random, shard) : same(state);
  }
  if (state.kind !== "ready" && state.kind !== "resuming") return same(state);
  const resumed = state.kind === "resuming" && type === "RESUMED";
  // Sequences ascend by one in a session; an older one is a repeat of what was received.
  if (sequence <= state.session.sequence && !resumed) return same(state);
  const session = receivedUpTo(state.session, sequence);
  const replayed = state.kind === "resuming" && !resumed;
  const dispatch: Effect = { kind: "dispatch", sequence, type, data, replayed };
  if (!resumed) {
    if (state.kind === "ready") return { state: readyWith(state, session), effects: [dispatch] };
    return step({ ...state, session, replayed: state.replayed + 1, deadline: now + DEADLINE_MS.replay }, dispatch);
  }
  const ready: Ready = {
    ...common(state),
    kind: "ready",
    session,
    heartbeat: state.heartbeat,
    failedDials: 0,
    since: now,
  };
  const done: Effect = {
    kind: "session",
    what: "resumed",
    sequence: state.session.sequence,
    replayed: state.replayed,
  };
  return step(ready, done, dispatch);
}

/** Written out, not spread: this and the next run for every event, and a spread of a union is several times slower. */
function receivedUpTo({ id, resumeUrl, sequence, liveAt }: Session, received: number): Session {
  return { id, resumeUrl, sequence: Math.max(received, sequence), liveAt };
}

function readyWith(state: Ready, session: Session): Ready {
  const { generation, failedDials, backoff, lastClose, since, heartbeat } = state;
  return { kind: "ready", generation, session, failedDials, backoff, lastClose, since, heartbeat };
}

function onReady(
  state: Beating,
  sequence: number,
  data: unknown,
  now: number,
  random: () => number,
  shard: ShardContext,
): Step {
  const found = readySession(data);
  if (found === undefined) return lose(state, now, random, { by: "us", reason: "READY without a session" });
  const session: Session = { id: found.id, resumeUrl: usableUrl(found.resumeUrl, shard), sequence, liveAt: now };
  return step(
    { ...common(state), kind: "ready", session, heartbeat: state.heartbeat, failedDials: 0, since: now },
    { kind: "identifyAnswered" },
    { kind: "session", what: "started", sequence, replayed: 0 },
    { kind: "dispatch", sequence, type: "READY", data, replayed: false },
  );
}

/** The resume URL when it may be dialled: a plain ws:// one only where the caller chose the gateway himself. */
export function usableUrl(url: string | null, shard: { readonly plainAllowed: boolean }): string | null {
  if (url === null || !URL.canParse(url)) return null;
  const { protocol } = new URL(url);
  return protocol === "wss:" || (protocol === "ws:" && shard.plainAllowed) ? url : null;
}

interface Loss {
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
function lose(state: ShardState, now: number, random: () => number, loss: Loss): Step {
  if (!isConnected(state)) return same(state);
  const effects: Effect[] = [];
  if (loss.by === "us") {
    const reason = loss.reason ?? "";
    effects.push({ kind: "close", generation: state.generation, code: KEEP_SESSION_CODE, reason });
  }
  const beating = isBeating(state);
  const unreachable = !beating && !loss.ordered && loss.refused === undefined;
  if (!beating && unreachable) effects.push({ kind: "unreachable", host: state.host });
  if (state.kind === "identifying" && state.sent) effects.push({ kind: "identifyAnswered" });

  const stable = state.kind === "ready" && now - state.since >= STABLE_MS;
  const next = backOff(stable ? START : state.backoff, RECONNECT_BACKOFF, random);
  // An order to reconnect is followed at once (events/gateway-events#reconnect), unless it comes again and again.
  const delayMs = loss.ordered && !loss.backsOff && next.tries === 1 ? 0 : next.delayMs;
  const spreadMs = loss.refused === "spread" ? REFUSED_LEAST_MS + REFUSED_SPREAD_MS * random() : 0;
  const pauseMs = Math.max(spreadMs, loss.pauseMs ?? 0);
  const notBefore = now + Math.max(delayMs, pauseMs);

  const ended = loss.refused !== undefined || (state.kind === "resuming" && state.lastChance && !loss.ordered);
  const session = ended ? dropSession(state, effects) : keepSession(state, now);
  const code = loss.by === "us" ? KEEP_SESSION_CODE : (loss.code ?? null);
  const after = {
    ...common(state),
    session,
    failedDials: state.kind === "ready" || loss.ordered ? state.failedDials : state.failedDials + 1,
    backoff: { tries: next.tries, lastMs: next.lastMs },
    lastClose: { code, by: loss.by, at: now },
    since: now,
  } as const;
  // A dial that met nobody says nothing about the shard, so it keeps its identify turn.
  const turn = "turn" in state && state.turn && unreachable;
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
  const lived = state.kind === "ready" || (state.kind === "resuming" && state.replayed > 0);
  return lived ? { ...state.session, liveAt: now } : state.session;
}

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

function stop(state: ShardState, now: number, keep: boolean): Step {
  if (state.kind === "stopped" && (keep || state.session === null)) return same(state);
  const effects: Effect[] = [{ kind: "leaveQueues" }];
  const code = keep ? KEEP_SESSION_CODE : END_SESSION_CODE;
  const connected = isConnected(state);
  if (connected) effects.push({ kind: "close", generation: state.generation, code, reason: "stopping" });
  const session = keep ? keepSession(state, now) : dropSession(state, effects);
  const lastClose: Close | null = connected ? { code, by: "us", at: now } : state.lastClose;
  return { state: { ...common(state), kind: "stopped", session, lastClose, since: now }, effects };
}
