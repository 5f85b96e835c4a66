// A strict gateway without sockets, on a virtual clock: seeded latencies, faults on demand, every broken rule kept.

import type { Clock, Random } from "../../../bot/clock.ts";
import type { Connect, ConnectionEvents } from "../../../bot/gateway/connection.ts";

/** How one host treats a dial. */
export type HostMood = "up" | "refuses" | "blackHole" | "silent" | "banned";

export interface VirtualSession {
  readonly id: string;
  readonly shard: number;
  sequence: number;
  readonly events: { s: number; t: string; d: unknown }[];
  peer: Peer | undefined;
  /** When its last connection ended, ms of the clock. */
  leftAt: number;
  alive: boolean;
}

export interface Peer {
  readonly host: string;
  session: VirtualSession | undefined;
  open: boolean;
  acknowledges: boolean;
  /** The client has not read what it has of this peer. */
  behind: boolean;
  /** No byte comes through in either direction. */
  deaf: boolean;
  readonly openedAt: number;
  receivedAt: number[];
  send(payload: object): void;
  /** The server ends the connection; undefined cuts it without a close frame. */
  end(code: number | undefined): void;
}

export interface VirtualGateway {
  readonly connect: Connect;
  readonly violations: string[];
  readonly dials: { at: number; host: string }[];
  readonly identifies: { at: number; shard: number }[];
  readonly resumes: { at: number; shard: number; host: string }[];
  readonly closes: { code: number }[];
  readonly peers: Set<Peer>;
  readonly sessions: Map<string, VirtualSession>;
  readonly moods: Map<string, HostMood>;
  maxConcurrency: number;
  remaining: number;
  heartbeatIntervalMs: number;
  answersIdentify: boolean;
  fallback: HostMood;
  /** Sends a dispatch to each shard's newest session. */
  publish(type: string): void;
}

/** How long a session outlives its connection. */
const SESSION_MS = 90_000;

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

export function virtualGateway(clock: Clock, random: Random): VirtualGateway {
  const lastIdentify = new Map<number, number>();
  const latencyMs = (): number => 1 + random() * 3;
  let numbered = 0;

  const gateway: VirtualGateway = {
    violations: [],
    dials: [],
    identifies: [],
    resumes: [],
    closes: [],
    peers: new Set(),
    sessions: new Map(),
    moods: new Map(),
    maxConcurrency: 1,
    remaining: 1000,
    heartbeatIntervalMs: 41_250,
    answersIdentify: true,
    fallback: "up",
    publish(type) {
      const newest = new Map<number, VirtualSession>();
      for (const session of gateway.sessions.values()) if (session.alive) newest.set(session.shard, session);
      for (const session of newest.values()) push(session, type, {});
    },
    connect(options, events) {
      const url = new URL(options.address);
      const host = `${url.protocol}//${url.host}`;
      gateway.dials.push({ at: clock.now(), host });
      return dialled(host, events);
    },
  };

  const push = (session: VirtualSession, type: string, data: unknown): void => {
    session.sequence++;
    const event = { s: session.sequence, t: type, d: data };
    session.events.push(event);
    session.peer?.send({ op: 0, ...event });
  };

  const complain = (text: string): void => void gateway.violations.push(`${Math.round(clock.now())}: ${text}`);

  function dialled(host: string, events: ConnectionEvents) {
    const done = Promise.withResolvers<void>();
    let heard = true;
    let ordered = 0;
    /** Bytes of one direction never overtake each other. */
    const later = (deliver: () => void): void => {
      const at = Math.max(ordered, clock.now() + latencyMs());
      ordered = at;
      clock.schedule(at - clock.now(), deliver);
    };
    const finish = (code: number | undefined, edge?: { status: number; retryAfterMs: number | undefined }): void => {
      done.resolve();
      if (!heard) return;
      heard = false;
      events.closed(code, "", edge);
    };
    const peer: Peer = {
      host,
      session: undefined,
      open: false,
      acknowledges: true,
      behind: false,
      deaf: false,
      openedAt: clock.now(),
      receivedAt: [],
      send(payload) {
        const text = JSON.stringify(payload);
        if (!peer.open || peer.deaf) return;
        later(() => {
          if (heard && !peer.deaf) events.text(text);
        });
      },
      end(code) {
        leave(peer);
        later(() => finish(code));
      },
    };
    let uplink = 0;
    const mood = gateway.moods.get(host) ?? gateway.fallback;
    if (mood === "refuses") later(() => finish(undefined));
    else if (mood === "banned") later(() => finish(undefined, { status: 429, retryAfterMs: undefined }));
    else if (mood !== "blackHole") {
      later(() => {
        if (!heard) return;
        peer.open = true;
        gateway.peers.add(peer);
        events.opened();
        if (mood === "up") peer.send({ op: 10, d: { heartbeat_interval: gateway.heartbeatIntervalMs } });
      });
    }
    return {
      gone: done.promise,
      send(text: string) {
        const at = Math.max(uplink, clock.now() + latencyMs());
        uplink = at;
        clock.schedule(at - clock.now(), () => {
          if (peer.open && !peer.deaf) receive(peer, JSON.parse(text));
        });
      },
      behind: () => peer.behind,
      close(code: number) {
        heard = false;
        gateway.closes.push({ code });
        const { session } = peer;
        const open = peer.open;
        clock.schedule(latencyMs(), () => {
          if (open && session !== undefined && !peer.deaf && (code === 1000 || code === 1001)) session.alive = false;
          leave(peer);
          done.resolve();
        });
      },
    };
  }

  const leave = (peer: Peer): void => {
    peer.open = false;
    gateway.peers.delete(peer);
    if (peer.session?.peer === peer) {
      peer.session.peer = undefined;
      peer.session.leftAt = clock.now();
    }
  };

  const countPayload = (peer: Peer): void => {
    const now = clock.now();
    peer.receivedAt = peer.receivedAt.filter((at) => now - at < 60_000);
    peer.receivedAt.push(now);
    if (peer.receivedAt.length > 120) complain(`${peer.receivedAt.length} payloads in 60 s on one connection`);
  };

  const receive = (peer: Peer, payload: unknown): void => {
    countPayload(peer);
    const op = field(payload, "op");
    const data = field(payload, "d");
    if (op === 1 && peer.acknowledges) peer.send({ op: 11 });
    if (op === 2) identify(peer, Number((field(data, "shard") as unknown[])[0]));
    if (op === 6) resume(peer, String(field(data, "session_id")), Number(field(data, "seq")));
    if (op === 8 && peer.session !== undefined) {
      const chunk = { nonce: field(data, "nonce"), members: [], chunk_index: 0, chunk_count: 1 };
      push(peer.session, "GUILD_MEMBERS_CHUNK", chunk);
    }
    if (op !== 1 && op !== 2 && op !== 6 && peer.session === undefined) complain(`op ${String(op)} before READY`);
  };

  const identify = (peer: Peer, shard: number): void => {
    const now = clock.now();
    gateway.identifies.push({ at: now, shard });
    const key = shard % gateway.maxConcurrency;
    const before = lastIdentify.get(key);
    if (before !== undefined && now - before < 5_000) complain(`IDENTIFYs of key ${key} ${now - before} ms apart`);
    lastIdentify.set(key, now);
    gateway.remaining--;
    if (gateway.remaining < 0) complain("IDENTIFY over the daily budget");
    if (!gateway.answersIdentify) return;
    const id = `s${numbered++}`;
    const session: VirtualSession = { id, shard, sequence: 0, events: [], peer, leftAt: now, alive: true };
    gateway.sessions.set(id, session);
    peer.session = session;
    push(session, "READY", { session_id: id, resume_gateway_url: `wss://resume-${shard % 3}.test` });
  };

  const resume = (peer: Peer, id: string, sequence: number): void => {
    const session = gateway.sessions.get(id);
    gateway.resumes.push({ at: clock.now(), shard: session?.shard ?? -1, host: peer.host });
    const expired = session?.peer === undefined && clock.now() - (session?.leftAt ?? 0) > SESSION_MS;
    if (session === undefined || !session.alive || expired) {
      if (session !== undefined) session.alive = false;
      peer.send({ op: 9, d: false });
      return;
    }
    if (sequence > session.sequence) {
      complain(`RESUME from ${sequence}, the session is at ${session.sequence}`);
      peer.end(4007);
      return;
    }
    if (session.peer !== undefined && session.peer !== peer) session.peer.end(undefined);
    session.peer = peer;
    peer.session = session;
    for (const event of session.events.filter(({ s }) => s > sequence)) peer.send({ op: 0, ...event });
    push(session, "RESUMED", {});
  };

  return gateway;
}
