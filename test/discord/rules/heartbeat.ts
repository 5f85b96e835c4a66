// One connection's heartbeats: when the server gives up, and whether a sequence can be true (events/gateway#sending-heartbeats).

/** Discord publishes no grace; the simulator waits for one and a half intervals. */
const GRACE = 1.5;

export class Heartbeat {
  readonly #graceMs: number;
  #lastAt: number;
  #lowest: number | null = null;

  constructor(now: number, intervalMs: number) {
    this.#graceMs = intervalMs * GRACE;
    this.#lastAt = now;
  }

  /** When the connection is closed unless a heartbeat comes, ms. */
  deadline(): number {
    return this.#lastAt + this.#graceMs;
  }

  /**
   * A heartbeat arrives.
   * @param serverSequence the last sequence that went out on this session.
   * @returns what is wrong with its sequence, if anything is.
   */
  beat(now: number, sequence: number | null, serverSequence: number): string | undefined {
    this.#lastAt = now;
    if (sequence === null) return this.#lowest === null ? undefined : `null after ${this.#lowest}`;
    if (sequence > serverSequence) return `${sequence} is ahead of ${serverSequence}`;
    if (this.#lowest !== null && sequence < this.#lowest) return `${sequence} after ${this.#lowest}`;
    this.#lowest = sequence;
    return undefined;
  }

  /** Time during which we would not have read a heartbeat does not count. */
  excuse(now: number): void {
    this.#lastAt = now;
  }

  /** A new session starts counting at 1; a resumed one goes on from what the client said. */
  restart(sequence: number | null): void {
    this.#lowest = sequence;
  }
}
