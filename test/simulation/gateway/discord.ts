// Discord's gateway as its documentation has it, strict: whatever a client does against it breaks the run.

import type { Connect, Connection, ConnectionEvents, ConnectionOptions } from "../../../bot/gateway/connection.ts";
import type { Chance } from "./chance.ts";
import type { Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";
import type { Truth } from "./truth.ts";
import { type Weather, Wire } from "./wire.ts";

/** How a host treats dials. silent: accepts and never says HELLO. ban: the edge answers the upgrade with 429. */
export type Mood = "up" | "refuses" | "blackHole" | "silent" | "ban";

/** One IDENTIFY a key within this (events/gateway#sharding-max-concurrency). */
const KEY_MS = 5_000;
/** 120 payloads per 60 s per connection (events/gateway#rate-limiting). */
const SENDS = { most: 120, windowMs: 60_000 };
/** 5 presence updates per 20 s per session (events/gateway-events#activity-object). */
const PRESENCES = { most: 5, windowMs: 20_000 };
const MOST_PAYLOAD_BYTES = 4_096;
const DAY_MS = 86_400_000;
/** The close codes after which a session cannot be resumed (topics/opcodes-and-status-codes). */
const ENDING_CODES: readonly number[] = [4003, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014];

export interface Session {
  readonly id: string;
  readonly shard: number;
  readonly events: { readonly s: number; readonly t: string; readonly d: unknown }[];
  sequence: number;
  /** Events up to here are no longer kept for a replay. */
  forgotten: number;
  alive: boolean;
  peer: Peer | undefined;
  leftAt: number;
}

export interface Peer {
  readonly number: number;
  /** Stands for the client's end. */
  readonly socket: object;
  readonly host: string;
  readonly openedAt: number;
  phase: "greeting" | "greeted" | "identified" | "live" | "gone";
  session: Session | undefined;
  /** Bytes are lost in both directions from now on; neither side hears of it. */
  deaf: boolean;
  acknowledges: "promptly" | "late" | "never";
  /** Answers a close after so long; undefined: never. */
  closesAfterMs: number | undefined;
  lastBeatAt: number;
  readonly sentAt: number[];
  send(payload: object): void;
  /** The server closes; undefined: the connection is reset. */
  end(code: number | undefined): void;
  /** Bytes of both directions wait so long. */
  hold(milliseconds: number): void;
}

export interface GatewayAnswer {
  readonly url: string;
  readonly shards: number;
  readonly total: number;
  readonly remaining: number;
  readonly resetAfterMs: number;
  readonly maxConcurrency: number;
}

/** Dialled where GET /gateway/bot was not asked, too (events/gateway#get-gateway). */
export const GENERIC_HOST = "wss://gateway.discord.gg";
export const RESUME_HOSTS = [
  "wss://resume-a.simulated",
  "wss://resume-b.simulated",
  "wss://resume-c.simulated",
] as const;

interface Dial {
  readonly up: Wire;
  readonly down: Wire;
  readonly events: ConnectionEvents;
  tell(code: number | undefined, edge?: { status: number; retryAfterMs: number | undefined }): void;
  enter(callback: () => void): void;
  /** Whether the client still listens. */
  isHeard(): boolean;
  /** Whether the client's socket still exists. */
  isThere(): boolean;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

export interface DiscordOptions {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly trace: Trace;
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

export class Discord {
  readonly weather: Weather = { leastLatencyMs: 1, mostLatencyMs: 4 };
  readonly moods = new Map<string, Mood>();
  readonly peers = new Set<Peer>();
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
  banRetryAfterMs: number | undefined;
  /** The client was told to end its sessions, so it may close with 1000. */
  endingAllowed = false;
  /** Whoever dials now breaks a rule: Discord has said so for good. */
  refusedForGood = false;
  dials = 0;
  readonly #keys = new Map<number, number>();
  readonly #presences = new Map<string, number[]>();
  readonly #pending = new Set<() => void>();
  #numbered = 0;
  #peers = 0;
  #outageSince: number | undefined;
  #outageDials: number[] = [];
  #lostAt: number[] = [];
  #excuseDialsUntil = 0;

  constructor(options: DiscordOptions) {
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
    // A replay is ended by a RESUMED of its own.
    if (type !== "RESUMED") session.events.push(event);
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

  /** A new process knows nothing of an outage: its first dials are no impatience. */
  excuseDials(milliseconds: number): void {
    this.#excuseDialsUntil = this.options.timeline.now() + milliseconds;
  }

  /** Dials as a process does it; `enter` is how anything reaches that process. */
  connectFor(enter: (callback: () => void) => void, sockets: Set<object>): Connect {
    return (options, events) => this.#dial(options, events, enter, sockets);
  }

  /** Connections whose other end is gone without the client's knowing are reset. */
  resetPending(): void {
    for (const reset of [...this.#pending]) reset();
  }

  /** The client hears nothing until the network is well again, or until it gives up by itself. */
  #resetLater(tell: Dial["tell"]): void {
    const reset = (): void => {
      this.#pending.delete(reset);
      tell(undefined);
    };
    this.#pending.add(reset);
    this.options.timeline.schedule(200_000, () => this.#pending.delete(reset));
  }

  /** The kernel resets the sockets of a process that ended. */
  processDied(sockets: Set<object>): void {
    for (const peer of [...this.peers]) if (sockets.has(peer.socket)) peer.end(undefined);
    sockets.clear();
  }

  #mood(host: string): Mood {
    return this.moods.get(host) ?? "up";
  }

  #countDial(host: string): void {
    const { timeline, trace, shards } = this.options;
    const now = timeline.now();
    this.dials++;
    trace.note(`dial ${host}`);
    if (this.refusedForGood) trace.broken(`a dial after Discord had refused the bot for good`);
    const isDown = [GENERIC_HOST, ...RESUME_HOSTS].every((each) => this.#mood(each) !== "up");
    if (!isDown || now < this.#excuseDialsUntil) {
      this.#outageSince = undefined;
      this.#lostAt = [];
      return;
    }
    // Whoever has not dialled for a while knows nothing of it.
    if (now - (this.#outageDials.at(-1) ?? now) > 15_000) this.#outageSince = now;
    this.#outageSince ??= now;
    this.#outageDials = this.#outageDials.filter((at) => now - at < 10_000);
    this.#outageDials.push(now);
    // One asks for all that have failed; whoever loses its connection only now may ask once itself.
    this.#lostAt = this.#lostAt.filter((at) => now - at < 10_000);
    const most = 10 + this.#lostAt.length;
    if (now - this.#outageSince > 30_000 && this.#outageDials.length > most) {
      trace.broken(`${this.#outageDials.length} dials in 10 s of an outage that is known, by ${shards} shards`);
    }
  }

  #dial(
    { address, userAgent }: ConnectionOptions,
    events: ConnectionEvents,
    enter: (callback: () => void) => void,
    sockets: Set<object>,
  ): Connection {
    const { timeline, chance, trace } = this.options;
    const url = new URL(address);
    const host = `${url.protocol}//${url.host}`;
    if (url.searchParams.get("v") !== "10" || url.searchParams.get("encoding") !== "json") {
      trace.broken(`dials without v=10 and encoding=json: ${address}`);
    }
    if (!userAgent.startsWith("DiscordBot (")) trace.broken(`User-Agent ${userAgent}`);
    this.#countDial(host);
    const up = new Wire(timeline, chance, this.weather);
    const down = new Wire(timeline, chance, this.weather);
    const gone = Promise.withResolvers<void>();
    let heard = true;
    let closing = false;
    const socket = {};
    sockets.add(socket);
    const finish = (): void => {
      sockets.delete(socket);
      gone.resolve();
    };
    const tell: Dial["tell"] = (code, edge) =>
      enter(() => {
        finish();
        if (!heard) return;
        heard = false;
        events.closed(code, "", edge);
      });
    const peer: Peer = {
      number: ++this.#peers,
      socket,
      host,
      openedAt: timeline.now(),
      phase: "gone",
      session: undefined,
      deaf: false,
      acknowledges: "promptly",
      closesAfterMs: 0,
      lastBeatAt: timeline.now(),
      sentAt: [],
      send: (payload) => {
        if (peer.phase === "gone" || peer.deaf) return;
        const text = JSON.stringify(payload);
        down.send(() => {
          if (!peer.deaf) {
            enter(() => {
              if (heard) events.text(text);
            });
          }
        });
      },
      end: (code) => {
        if (peer.phase === "gone") return;
        trace.note(`server closes ${peer.number} with ${code}`);
        if (code !== undefined && ENDING_CODES.includes(code) && peer.session !== undefined)
          this.invalidate(peer.session);
        this.#leave(peer);
        // A reset overtakes what is on its way.
        if (code === undefined) down.cut();
        if (code === undefined) timeline.schedule(chance.between(0, 5), () => tell(undefined));
        else if (peer.deaf) this.#resetLater(tell);
        else down.send(() => tell(code));
      },
      hold: (milliseconds) => {
        up.hold(milliseconds);
        down.hold(milliseconds);
      },
    };
    this.#answerDial(peer, { up, down, events, tell, enter, isHeard: () => heard, isThere: () => sockets.has(socket) });
    return {
      gone: gone.promise,
      send: (text) => {
        if (closing) return;
        up.send(() => {
          if (peer.phase !== "gone" && !peer.deaf) this.#receive(peer, text);
        });
      },
      behind: () => false,
      close: (code, withinMs = 5_000) => {
        trace.note(`client closes ${peer.number} with ${code}`);
        if ((code === 1000 || code === 1001) && !this.endingAllowed) trace.broken(`the client closes with ${code}`);
        heard = false;
        closing = true;
        // The client's own deadline for the handshake; its end of the socket goes with it.
        timeline.schedule(withinMs, () => {
          if (peer.phase !== "gone" && !peer.deaf) this.#leave(peer);
          enter(finish);
        });
        up.send(() => {
          if (peer.deaf) return;
          if (peer.session !== undefined && (code === 1000 || code === 1001)) this.invalidate(peer.session);
          this.#leave(peer);
          const { closesAfterMs } = peer;
          if (closesAfterMs !== undefined) timeline.schedule(closesAfterMs, () => down.send(() => enter(finish)));
        });
      },
    };
  }

  #answerDial(peer: Peer, { up, down, events, tell, enter, isHeard, isThere }: Dial): void {
    const { timeline } = this.options;
    const mood = this.#mood(peer.host);
    if (mood === "blackHole") {
      this.#resetLater(tell);
      return;
    }
    up.send(() => {
      if (!isThere()) return;
      if (mood === "refuses") down.send(() => tell(undefined));
      else if (mood === "ban") down.send(() => tell(undefined, { status: 429, retryAfterMs: this.banRetryAfterMs }));
      else {
        peer.phase = "greeting";
        peer.lastBeatAt = timeline.now();
        this.peers.add(peer);
        down.send(() =>
          enter(() => {
            if (isHeard()) events.opened();
          }),
        );
        if (mood === "up") this.#greet(peer);
      }
    });
  }

  #greet(peer: Peer): void {
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

  #leave(peer: Peer): void {
    if (peer.phase === "live") this.#lostAt.push(this.options.timeline.now());
    peer.phase = "gone";
    this.peers.delete(peer);
    const { session } = peer;
    if (session?.peer !== peer) return;
    session.peer = undefined;
    session.leftAt = this.options.timeline.now();
  }

  #receive(peer: Peer, text: string): void {
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
