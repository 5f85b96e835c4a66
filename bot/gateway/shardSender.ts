// What one shard sends on its connection: heartbeats and presence, IDENTIFY and RESUME, what the bot asks for; each when it may go.

import type { Cancel, Clock } from "../clock.ts";
import type { Presence } from "../defineBot.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { delayUntil } from "./delay.ts";
import type { ShardContext } from "./dialling.ts";
import { Outbox, OutboxError, type Withdraw } from "./outbox.ts";
import { PresenceKeeper } from "./presence.ts";
import { OPCODE } from "./protocol.ts";
import type { Session, ShardState } from "./sessionState.ts";

/** An IDENTIFY of at most 4,096 bytes carries the presence beside everything else. */
const MOST_PRESENCE_BYTES = 3_072;

export interface ShardSenderParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly context: ShardContext;
  /** The raw token; called only where an IDENTIFY or RESUME is written. */
  token(): string;
  state(): ShardState;
  /** Puts one payload on the newest connection. */
  write(text: string): void;
}

export interface ShardSender {
  /** A new connection: nothing was sent on it. */
  connect(): void;
  /** READY or RESUMED: what waits may go, the presence first. */
  ready(intervalMs: number): void;
  heartbeat(sequence: number | null): void;
  identify(): void;
  resume(session: Session): void;
  /** Throws an OutboxError when it is too large. */
  setPresence(presence: Presence): void;
  /** Queues one payload for READY, and calls back when it goes; throws an OutboxError when it is not taken. */
  send(op: number, data: unknown, sent: () => void): Withdraw;
  stop(): void;
}

export function shardSender({ clock, telemetry, context, token, state, write }: ShardSenderParts): ShardSender {
  const outbox = new Outbox(context.sendLimit);
  const presence = new PresenceKeeper();
  let beatOwed = false;
  let flush: { at: number; cancel: Cancel } | undefined;

  const sendUrgent = (op: number, data: object): void => {
    if (outbox.urgent(clock.now())) write(JSON.stringify({ op, d: data }));
  };

  const heartbeat = (sequence: number | null): void => {
    beatOwed = !outbox.urgent(clock.now());
    telemetry.observe("PayloadsPerMinute", outbox.lately(clock.now()));
    if (beatOwed) armFlush(outbox.urgentAt(clock.now()));
    else write(JSON.stringify({ op: OPCODE.HEARTBEAT, d: sequence }));
  };

  /** Sends what waits and may go, and comes back when more may. */
  const pump = (): void => {
    const now = clock.now();
    const { kind, session } = state();
    if (beatOwed) heartbeat(session?.sequence ?? null);
    if (kind !== "ready") return;
    const update = presence.due(now);
    if (update !== undefined && outbox.take(now)) {
      presence.sent(now);
      telemetry.count("PresenceUpdates");
      write(JSON.stringify({ op: OPCODE.PRESENCE_UPDATE, d: presenceData(update) }));
    }
    for (const { text, sent } of outbox.drain(now)) {
      write(text);
      sent();
    }
    const waits = [presence.nextAt(now), outbox.nextAt(now)].filter((at) => at !== null);
    if (waits.length > 0) armFlush(Math.max(Math.min(...waits), outbox.roomAt(now)));
  };

  const armFlush = (at: number): void => {
    if (flush !== undefined && flush.at <= at) return;
    flush?.cancel();
    const cancel = clock.schedule(delayUntil(at, clock), () => {
      flush = undefined;
      pump();
    });
    flush = { at, cancel };
  };

  return {
    connect() {
      beatOwed = false;
      outbox.connect();
    },
    ready(intervalMs) {
      outbox.beatsEvery(intervalMs);
      presence.assert();
      pump();
    },
    heartbeat,
    identify() {
      const wanted = presence.wanted();
      sendUrgent(OPCODE.IDENTIFY, {
        token: token(),
        properties: { os: process.platform, browser: "mooring", device: "mooring" },
        intents: context.intents,
        shard: [context.shard, context.shardCount],
        large_threshold: 50,
        ...(wanted === undefined ? {} : { presence: presenceData(wanted) }),
      });
    },
    resume: ({ id, sequence }) => sendUrgent(OPCODE.RESUME, { token: token(), session_id: id, seq: sequence }),
    setPresence(wanted) {
      const text = JSON.stringify({ op: OPCODE.PRESENCE_UPDATE, d: presenceData(wanted) });
      if (Buffer.byteLength(text) > MOST_PRESENCE_BYTES) {
        throw new OutboxError(
          "tooLarge",
          `a presence over ${MOST_PRESENCE_BYTES} bytes does not fit into an IDENTIFY: shorten it`,
        );
      }
      presence.want(wanted);
      // Not at once: what a caller sets in one go is one update.
      armFlush(clock.now());
    },
    send(op, data, sent) {
      const withdraw = outbox.offer(JSON.stringify({ op, d: data }), sent);
      pump();
      return withdraw;
    },
    stop() {
      flush?.cancel();
      flush = undefined;
    },
  };
}

/** All four fields, as op 3 wants them (events/gateway-events#update-presence). */
function presenceData(presence: Presence): object {
  const { status, activities = [], since = null, afk = false } = presence;
  return { since, activities, status, afk };
}
