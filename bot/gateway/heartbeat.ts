// When a connection's next heartbeat is due, and whether the last one's ACK says that the peer still lives (pure).

/** Beats come up to this share of the interval early, never late, so that a fleet does not beat in step. */
const EARLY_SHARE = 0.05;

/** A timer that fires this late means that the process stood still: an ACK may lie unread in the socket. */
const STALLED_MS = 1_000;

/** One more round trip for an ACK after the process stood still. */
const GRACE_MS = 5_000;

/** One connection's heartbeat; times are ms of the caller's clock. */
export interface Heartbeat {
  readonly intervalMs: number;
  readonly dueAt: number;
  /** When the oldest beat without an ACK was sent. */
  readonly unacknowledgedSince: number | null;
  /** That beat has had its one more round trip. */
  readonly graced: boolean;
}

/** After HELLO: the first beat comes at interval x random after `since` (events/gateway#sending-heartbeats). */
export function startHeartbeat(intervalMs: number, since: number, random: () => number): Heartbeat {
  return { intervalMs, dueAt: since + intervalMs * random(), unacknowledgedSince: null, graced: false };
}

/**
 * What to do when `dueAt` has come. zombie: the last beat is unanswered, so the connection is dead (events/gateway
 * #sending-heartbeats); close and resume. grace: it is unanswered, but the fault is ours; beat and judge a little later.
 * @param behind bytes that came are not read yet: each time anew the ACK may be among them
 */
export function judge(heartbeat: Heartbeat, now: number, behind: boolean): "beat" | "grace" | "zombie" {
  if (heartbeat.unacknowledgedSince === null) return "beat";
  if (behind) return "grace";
  return now - heartbeat.dueAt > STALLED_MS && !heartbeat.graced ? "grace" : "zombie";
}

/** A due beat goes out. */
export function beat(heartbeat: Heartbeat, now: number, random: () => number): Heartbeat {
  const dueAt = now + heartbeat.intervalMs * (1 - EARLY_SHARE * random());
  return { ...heartbeat, dueAt, unacknowledgedSince: heartbeat.unacknowledgedSince ?? now };
}

/** A beat goes out at once and its ACK is judged soon: after the process or the machine stood still. */
export function beatWithGrace(heartbeat: Heartbeat, now: number): Heartbeat {
  const dueAt = now + Math.min(GRACE_MS, heartbeat.intervalMs);
  return { ...heartbeat, dueAt, unacknowledgedSince: heartbeat.unacknowledgedSince ?? now, graced: true };
}

/** Discord asked for a beat (op 1). It replaces the next one, unless an ACK is owed: that judgement is not put off. */
export function beatOnRequest(heartbeat: Heartbeat, now: number, random: () => number): Heartbeat {
  return heartbeat.unacknowledgedSince === null ? beat(heartbeat, now, random) : heartbeat;
}

/** An ACK came: its latency in ms, null when none was owed. */
export function acknowledge(heartbeat: Heartbeat, now: number): { heartbeat: Heartbeat; latencyMs: number | null } {
  const since = heartbeat.unacknowledgedSince;
  return {
    heartbeat: { ...heartbeat, unacknowledgedSince: null, graced: false },
    latencyMs: since === null ? null : now - since,
  };
}
