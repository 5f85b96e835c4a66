// One session's memory: its sequence, the events it can replay, and how long it outlives its connection (events/gateway#resuming).

export interface ShardTuple {
  readonly id: number;
  readonly count: number;
}

export interface Event {
  readonly sequence: number;
  readonly type: string;
  /** The whole payload, as it went out or would have. */
  readonly frame: string;
}

export type SessionEnd = "closed by the client" | "invalidated" | "expired" | "replay overflow" | "token reset";

type State =
  | { readonly kind: "attached" }
  | { readonly kind: "detached"; readonly at: number }
  | { readonly kind: "ended"; readonly why: SessionEnd };

export type ResumeVerdict =
  | { readonly kind: "replay"; readonly events: readonly Event[] }
  | { readonly kind: "ahead" }
  | { readonly kind: "refused"; readonly why: SessionEnd };

export interface SessionIdentity {
  readonly id: string;
  readonly shard: ShardTuple;
  readonly intents: number;
  /** v, encoding and compress of the connection it began on. */
  readonly parameters: string;
}

/** A READY this old has reached the client, however the connection ended; Discord publishes no such number. */
const READ_BY_THEN_MS = 2_000;

export class Session {
  readonly identity: SessionIdentity;
  readonly #lifetimeMs: number;
  #replayLimit: number;
  readonly #startedAt: number;
  #state: State = { kind: "attached" };
  #sequence = 0;
  #events: Event[] = [];
  #forgotten = 0;
  #answered = false;

  constructor(identity: SessionIdentity, now: number, lifetimeMs: number, replayLimit: number) {
    this.identity = identity;
    this.#startedAt = now;
    this.#lifetimeMs = lifetimeMs;
    this.#replayLimit = replayLimit;
  }

  get sequence(): number {
    return this.#sequence;
  }

  get attached(): boolean {
    return this.#state.kind === "attached";
  }

  /** When the connection was lost, ms; undefined while there is one, or no session. */
  get detachedAt(): number | undefined {
    return this.#state.kind === "detached" ? this.#state.at : undefined;
  }

  /** Numbers an event and keeps it for a replay. RESUMED has a number too but is told once only. */
  append(type: string, dataJson: string): Event {
    const sequence = ++this.#sequence;
    const frame = `{"t":"${type}","s":${sequence},"op":0,"d":${dataJson}}`;
    const event = { sequence, type, frame };
    if (type !== "RESUMED") {
      this.#events.push(event);
      // Twice the limit, then one cut: a bounded buffer without moving it for each event.
      if (this.#events.length > this.#replayLimit * 2) this.#trim();
    }
    return event;
  }

  /** The client has said something after READY: it knows of this session. */
  answered(): void {
    this.#answered = true;
  }

  detach(now: number): void {
    if (this.#state.kind === "attached") this.#state = { kind: "detached", at: now };
  }

  end(why: SessionEnd): void {
    if (this.#state.kind !== "ended") this.#state = { kind: "ended", why };
    this.#events = [];
  }

  /** Past its lifetime, or ended: a RESUME would be refused. */
  over(now: number): boolean {
    if (this.#state.kind === "detached" && now - this.#state.at >= this.#lifetimeMs) this.end("expired");
    return this.#state.kind === "ended";
  }

  /** A client that has read READY and lost the connection could resume this. */
  couldBeResumed(now: number): boolean {
    if (this.over(now) || this.#state.kind !== "detached") return false;
    return this.#answered || this.#state.at - this.#startedAt >= READ_BY_THEN_MS;
  }

  resume(now: number, sequence: number): ResumeVerdict {
    if (this.over(now)) return { kind: "refused", why: this.#state.kind === "ended" ? this.#state.why : "expired" };
    if (sequence > this.#sequence) {
      this.end("invalidated");
      return { kind: "ahead" };
    }
    this.#trim();
    if (sequence < this.#forgotten) {
      this.end("replay overflow");
      return { kind: "refused", why: "replay overflow" };
    }
    this.#state = { kind: "attached" };
    this.#answered = true;
    return { kind: "replay", events: this.#events.filter((event) => event.sequence > sequence) };
  }

  /** Keeps no more than `limit` events from now on. */
  limitReplay(limit: number): void {
    this.#replayLimit = limit;
    this.#trim();
  }

  #trim(): void {
    const excess = this.#events.length - this.#replayLimit;
    if (excess <= 0) return;
    this.#forgotten = this.#events[excess - 1]?.sequence ?? this.#forgotten;
    this.#events = this.#events.slice(excess);
  }
}
