// Discord's gateway as its documentation has it, strict: whatever a client does against it breaks the run.

import { GENERIC_HOST, Network, type NetworkOptions, type Peer, RESUME_HOSTS } from "./network.ts";
import type { Truth } from "./truth.ts";

/** One IDENTIFY a key within this (events/gateway#sharding-max-concurrency). */
const KEY_MS = 5_000;
/** 120 payloads per 60 s per connection (events/gateway#rate-limiting). */
const SENDS = { most: 120, windowMs: 60_000 };
/** 5 presence updates per 20 s per session (events/gateway-events#activity-object). */
const PRESENCES = { most: 5, windowMs: 20_000 };
const MOST_PAYLOAD_BYTES = 4_096;
/** The close codes after which a session cannot be resumed (topics/opcodes-and-status-codes). */
const ENDING_CODES: readonly number[] = [4003, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014];
const DAY_MS = 86_400_000;
export interface Session {
  readonly id: string;
  readonly shard: number;
  readonly events: { readonly s: number; readonly t: string; readonly d: unknown }[];
  sequence: number;
  /** Events up to here are no longer kept for a replay. */
  forgotten: number;
  alive: boolean;
  /** The activity that others see. */
  presence: string | undefined;
  peer: Peer | undefined;
  leftAt: number;
}

export interface GatewayAnswer {
  readonly url: string;
  readonly shards: number;
  readonly total: number;
  readonly remaining: number;
  readonly resetAfterMs: number;
  readonly maxConcurrency: number;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

const presenceOf = (data: unknown): string | undefined => {
  const name = member(member(member(data, "activities"), "0"), "name");
  return typeof name === "string" ? name : undefined;
};

export interface DiscordOptions extends NetworkOptions {
  /** Whether a replay brings earlier RESUMEDs, too; it is ended by one of its own in any case. Discord does not say. */
  readonly replaysResumed: boolean;
  readonly truth: Truth;
  readonly shards: number;
  readonly maxConcurrency: number;
  readonly total: number;
  readonly heartbeatIntervalMs: number;
  readonly sessionLifetimeMs: number;
  readonly resetAfterMs: number;
  /** IDENTIFYs that the bot promised not to touch. */
  readonly reserve: number;
}

export class Discord extends Network {
  readonly sessions = new Map<string, Session>();
  readonly options: DiscordOptions;
  /** What the next connections hear first. */
  readonly greetings: ("reconnect" | "reconnectThenHello" | "nothing")[] = [];
  /** When the last IDENTIFY of each shard came. */
  readonly identifiedAt: { readonly at: number; readonly shard: number }[] = [];
  /** IDENTIFYs are refused with op 9, or heard and not answered. */
  identifies: "answered" | "refused" | "held" = "answered";
  remaining: number;
  resetAt: number;
  replayLimit = Number.POSITIVE_INFINITY;
  /** Ends the connection in the middle of the next replays. */
  replayCuts = 0;
  readonly #keys = new Map<number, number>();
  readonly #presences = new Map<string, number[]>();
  #numbered = 0;

  constructor(options: DiscordOptions) {
    super(options);
    this.options = options;
    this.remaining = options.total;
    this.resetAt = options.resetAfterMs;
  }

  /** GET /gateway/bot (events/gateway#get-gateway-bot). */
  gatewayBot(): GatewayAnswer {
    const { shards, total, maxConcurrency, timeline } = this.options;
    this.#resetBudget();
    const resetAfterMs = this.resetAt - timeline.now();
    return { url: GENERIC_HOST, shards, total, remaining: this.remaining, resetAfterMs, maxConcurrency };
  }

  /** Something happens: the session hears of it, now or in a replay. */
  publish(session: Session, type: string, data: unknown): void {
    const event = { s: ++session.sequence, t: type, d: data };
    if (type !== "RESUMED" || this.options.replaysResumed) session.events.push(event);
    const surplus = session.events.length - this.replayLimit;
    for (const { s } of surplus > 0 ? session.events.splice(0, surplus) : []) session.forgotten = s;
    session.peer?.send({ op: 0, ...event });
  }

  /** The shard's newest session that a RESUME could reach. */
  sessionOf(shard: number): Session | undefined {
    let newest: Session | undefined;
    for (const session of this.sessions.values())
      if (session.shard === shard && this.isAlive(session)) newest = session;
    return newest;
  }

  isAlive(session: Session): boolean {
    const { timeline, sessionLifetimeMs } = this.options;
    if (session.peer === undefined && timeline.now() - session.leftAt > sessionLifetimeMs) session.alive = false;
    return session.alive;
  }

  invalidate(session: Session): void {
    session.alive = false;
    this.options.trace.note(`server ends ${session.id}`);
  }

  protected override greet(peer: Peer): void {
    const greeting = this.greetings.shift();
    if (greeting === "nothing") return;
    if (greeting === "reconnect" || greeting === "reconnectThenHello") peer.send({ op: 7, d: null });
    if (greeting === "reconnect") return;
    peer.phase = "greeted";
    peer.send({ op: 10, d: { heartbeat_interval: this.options.heartbeatIntervalMs } });
    this.#watchBeats(peer);
  }

  /** Whoever does not beat in time is closed, and keeps the session (events/gateway#heartbeat-interval). */
  #watchBeats(peer: Peer): void {
    const { timeline, heartbeatIntervalMs } = this.options;
    const most = heartbeatIntervalMs * 1.5 + 10_000;
    timeline.schedule(most / 2, () => {
      if (peer.phase === "gone") return;
      if (timeline.now() - peer.lastBeatAt > most) peer.end(4000);
      else this.#watchBeats(peer);
    });
  }

  protected override left({ session }: Peer): void {
    if (session !== undefined) session.leftAt = this.options.timeline.now();
  }

  protected override closed({ session }: Peer, by: "server" | "client", code: number): void {
    const ends = by === "server" ? ENDING_CODES.includes(code) : code === 1000 || code === 1001;
    if (ends && session !== undefined) this.invalidate(session);
  }

  protected override receive(peer: Peer, text: string): void {
    const { timeline, trace, chance } = this.options;
    const now = timeline.now();
    const payload: unknown = JSON.parse(text);
    const op = member(payload, "op");
    const data = member(payload, "d");
    trace.note(`server hears op ${op} on ${peer.number}`);
    if (Buffer.byteLength(text) > MOST_PAYLOAD_BYTES) trace.broken(`a payload of ${Buffer.byteLength(text)} bytes`);
    while ((peer.sentAt[0] ?? now) <= now - SENDS.windowMs) peer.sentAt.shift();
    if (peer.sentAt.push(now) > SENDS.most) trace.broken(`${peer.sentAt.length} payloads in 60 s on one connection`);
    if (peer.phase === "greeting") trace.broken(`op ${op} before HELLO was sent`);
    if (op === 1) {
      peer.lastBeatAt = now;
      if (peer.acknowledges === "promptly") peer.send({ op: 11 });
      if (peer.acknowledges === "late") timeline.schedule(chance.between(0, 20_000), () => peer.send({ op: 11 }));
    } else if (op === 2) this.#identify(peer, data);
    else if (op === 6) this.#resume(peer, data);
    else {
      if (peer.phase !== "live") trace.broken(`op ${op} before READY`);
      if (op === 3) this.#countPresence(peer);
      if (op === 3 && peer.session !== undefined) peer.session.presence = presenceOf(data);
      if (op === 8 && peer.session !== undefined) {
        const chunk = { nonce: member(data, "nonce"), members: [], chunk_index: 0, chunk_count: 1 };
        this.publish(peer.session, "GUILD_MEMBERS_CHUNK", chunk);
      }
    }
  }

  #countPresence(peer: Peer): void {
    const now = this.options.timeline.now();
    const id = peer.session?.id ?? "";
    const recent = (this.#presences.get(id) ?? []).filter((at) => now - at < PRESENCES.windowMs);
    recent.push(now);
    this.#presences.set(id, recent);
    if (recent.length > PRESENCES.most) this.options.trace.broken(`${recent.length} presence updates in 20 s`);
  }

  #resetBudget(): void {
    const now = this.options.timeline.now();
    if (now < this.resetAt) return;
    this.remaining = this.options.total;
    this.resetAt = now + DAY_MS;
  }

  #identify(peer: Peer, data: unknown): void {
    const { timeline, trace, maxConcurrency, shards, reserve, truth } = this.options;
    const now = timeline.now();
    const [shard, count] = [member(member(data, "shard"), "0"), member(member(data, "shard"), "1")];
    if (peer.phase !== "greeted") trace.broken(`IDENTIFY in phase ${peer.phase}`);
    if (typeof shard !== "number" || count !== shards || shard >= shards) {
      trace.broken(`IDENTIFY of shard ${shard} of ${count}`);
      return;
    }
    this.identifiedAt.push({ at: now, shard });
    const key = shard % maxConcurrency;
    const before = this.#keys.get(key);
    this.#keys.set(key, now);
    if (before !== undefined && now - before < KEY_MS) {
      trace.broken(`IDENTIFYs of key ${key} ${(now - before).toFixed(1)} ms apart`);
    }
    this.#resetBudget();
    if (this.remaining <= reserve) trace.broken(`an IDENTIFY with ${this.remaining} left, the reserve is ${reserve}`);
    this.remaining--;
    peer.phase = "identified";
    if (this.identifies === "held") return;
    if (this.identifies === "refused") {
      peer.phase = "greeted";
      peer.send({ op: 9, d: false });
      return;
    }
    const id = `session-${this.#numbered++}`;
    const session: Session = {
      id,
      shard,
      events: [],
      sequence: 0,
      forgotten: 0,
      alive: true,
      presence: presenceOf(member(data, "presence")),
      peer,
      leftAt: now,
    };
    this.sessions.set(id, session);
    truth.begun(id);
    peer.session = session;
    peer.phase = "live";
    const host = RESUME_HOSTS[shard % RESUME_HOSTS.length];
    this.publish(session, "READY", { session_id: id, resume_gateway_url: host });
  }

  #resume(peer: Peer, data: unknown): void {
    const { trace, chance } = this.options;
    const id = String(member(data, "session_id"));
    const sequence = Number(member(data, "seq"));
    const session = this.sessions.get(id);
    if (peer.phase !== "greeted") trace.broken(`RESUME in phase ${peer.phase}`);
    if (session === undefined || !this.isAlive(session) || sequence < session.forgotten) {
      if (session !== undefined) this.invalidate(session);
      peer.send({ op: 9, d: false });
      return;
    }
    if (sequence > session.sequence) {
      trace.broken(`RESUME from ${sequence}, the session is at ${session.sequence}`);
      return;
    }
    session.peer?.end(undefined);
    session.peer = peer;
    peer.session = session;
    peer.phase = "live";
    const missed = session.events.filter(({ s }) => s > sequence);
    const isCut = this.replayCuts > 0 && missed.length > 1;
    if (isCut) {
      this.replayCuts--;
      missed.length = chance.whole(1, missed.length - 1);
    }
    for (const event of missed) peer.send({ op: 0, ...event });
    if (isCut) peer.end(chance.pick([4000, 1001, 1006]));
    else this.publish(session, "RESUMED", {});
  }
}
