// What a shard sends, kept within Discord's send limit and in order (pure).

/** A payload that is not taken; `kind` says why. */
export class OutboxError extends Error {
  override readonly name = "OutboxError";
  readonly kind: "tooLarge" | "full" | "noShard";

  constructor(kind: OutboxError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** More than 4,096 bytes end the connection with 4002 (events/gateway#sending-events). */
const MOST_BYTES = 4_096;

/** Discord: 120 payloads per 60 s per connection, heartbeats included (events/gateway#rate-limiting). */
export const DEFAULT_LIMIT = 115;
/** Only heartbeats, IDENTIFY and RESUME use the room up to here. */
const URGENT_LIMIT = 118;
/** A second more than Discord's window, since it counts on arrival and we on departure. */
const WINDOW_MS = 61_000;
/**
 * Payloads that may go at once; the rest of the limit is spread over the window. Were all sent at once, and the network
 * held one such burst up for longer than that second, it would meet the next one on arrival: 4008. Spread out, some four
 * seconds of delay stay within Discord's 120.
 */
const MOST_AT_ONCE = 30;
/** What takes more than ten minutes to send is a mistake of the caller's. */
const MOST_QUEUED = 1_000;

export interface Outbox {
  /** Queues one payload's text. Throws an OutboxError when it is too large or the queue is full. */
  offer(text: string): void;
  /** A new connection: nothing was sent on it. What is queued stays. */
  connect(): void;
  /** Keeps room for the beats of this interval: the shorter it is, the fewer payloads of the caller's go. */
  beatsEvery(intervalMs: number): void;
  /** Whether a heartbeat, IDENTIFY or RESUME may go now; it counts as sent when so. */
  urgent(now: number): boolean;
  /** The queued payloads that may go now, counted as sent; call it in READY only. */
  drain(now: number): readonly string[];
  /** When the next queued payload may go; null: none waits. */
  nextAt(now: number): number | null;
  /** When `take` will find room. */
  roomAt(now: number): number;
  /** When the next urgent payload may go. */
  urgentAt(now: number): number;
  /** Counts a payload that is not queued here against the normal limit; false: no room now. */
  take(now: number): boolean;
  queued(): number;
  /** Payloads sent on this connection in the last 61 s. */
  lately(now: number): number;
}

/** @param limit payloads of the caller's in any 61 s, heartbeats included, at most 115 */
export function createOutbox(limit: number = DEFAULT_LIMIT): Outbox {
  const highest = Math.min(limit, DEFAULT_LIMIT);
  let normal = highest;
  // How many payloads may go at once, as of `allowedAt`; it grows with time up to `atOnce()`.
  let allowance = Number.POSITIVE_INFINITY;
  let allowedAt = Number.NEGATIVE_INFINITY;
  // Send times of this connection, ascending, at most URGENT_LIMIT of them.
  let sent: number[] = [];
  const queue: string[] = [];

  const forget = (now: number): void => {
    // As `roomAt` adds up: a difference would round otherwise, and the two would disagree for ever.
    while ((sent[0] ?? now) + WINDOW_MS <= now) sent.shift();
  };
  const atOnce = (): number => Math.min(MOST_AT_ONCE, Math.ceil(normal / 3));
  const perMs = (): number => Math.max(1, normal - atOnce()) / WINDOW_MS;
  const allowed = (now: number): number => {
    allowance = Math.min(atOnce(), allowance + Math.max(0, now - allowedAt) * perMs());
    allowedAt = now;
    // What rounding took from a whole payload is given back.
    return Math.floor(allowance + 1e-6);
  };
  const normalAt = (now: number): number =>
    Math.max(roomAt(now, normal), allowed(now) >= 1 ? now : now + (1 - allowance) / perMs());

  const count = (now: number, most: number): boolean => {
    forget(now);
    if (sent.length >= most) return false;
    sent.push(now);
    return true;
  };
  const roomAt = (now: number, most: number): number => {
    forget(now);
    const blocking = sent[sent.length - most];
    return blocking === undefined ? now : blocking + WINDOW_MS;
  };

  return {
    offer(text) {
      const bytes = Buffer.byteLength(text);
      if (bytes > MOST_BYTES) {
        throw new OutboxError(
          "tooLarge",
          `gateway payload has ${bytes} bytes, Discord takes ${MOST_BYTES}: shorten it`,
        );
      }
      if (queue.length >= MOST_QUEUED) {
        throw new OutboxError(
          "full",
          `${MOST_QUEUED} gateway payloads wait already, ${normal} go a minute: send fewer`,
        );
      }
      queue.push(text);
    },
    connect() {
      sent = [];
      normal = highest;
      allowance = Number.POSITIVE_INFINITY;
    },
    beatsEvery(intervalMs) {
      // Beats come up to 5 % early; one more is there for a beat that Discord asks for.
      const beats = Math.ceil(WINDOW_MS / (intervalMs * 0.95)) + 1;
      normal = Math.max(1, Math.min(highest, URGENT_LIMIT - beats));
    },
    urgent: (now) => count(now, URGENT_LIMIT),
    drain(now) {
      forget(now);
      const going = queue.splice(0, Math.max(0, Math.min(normal - sent.length, allowed(now))));
      allowance -= going.length;
      for (let number = 0; number < going.length; number++) sent.push(now);
      return going;
    },
    nextAt: (now) => (queue.length === 0 ? null : normalAt(now)),
    roomAt: (now) => normalAt(now),
    urgentAt: (now) => roomAt(now, URGENT_LIMIT),
    take(now) {
      if (allowed(now) < 1 || !count(now, normal)) return false;
      allowance--;
      return true;
    },
    queued: () => queue.length,
    lately(now) {
      forget(now);
      return sent.length;
    },
  };
}
