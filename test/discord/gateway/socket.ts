// One WebSocket as the gateway drives it: frames out in order, and the ways in which a socket goes wrong.

import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { type Compression, type Compressor, compressor } from "./compressor.ts";

/** A WebSocket that can leave a close unanswered. */
export class QuietWebSocket extends WebSocket {
  quiet = false;

  override close(code?: number, reason?: string | Buffer): void {
    if (!this.quiet) super.close(code, reason);
  }
}

export interface SocketHandlers {
  readonly message: (text: string, bytes: number) => void;
  /** The end, once. `code` is the client's close code, 1006 for a bare TCP end, undefined if we closed first. */
  readonly ended: (code: number | undefined) => void;
}

export class GatewaySocket {
  readonly #socket: QuietWebSocket;
  readonly #raw: Duplex;
  readonly #compressor: Compressor;
  #blackHole = false;
  #closedByUs = false;

  constructor(socket: QuietWebSocket, raw: Duplex, compression: Compression, handlers: SocketHandlers) {
    this.#socket = socket;
    this.#raw = raw;
    this.#compressor = compressor(compression);
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
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
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
    const raw = this.#raw as Partial<Socket>;
    if (typeof raw.resetAndDestroy === "function") raw.resetAndDestroy();
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

  /** Everything works but an answer to the client's close. */
  ignoreClose(): void {
    this.#socket.quiet = true;
  }
}
