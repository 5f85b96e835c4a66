// The way between a client and Discord's hosts: dials, connections over wires, and what breaks them.

import type { Connect, Connection, ConnectionEvents, ConnectionOptions } from "../../../bot/gateway/connection.ts";
import type { Chance } from "./chance.ts";
import type { Session } from "./discord.ts";
import { Patience } from "./patience.ts";
import type { Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";
import { type Weather, Wire } from "./wire.ts";

/** How a host treats dials. silent: accepts and never says HELLO. ban: the edge answers the upgrade with 429. */
export type Mood = "up" | "refuses" | "blackHole" | "silent" | "ban";

export interface Peer {
  readonly number: number;
  /** Stands for the client's end. */
  readonly socket: object;
  readonly host: string;
  readonly openedAt: number;
  phase: "greeting" | "greeted" | "identified" | "live" | "gone";
  session: Session | undefined;
  /** One side has ended it while it was live. */
  lost: boolean;
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

export interface NetworkOptions {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly shards: number;
}

/** Whoever is at the hosts says what comes through. */
export abstract class Network {
  readonly weather: Weather = { leastLatencyMs: 1, mostLatencyMs: 4 };
  readonly moods = new Map<string, Mood>();
  readonly peers = new Set<Peer>();
  readonly patience: Patience;
  banRetryAfterMs: number | undefined;
  /** The client was told to end its sessions, so it may close with 1000. */
  endingAllowed = false;
  /** Whoever dials now breaks a rule: Discord has said so for good. */
  refusedForGood = false;
  dials = 0;
  readonly #options: NetworkOptions;
  readonly #pending = new Set<() => void>();
  #peers = 0;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.patience = new Patience(options);
  }

  /** A connection was accepted. */
  protected abstract greet(peer: Peer): void;
  protected abstract receive(peer: Peer, text: string): void;
  /** A close frame has come, or goes. */
  protected abstract closed(peer: Peer, by: "server" | "client", code: number): void;
  /** The session's connection has ended. */
  protected abstract left(peer: Peer): void;

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
    this.#options.timeline.schedule(200_000, () => this.#pending.delete(reset));
  }

  /** The kernel resets the sockets of a process that ended. */
  processDied(sockets: Set<object>): void {
    for (const peer of [...this.peers]) if (sockets.has(peer.socket)) peer.end(undefined);
    sockets.clear();
  }

  #countDial(host: string): void {
    const { trace } = this.#options;
    this.dials++;
    trace.note(`dial ${host}`);
    if (this.refusedForGood) trace.broken(`a dial after Discord had refused the bot for good`);
    this.patience.dialled([GENERIC_HOST, ...RESUME_HOSTS].every((each) => this.#mood(each) !== "up"));
  }

  #mood(host: string): Mood {
    return this.moods.get(host) ?? "up";
  }

  #dial(
    { address, userAgent }: ConnectionOptions,
    events: ConnectionEvents,
    enter: (callback: () => void) => void,
    sockets: Set<object>,
  ): Connection {
    const { timeline, chance, trace } = this.#options;
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
      lost: false,
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
        if (code !== undefined) this.closed(peer, "server", code);
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
          if (peer.phase !== "gone" && !peer.deaf) this.receive(peer, text);
        });
      },
      behind: () => false,
      close: (code, withinMs = 5_000) => {
        trace.note(`client closes ${peer.number} with ${code}`);
        if ((code === 1000 || code === 1001) && !this.endingAllowed) trace.broken(`the client closes with ${code}`);
        heard = false;
        closing = true;
        this.#lose(peer);
        // The client's own deadline for the handshake; its end of the socket goes with it.
        timeline.schedule(withinMs, () => {
          if (peer.phase !== "gone" && !peer.deaf) this.#leave(peer);
          enter(finish);
        });
        up.send(() => {
          if (peer.deaf) return;
          this.closed(peer, "client", code);
          this.#leave(peer);
          const { closesAfterMs } = peer;
          if (closesAfterMs !== undefined) timeline.schedule(closesAfterMs, () => down.send(() => enter(finish)));
        });
      },
    };
  }

  #answerDial(peer: Peer, { up, down, events, tell, enter, isHeard, isThere }: Dial): void {
    const { timeline } = this.#options;
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
        if (mood === "up") this.greet(peer);
      }
    });
  }

  #lose(peer: Peer): void {
    if (peer.phase !== "live" || peer.lost) return;
    peer.lost = true;
    this.patience.lost();
  }

  #leave(peer: Peer): void {
    this.#lose(peer);
    peer.phase = "gone";
    this.peers.delete(peer);
    const { session } = peer;
    if (session?.peer !== peer) return;
    session.peer = undefined;
    this.left(peer);
  }
}
