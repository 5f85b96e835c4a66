// One WebSocket as the gateway drives it: frames out in order, and the ways in which a socket goes wrong.

import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { type Compression, type Compressor, compressor } from "./compressor.ts";

/** A WebSocket that can leave a close unanswered, for a time or for good. */
export class QuietWebSocket extends WebSocket {
  quiet = false;
  /** Told when a close was due while quiet; calling `answer` makes up for it. */
  onQuietClose: (answer: () => void) => void = () => {};

  override close(code?: number, reason?: string | Buffer): void {
    if (this.quiet) this.onQuietClose(() => super.close(code, reason));
    else super.close(code, reason);
  }
}

export interface SocketHandlers {
  /** Whether zlib-stream messages come in two frames each. */
  readonly splits: () => boolean;
  readonly message: (text: string, bytes: number) => void;
  /** The end, once. `code` is the client's close code, 1006 for a bare TCP end, undefined if we closed first. */
  readonly ended: (code: number | undefined) => void;
}

export class GatewaySocket {
  readonly #socket: QuietWebSocket;
  readonly #raw: Duplex;
  readonly #compressor: Compressor;
  readonly #splits: () => boolean;
  #blackHole = false;
  #closedByUs = false;

  constructor(socket: QuietWebSocket, raw: Duplex, compression: Compression, handlers: SocketHandlers) {
    this.#socket = socket;
    this.#raw = raw;
    this.#compressor = compressor(compression);
    this.#splits = () => compression === "zlib-stream" && handlers.splits();
    socket.on("message", (data: Buffer) => {
      if (!this.#blackHole && !this.#closedByUs) handlers.message(data.toString("utf8"), data.byteLength);
    });
    socket.on("ping", (data: Buffer) => {
      if (!this.#blackHole) socket.pong(data);
    });
    socket.on("error", () => {});
    socket.once("close", (code: number) => {
      this.#compressor.end();
      handlers.ended(this.#closedByUs ? undefined : this.#blackHole ? 1006 : code);
    });
  }

  get closing(): boolean {
    return this.#closedByUs;
  }

  send(text: string): void {
    if (this.#closedByUs || this.#blackHole) return;
    this.#compressor.push(text, (frame) => {
      if (this.#socket.readyState !== WebSocket.OPEN) return;
      // A zlib-stream message may come in several frames; it ends with its flush marker, not with a frame.
      const half = this.#splits() && typeof frame !== "string" ? Math.ceil(frame.byteLength / 2) : 0;
      if (half > 0) this.#socket.send(frame.slice(0, half));
      this.#socket.send(frame.slice(half));
    });
  }

  /** Closes after what was sent before. */
  close(code: number, reason: string): void {
    if (this.#closedByUs) return;
    this.#closedByUs = true;
    this.#compressor.drained(() => {
      this.#socket.quiet = false;
      this.#socket.close(code, reason);
    });
  }

  /** Ends the TCP connection, without a close frame, after what was sent before. */
  cut(): void {
    this.#compressor.drained(() => this.#raw.end());
  }

  /** RST: what is under way is lost. */
  reset(): void {
    if (this.#raw instanceof Socket) this.#raw.resetAndDestroy();
    else this.#raw.destroy();
  }

  destroy(): void {
    this.#socket.terminate();
  }

  /** The connection stays open, nothing is heard and nothing is said. */
  blackHole(): void {
    this.#blackHole = true;
    this.#socket.quiet = true;
  }

  /** Everything works but an answer to the client's close; `late` may still give it. */
  ignoreClose(late: (answer: () => void) => void): void {
    this.#socket.quiet = true;
    this.#socket.onQuietClose = late;
  }
}
