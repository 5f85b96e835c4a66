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

/** Takes a payload back out of the queue; once it went, nothing happens. */
export type Withdraw = () => void;

/** A payload that goes, and who is to be told. */
export interface Outgoing {
  readonly text: string;
  sent(): void;
}

/** One for each shard, which is why it is a class: its functions are shared. */
export class Outbox {
  readonly #highest: number;
  #normal: number;
  // How many payloads may go at once, as of `allowedAt`; it grows with time up to `#atOnce()`.
  #allowance = Number.POSITIVE_INFINITY;
  #allowedAt = Number.NEGATIVE_INFINITY;
  // Send times of this connection, ascending, at most URGENT_LIMIT of them.
  #sent: number[] = [];
  readonly #queue: Outgoing[] = [];

  /** @param limit payloads of the caller's in any 61 s, heartbeats included, at most 115 */
  constructor(limit: number = DEFAULT_LIMIT) {
    this.#highest = Math.min(limit, DEFAULT_LIMIT);
    this.#normal = this.#highest;
  }

  /** Queues one payload's text. Throws an OutboxError when it is too large or the queue is full. */
  offer(text: string, sent: () => void = () => {}): Withdraw {
    const bytes = Buffer.byteLength(text);
    if (bytes > MOST_BYTES) {
      throw new OutboxError("tooLarge", `gateway payload has ${bytes} bytes, Discord takes ${MOST_BYTES}: shorten it`);
    }
    if (this.#queue.length >= MOST_QUEUED) {
      throw new OutboxError(
        "full",
        `${MOST_QUEUED} gateway payloads wait already, ${this.#normal} go a minute: send fewer`,
      );
    }
    const outgoing = { text, sent };
    this.#queue.push(outgoing);
    return () => {
      const place = this.#queue.indexOf(outgoing);
      if (place >= 0) this.#queue.splice(place, 1);
    };
  }

  /** A new connection: nothing was sent on it. What is queued stays. */
  connect(): void {
    this.#sent = [];
    this.#normal = this.#highest;
    this.#allowance = Number.POSITIVE_INFINITY;
  }

  /** Keeps room for the beats of this interval: the shorter it is, the fewer payloads of the caller's go. */
  beatsEvery(intervalMs: number): void {
    // Beats come up to 5 % early; one more is there for a beat that Discord asks for.
    const beats = Math.ceil(WINDOW_MS / (intervalMs * 0.95)) + 1;
    this.#normal = Math.max(1, Math.min(this.#highest, URGENT_LIMIT - beats));
  }

  /** Whether a heartbeat, IDENTIFY or RESUME may go now; it counts as sent when so. */
  urgent(now: number): boolean {
    return this.#count(now, URGENT_LIMIT);
  }

  /** The queued payloads that may go now, counted as sent; call it in READY only. */
  drain(now: number): readonly Outgoing[] {
    this.#forget(now);
    const room = Math.min(this.#normal - this.#sent.length, this.#allowed(now));
    const going = this.#queue.splice(0, Math.max(0, room));
    this.#allowance -= going.length;
    for (let number = 0; number < going.length; number++) this.#sent.push(now);
    return going;
  }

  /** When the next queued payload may go; null: none waits. */
  nextAt(now: number): number | null {
    return this.#queue.length === 0 ? null : this.roomAt(now);
  }

  /** When `take` will find room. */
  roomAt(now: number): number {
    const one = this.#allowed(now) >= 1 ? now : now + (1 - this.#allowance) / this.#perMs();
    return Math.max(this.#below(this.#normal, now), one);
  }

  /** When the next urgent payload may go. */
  urgentAt(now: number): number {
    return this.#below(URGENT_LIMIT, now);
  }

  /** Counts a payload that is not queued here against the normal limit; false: no room now. */
  take(now: number): boolean {
    if (this.#allowed(now) < 1 || !this.#count(now, this.#normal)) return false;
    this.#allowance--;
    return true;
  }

  queued(): number {
    return this.#queue.length;
  }

  /** Payloads sent on this connection in the last 61 s. */
  lately(now: number): number {
    this.#forget(now);
    return this.#sent.length;
  }

  #forget(now: number): void {
    // As `#below` adds up: a difference would round otherwise, and the two would disagree for ever.
    while ((this.#sent[0] ?? now) + WINDOW_MS <= now) this.#sent.shift();
  }

  #atOnce(): number {
    return Math.min(MOST_AT_ONCE, Math.ceil(this.#normal / 3));
  }

  #perMs(): number {
    return Math.max(1, this.#normal - this.#atOnce()) / WINDOW_MS;
  }

  #allowed(now: number): number {
    const grown = this.#allowance + Math.max(0, now - this.#allowedAt) * this.#perMs();
    this.#allowance = Math.min(this.#atOnce(), grown);
    this.#allowedAt = now;
    // What rounding took from a whole payload is given back.
    return Math.floor(this.#allowance + 1e-6);
  }

  #count(now: number, most: number): boolean {
    this.#forget(now);
    if (this.#sent.length >= most) return false;
    this.#sent.push(now);
    return true;
  }

  /** When fewer than `most` payloads lie in the window. */
  #below(most: number, now: number): number {
    this.#forget(now);
    const blocking = this.#sent[this.#sent.length - most];
    return blocking === undefined ? now : blocking + WINDOW_MS;
  }
}
