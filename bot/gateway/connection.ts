// One WebSocket to the gateway: dials, inflates, closes without ever hanging, and reports one end.

import type { Agent, IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import { type Compression, createInflater, type Inflater, type InflaterEvents } from "./inflate.ts";

/** A close handshake gets this long; then the socket is destroyed. */
const CLOSE_MS = 5_000;

/** A frame may hold a whole READY of a large bot; beyond this it is not Discord's. */
const MOST_FRAME_BYTES = 64 * 1024 * 1024;

/** With more compressed bytes than this unread by us, the socket waits; at most so long, for ACKs come this way too. */
const MOST_PENDING_BYTES = 8 * 1024 * 1024;
const LONGEST_PAUSE_MS = 1_000;

/** What `ws` says where the connection ended without a close frame; no peer sends it (RFC 6455, section 7.4.1). */
const WITHOUT_FRAME = 1006;

/** More of a refused handshake's body is not looked at. */
const MOST_REFUSAL_BYTES = 4_096;
const REFUSAL_MS = 1_000;

/** A handshake that Discord's edge answered with a ban of this address. */
export interface EdgeRefusal {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
}

export interface ConnectionEvents {
  opened(): void;
  text(text: string): void;
  /** A frame that does not inflate. */
  broken(reason: string): void;
  /**
   * Once, last: `code` is undefined when no close frame came, 1005 when it named none (RFC 6455, section 7.4.1); `edge` is
   * set when the edge refused the handshake.
   */
  closed(code: number | undefined, reason: string, edge: EdgeRefusal | undefined): void;
}

export interface Connection {
  /** Sends one text; nothing happens when the socket is not open. */
  send(text: string): void;
  /** Closes, with a code alone: no reason of ours travels. `withinMs` bounds it. Callbacks other than `gone` end at once. */
  close(code: number, withinMs?: number): void;
  /** Whether bytes are here that were not handed on: the peer lives, and an ACK may be among them. */
  behind(): boolean;
  /** Resolves when the socket is gone. */
  readonly gone: Promise<void>;
}

export interface ConnectionOptions {
  readonly address: string;
  readonly userAgent: string;
  readonly compression: Compression;
  readonly clock: Clock;
  /** Makes the connection, through a proxy say; undefined = directly. */
  readonly agent?: Agent | undefined;
}

/** Dials; every outcome is reported through `events`. */
export type Connect = (options: ConnectionOptions, events: ConnectionEvents) => Connection;

/** Dials over `ws`; it never throws. */
export const connect: Connect = (options, events) => {
  let socket: WebSocket;
  try {
    socket = new WebSocket(options.address, {
      headers: { "User-Agent": options.userAgent },
      perMessageDeflate: false,
      skipUTF8Validation: true,
      agent: options.agent,
      maxPayload: MOST_FRAME_BYTES,
    });
  } catch (error) {
    return undialled(error instanceof Error ? error.message : String(error), events);
  }
  return new SocketConnection(socket, options, events);
};

/** An address that `ws` does not take is a dial that failed: other hosts, and later ones, may do better. */
function undialled(reason: string, events: ConnectionEvents): Connection {
  let heard = true;
  const gone = Promise.resolve().then(() => {
    if (heard) events.closed(undefined, reason, undefined);
  });
  return {
    send() {},
    close() {
      heard = false;
    },
    behind: () => false,
    gone,
  };
}

class SocketConnection implements Connection, InflaterEvents {
  readonly gone: Promise<void>;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #socket: WebSocket;
  readonly #inflater: Inflater;
  #heard = true;

  constructor(socket: WebSocket, { compression, clock }: ConnectionOptions, events: ConnectionEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#socket = socket;
    this.#inflater = createInflater(compression, this);
    this.gone = new Promise((resolve) => this.#listen(resolve));
  }

  #listen(gone: () => void): void {
    const socket = this.#socket;
    let refused = false;
    let trouble = "";
    socket.on("open", () => {
      if (this.#heard) this.#events.opened();
    });
    socket.on("message", (data: RawData, binary: boolean) => {
      if (!this.#heard || !Buffer.isBuffer(data)) return;
      this.#inflater.push(data, binary);
      if (!socket.isPaused && this.#inflater.pending() > MOST_PENDING_BYTES) this.#holdSocket();
    });
    socket.on("unexpected-response", (request, response) => {
      refused = true;
      readRefusal(response, this.#clock, (edge) => {
        request.destroy();
        this.#end(undefined, `handshake refused with HTTP ${response.statusCode ?? 0}`, edge);
        gone();
      });
    });
    // ws reports the cause here and the end in `close`; without a listener Node would end the process.
    socket.on("error", (error) => {
      trouble = error.message;
    });
    socket.on("close", (code, reason) => {
      if (refused) return;
      this.#end(code === WITHOUT_FRAME ? undefined : code, reason.toString("utf8") || trouble, undefined);
      gone();
    });
  }

  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  close(code: number, withinMs = CLOSE_MS): void {
    const socket = this.#socket;
    this.#heard = false;
    this.#inflater.close();
    const cancel = this.#clock.schedule(withinMs, () => socket.terminate());
    void this.gone.then(cancel);
    if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    else socket.close(code);
  }

  behind(): boolean {
    return this.#socket.isPaused || this.#inflater.pending() > 0;
  }

  text(text: string): void {
    if (this.#heard) this.#events.text(text);
  }

  error({ message }: Error): void {
    if (this.#heard) this.#events.broken(`compressed stream is broken: ${message}`);
  }

  drained(): void {
    if (this.#socket.isPaused && this.#inflater.pending() < MOST_PENDING_BYTES) this.#socket.resume();
  }

  #holdSocket(): void {
    this.#socket.pause();
    this.#clock.schedule(LONGEST_PAUSE_MS, () => this.#socket.resume());
  }

  #end(code: number | undefined, reason: string, edge: EdgeRefusal | undefined): void {
    if (!this.#heard) return;
    this.#heard = false;
    this.#inflater.close();
    this.#events.closed(code, reason, edge);
  }
}

/** Tells the edge's ban (429, 403, or error 1015) from any other refusal. */
function readRefusal(response: IncomingMessage, clock: Clock, report: (edge: EdgeRefusal | undefined) => void): void {
  let body = "";
  let reported = false;
  const finish = (): void => {
    if (reported) return;
    reported = true;
    cancel();
    const status = response.statusCode ?? 0;
    const isBan = status === 429 || status === 403 || /error code:\s*1015\b/i.test(body);
    report(isBan ? { status, retryAfterMs: retryAfterMs(response) } : undefined);
  };
  const cancel = clock.schedule(REFUSAL_MS, finish);
  response.setEncoding("utf8");
  response.on("data", (part: string) => {
    body += part.slice(0, MOST_REFUSAL_BYTES - body.length);
    if (body.length >= MOST_REFUSAL_BYTES) finish();
  });
  response.on("end", finish);
  response.on("error", finish);
  response.on("close", finish);
}

function retryAfterMs(response: IncomingMessage): number | undefined {
  const seconds = Number(response.headers["retry-after"] ?? Number.NaN);
  return seconds > 0 && Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
