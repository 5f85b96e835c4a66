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
/** A burst that takes ten minutes to send is a mistake of the caller's. */
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
}

/** @param limit payloads of the caller's in any 61 s, heartbeats included, at most 115 */
export function createOutbox(limit: number = DEFAULT_LIMIT): Outbox {
  const highest = Math.min(limit, DEFAULT_LIMIT);
  let normal = highest;
  // Send times of this connection, ascending, at most URGENT_LIMIT of them.
  let sent: number[] = [];
  const queue: string[] = [];

  const forget = (now: number): void => {
    while (sent.length > 0 && now - (sent[0] ?? now) >= WINDOW_MS) sent.shift();
  };
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
    },
    beatsEvery(intervalMs) {
      // Beats come up to 5 % early; one more is there for a beat that Discord asks for.
      const beats = Math.ceil(WINDOW_MS / (intervalMs * 0.95)) + 1;
      normal = Math.max(1, Math.min(highest, URGENT_LIMIT - beats));
    },
    urgent: (now) => count(now, URGENT_LIMIT),
    drain(now) {
      forget(now);
      const going = queue.splice(0, Math.max(0, normal - sent.length));
      for (let number = 0; number < going.length; number++) sent.push(now);
      return going;
    },
    nextAt: (now) => (queue.length === 0 ? null : roomAt(now, normal)),
    roomAt: (now) => roomAt(now, normal),
    urgentAt: (now) => roomAt(now, URGENT_LIMIT),
    take: (now) => count(now, normal),
    queued: () => queue.length,
  };
}
