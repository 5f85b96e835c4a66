// Discord's gateway for several processes: sessions, replays, IDENTIFY windows and budget, written from its documentation.

import type { Clock } from "../../../bot/clock.ts";
import type { Connect, ConnectionEvents } from "../../../bot/gateway/connection.ts";
import type { GatewayInfo } from "../../../bot/gateway/identify.ts";
import type { Trace } from "../gateway/trace.ts";
import type { Machine } from "./machine.ts";

export interface DiscordOptions {
  readonly world: Clock;
  readonly random: () => number;
  readonly trace: Trace;
  readonly maxConcurrency: number;
  /** IDENTIFYs of a day. */
  readonly total: number;
  readonly recommended: number;
}

/** What an IDENTIFY has made. */
export interface GatewaySession {
  readonly id: string;
  readonly shard: number;
  readonly shardCount: number;
  /** Whose connection it came on. */
  readonly machine: Machine;
  readonly identifiedAt: number;
  /** When its READY was delivered. */
  readyAt: number | undefined;
  readonly dispatches: { readonly s: number; readonly t: string; readonly d: unknown }[];
  peer: Peer | undefined;
  leftAt: number;
  isOver: boolean;
}

interface Peer {
  readonly machine: Machine;
  session: GatewaySession | undefined;
  isOpen: boolean;
  beatAt: number;
  send(payload: object, delivered?: () => void): void;
  /** The server closes the connection; undefined: it is reset. */
  end(code: number | undefined): void;
}

export interface Discord {
  connectFrom(machine: Machine): Connect;
  /** GET /gateway/bot. */
  gatewayBot(): GatewayInfo;
  /** Something happens in a guild: every living session that has it hears of it. */
  say(guild: number, id: string): void;
  /** The connections of a process that is no more. */
  died(machine: Machine): void;
  /** Some connection of a machine breaks. */
  reset(machine: Machine): void;
  readonly sessions: readonly GatewaySession[];
}

const HEARTBEAT_MS = 41_250;
// A session outlives its connection for minutes; nobody knows how many.
const SESSION_MS = 180_000;
// events/gateway#sharding-max-concurrency: one IDENTIFY a key within 5 s.
const WINDOW_MS = 5_000;
const DAY_MS = 86_400_000;

export function createDiscord(options: DiscordOptions): Discord {
  const { world, random, trace, maxConcurrency, total } = options;
  const sessions: GatewaySession[] = [];
  const peers = new Set<Peer>();
  const identifiedAt = new Map<number, number>();
  let spent = 0;

  const leave = (peer: Peer): void => {
    peer.isOpen = false;
    peers.delete(peer);
    if (peer.session?.peer !== peer) return;
    peer.session.peer = undefined;
    peer.session.leftAt = world.now();
  };

  const push = (session: GatewaySession, t: string, d: unknown, delivered?: () => void): void => {
    const dispatch = { s: session.dispatches.length + 1, t, d };
    session.dispatches.push(dispatch);
    session.peer?.send({ op: 0, ...dispatch }, delivered);
  };

  const identify = (peer: Peer, [shard, shardCount]: readonly [number, number]): void => {
    const key = shard % maxConcurrency;
    const apartMs = world.now() - (identifiedAt.get(key) ?? Number.NEGATIVE_INFINITY);
    identifiedAt.set(key, world.now());
    spent++;
    trace.note(`IDENTIFY ${shard} of ${shardCount}`);
    if (apartMs < WINDOW_MS) trace.broken(`IDENTIFYs of key ${key} came ${apartMs.toFixed(0)} ms apart`);
    if (spent > total) trace.broken(`${spent} IDENTIFYs within a day, of ${total}`);
    const session: GatewaySession = {
      id: `${shard}of${shardCount}.${sessions.length}`,
      shard,
      shardCount,
      machine: peer.machine,
      identifiedAt: world.now(),
      readyAt: undefined,
      dispatches: [],
      peer,
      leftAt: world.now(),
      isOver: false,
    };
    sessions.push(session);
    peer.session = session;
    world.schedule(20 + random() * 400, () => {
      const ready = { session_id: session.id, resume_gateway_url: "wss://resume.example" };
      push(session, "READY", ready, () => {
        session.readyAt = world.now();
      });
    });
  };

  const resume = (peer: Peer, id: unknown, sequence: number): void => {
    const session = sessions.find((one) => one.id === id);
    const expired = session?.peer === undefined && world.now() - (session?.leftAt ?? 0) > SESSION_MS;
    trace.note(`RESUME ${id} from ${sequence}${expired ? ", which is gone" : ""}`);
    if (session === undefined || session.isOver || expired) {
      if (session !== undefined) session.isOver = true;
      peer.send({ op: 9, d: false });
      return;
    }
    if (sequence > session.dispatches.length) trace.broken(`RESUME ${id} from ${sequence}, which is yet to come`);
    if (session.peer !== peer) session.peer?.end(4_000);
    session.peer = peer;
    peer.session = session;
    for (const dispatch of session.dispatches.filter(({ s }) => s > sequence)) peer.send({ op: 0, ...dispatch });
    push(session, "RESUMED", {});
  };

  const receive = (peer: Peer, text: string): void => {
    const { op, d } = JSON.parse(text);
    if (op === 1) {
      peer.beatAt = world.now();
      peer.send({ op: 11 });
    } else if (op === 2) identify(peer, d.shard);
    else if (op === 6) resume(peer, d.session_id, d.seq);
    else if (op !== 3) trace.broken(`op ${op} is sent to the gateway`);
  };

  const watch = (peer: Peer): void => {
    world.schedule(HEARTBEAT_MS, () => {
      if (!peer.isOpen) return;
      if (world.now() - peer.beatAt > 1.5 * HEARTBEAT_MS) peer.end(4_009);
      else watch(peer);
    });
  };

  const dial = (machine: Machine, events: ConnectionEvents): ReturnType<Connect> => {
    const gone = Promise.withResolvers<void>();
    let heard = true;
    const lane = () => {
      let free = 0;
      return (deliver: () => void): void => {
        free = Math.max(free, world.now() + 5 + random() * 20);
        world.schedule(free - world.now(), deliver);
      };
    };
    const [up, down] = [lane(), lane()];
    const peer: Peer = {
      machine,
      session: undefined,
      isOpen: false,
      beatAt: world.now(),
      send(payload, delivered) {
        const text = JSON.stringify(payload);
        down(() =>
          machine.enter(() => {
            if (!heard) return;
            delivered?.();
            events.text(text);
          }),
        );
      },
      end(code) {
        leave(peer);
        down(() =>
          machine.enter(() => {
            gone.resolve();
            if (heard) events.closed(code, "", undefined);
            heard = false;
          }),
        );
      },
    };
    up(() => {
      peer.isOpen = true;
      peers.add(peer);
      down(() =>
        machine.enter(() => {
          if (heard) events.opened();
        }),
      );
      peer.send({ op: 10, d: { heartbeat_interval: HEARTBEAT_MS } });
      watch(peer);
    });
    return {
      gone: gone.promise,
      behind: () => false,
      send: (text) =>
        up(() => {
          if (peer.isOpen) receive(peer, text);
        }),
      close(code) {
        heard = false;
        up(() => {
          if (peer.isOpen && (code === 1_000 || code === 1_001) && peer.session !== undefined) {
            trace.note(`${peer.session.id} is ended`);
            peer.session.isOver = true;
          }
          leave(peer);
          down(() => machine.enter(gone.resolve));
        });
      },
    };
  };

  return {
    sessions,
    connectFrom: (machine) => (_options, events) => dial(machine, events),
    gatewayBot: () => ({
      url: "wss://gateway.example",
      shards: options.recommended,
      total,
      remaining: Math.max(0, total - spent),
      resetAfterMs: DAY_MS - world.now(),
      maxConcurrency,
    }),
    say(guild, id) {
      // Of sessions that were left behind for a newer one nobody hears any more.
      const newest = new Map(sessions.map((session) => [`${session.shard} of ${session.shardCount}`, session]));
      for (const session of newest.values()) {
        if (session.isOver || session.shard !== guild % session.shardCount || session.dispatches.length === 0) continue;
        trace.note(`${id} is ${session.id}/${session.dispatches.length + 1}`);
        push(session, "MESSAGE_CREATE", { id, guild_id: String(guild), channel_id: `${guild}.${id.length}` });
      }
    },
    died(machine) {
      for (const peer of [...peers]) if (peer.machine === machine) leave(peer);
    },
    reset(machine) {
      const [peer] = [...peers].filter((one) => one.machine === machine);
      peer?.end(undefined);
    },
  };
}
