// The waits that were announced, and who came back too early: a Retry-After is a promise that the client must keep.

interface Wait {
  readonly givenAt: number;
  readonly until: number;
  readonly connection: number;
}

/** Bounded: past this many, waits that are over are dropped. */
const SWEEP_AT = 10_000;

export class Waits {
  readonly #graceMs: number;
  readonly #waits = new Map<string, Wait>();

  /** @param graceMs how long a request on another connection may have been under way when the answer went out. */
  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** An answer on `connection` said: not before `until`. */
  give(key: string, now: number, until: number, connection: number): void {
    if (this.#waits.size >= SWEEP_AT)
      for (const [old, wait] of this.#waits) if (wait.until <= now) this.#waits.delete(old);
    const before = this.#waits.get(key);
    // A wait that still runs is not shortened, nor is its beginning forgotten, by the answer to one that was under way.
    if (before !== undefined && before.until > now) {
      this.#waits.set(key, { ...before, until: Math.max(before.until, until) });
    } else {
      this.#waits.set(key, { givenAt: now, until, connection });
    }
  }

  /** Ms by which a request at `now` is too early; 0 if it is not, or was under way when the wait was given. */
  early(key: string, now: number, connection: number): number {
    const wait = this.#waits.get(key);
    if (wait === undefined) return 0;
    if (now >= wait.until) {
      this.#waits.delete(key);
      return 0;
    }
    // HTTP/1.1 answers in order: what comes on the same connection after the answer was sent after it.
    const knew = connection === wait.connection || now - wait.givenAt > this.#graceMs;
    return knew ? wait.until - now : 0;
  }

  forget(key: string): void {
    this.#waits.delete(key);
  }
}
