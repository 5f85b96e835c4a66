// One shard as a pure reducer: what comes in changes the state and yields effects; no socket, no timer, no clock.

import { START } from "../resilience/backoff.ts";
import { closeVerdict } from "./closeCodes.ts";
import {
  awaitDial,
  awaitIdentifyTurn,
  begin,
  common,
  dial,
  isConnected,
  type ShardContext,
  type Step,
  same,
  step,
} from "./dialling.ts";
import { acknowledge, beat, beatOnRequest, beatWithGrace, judge, startHeartbeat } from "./heartbeat.ts";
import { lose, stop } from "./leaving.ts";
import { heartbeatInterval, OPCODE, type Payload, readySession, usableUrl } from "./protocol.ts";

import {
  type Beating,
  type Close,
  DEADLINE_MS,
  type Effect,
  type Input,
  isBeating,
  type Ready,
  type Resuming,
  type Session,
  type ShardState,
} from "./sessionState.ts";

/** A session is resumable for "a few minutes" (events/gateway#resuming); from here on one RESUME is tried, no more. */
const LAST_CHANCE_MS = 180_000;

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
      return onTimer(state, input.behind, now, random, shard);
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
      return lose(state, now, random, shard, { by: "us", reason: input.reason });
    case "closed":
      return onClosed(state, input.code, now, random, shard);
    case "payload":
      return onPayload(state, input.payload, now, random, shard);
  }
}

function onTimer(state: ShardState, behind: boolean, now: number, random: () => number, shard: ShardContext): Step {
  if (state.kind === "stopped") return same(state);
  if (state.kind === "waiting") {
    if (now < state.deadline) return same(state);
    if (state.for === "dial") return awaitDial(state, now, now, false);
    return awaitIdentifyTurn(state, now);
  }
  if (!isBeating(state)) {
    return now < state.deadline
      ? same(state)
      : lose(state, now, random, shard, { by: "us", reason: `${state.kind} timed out` });
  }
  if (state.kind !== "ready" && now >= state.deadline) {
    return lose(state, now, random, shard, { by: "us", reason: `${state.kind} timed out` });
  }
  if (now < state.heartbeat.dueAt) return same(state);
  const verdict = judge(state.heartbeat, now, behind);
  if (verdict === "beat") return sendBeat({ ...state, heartbeat: beat(state.heartbeat, now, random) });
  if (verdict === "grace") return sendBeat({ ...state, heartbeat: beatWithGrace(state.heartbeat, now) });
  const lost = lose(state, now, random, shard, { by: "us", reason: "heartbeat not acknowledged" });
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
  const close: Close = { code: code ?? null, by: code === undefined ? "network" : "discord", at: now };
  const verdict = closeVerdict(code, shard);
  if (verdict.action === "fatal") {
    const effects: Effect[] = [{ kind: "leaveQueues" }, { kind: "fatal", code: code ?? 0, fix: verdict.fix }];
    return { state: { ...common(state), kind: "stopped", lastClose: close, since: now }, effects };
  }
  const end = { by: close.by, code: close.code };
  if (verdict.action === "identify") return lose(state, now, random, shard, { ...end, refused: "backoff" });
  return lose(state, now, random, shard, { ...end, pauseMs: verdict.pauseMs });
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
      return onHello(state, payload.d, now, random, shard);
    case OPCODE.RECONNECT:
      return lose(state, now, random, shard, { by: "us", reason: "asked to reconnect", ordered: true });
    case OPCODE.INVALID_SESSION: {
      const reason = "session invalid";
      if (payload.d === true && state.session !== null) {
        return lose(state, now, random, shard, { by: "us", reason, ordered: true, backsOff: true });
      }
      return lose(state, now, random, shard, { by: "us", reason, refused: "spread" });
    }
    default:
      return same(state);
  }
}

function onHello(state: ShardState, data: unknown, now: number, random: () => number, shard: ShardContext): Step {
  if (state.kind !== "awaitingHello") return same(state);
  const intervalMs = heartbeatInterval(data);
  if (intervalMs === undefined)
    return lose(state, now, random, shard, { by: "us", reason: "HELLO without an interval" });
  // From the dial on: where we stood still meanwhile, HELLO may be old, and a full first wait would be too long for Discord.
  const heartbeat = startHeartbeat(intervalMs, state.dialledAt, random);
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
  if (found === undefined) return lose(state, now, random, shard, { by: "us", reason: "READY without a session" });
  const session: Session = { id: found.id, resumeUrl: usableUrl(found.resumeUrl, shard), sequence, liveAt: now };
  return step(
    { ...common(state), kind: "ready", session, heartbeat: state.heartbeat, failedDials: 0, since: now },
    { kind: "identifyAnswered" },
    { kind: "session", what: "started", sequence, replayed: 0 },
    { kind: "dispatch", sequence, type: "READY", data, replayed: false },
  );
}
