// One WebSocket to the gateway: dials, inflates, closes without ever hanging, and reports one end.

import type { Agent, IncomingMessage } from "node:http";
import { type RawData, WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import { type Compression, createInflater, type Inflater } from "./inflate.ts";

/** A close handshake gets this long; then the socket is destroyed. */
const CLOSE_MS = 5_000;

/** A frame may hold a whole READY of a large bot; beyond this it is not Discord's. */
const MOST_FRAME_BYTES = 64 * 1024 * 1024;

/** With more compressed bytes than this unread by us, the socket waits; at most so long, for ACKs come this way too. */
const MOST_PENDING_BYTES = 8 * 1024 * 1024;
const LONGEST_PAUSE_MS = 1_000;

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
  /** Once, last: `code` is undefined when none came, `edge` is set when the edge refused the handshake. */
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

/** Dials over `ws`. */
export const connect: Connect = (options, events) => {
  const { address, userAgent, compression, clock } = options;
  const socket = new WebSocket(address, {
    headers: { "User-Agent": userAgent },
    perMessageDeflate: false,
    skipUTF8Validation: true,
    agent: options.agent,
    maxPayload: MOST_FRAME_BYTES,
  });
  let heard = true;
  let edge: EdgeRefusal | undefined;
  let refused = false;
  let trouble = "";
  const done = Promise.withResolvers<void>();

  const inflater: Inflater = createInflater(compression, {
    text: (text) => {
      if (heard) events.text(text);
    },
    error: (error) => {
      if (heard) events.broken(`compressed stream is broken: ${error.message}`);
    },
    drained: () => {
      if (socket.isPaused && inflater.pending() < MOST_PENDING_BYTES) socket.resume();
    },
  });

  const holdSocket = (): void => {
    socket.pause();
    clock.schedule(LONGEST_PAUSE_MS, () => socket.resume());
  };

  const end = (code: number | undefined, reason: string): void => {
    if (!heard) return;
    heard = false;
    inflater.close();
    events.closed(code, reason, edge);
  };

  socket.on("open", () => {
    if (heard) events.opened();
  });
  socket.on("message", (data: RawData, binary: boolean) => {
    if (!heard || !Buffer.isBuffer(data)) return;
    inflater.push(data, binary);
    if (!socket.isPaused && inflater.pending() > MOST_PENDING_BYTES) holdSocket();
  });
  socket.on("unexpected-response", (request, response) => {
    refused = true;
    readRefusal(response, clock, (found) => {
      edge = found;
      request.destroy();
      end(undefined, `handshake refused with HTTP ${response.statusCode ?? 0}`);
      done.resolve();
    });
  });
  // ws reports the cause here and the end in `close`; without a listener Node would end the process.
  socket.on("error", (error) => {
    trouble = error.message;
  });
  socket.on("close", (code, reason) => {
    if (refused) return;
    // 1005: a close frame without a code. 1006: no close frame at all, never sent on the wire.
    const sent = code === 1005 || code === 1006 ? undefined : code;
    end(sent, reason.toString("utf8") || trouble);
    done.resolve();
  });

  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close(code, withinMs = CLOSE_MS) {
      heard = false;
      inflater.close();
      const cancel = clock.schedule(withinMs, () => socket.terminate());
      void done.promise.then(cancel);
      if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
      else socket.close(code);
    },
    behind: () => socket.isPaused || inflater.pending() > 0,
    gone: done.promise,
  };
};

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
