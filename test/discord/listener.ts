// One port on loopback that can stop accepting and accept again, resets included.

import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

export type Upgrade = (request: import("node:http").IncomingMessage, socket: Duplex, head: Buffer) => void;

/** How a closed port answers: nobody listens (ECONNREFUSED), or each connection is reset (ECONNRESET) and counted. */
export type Refusal = "refuse" | "reset";

export interface Handlers {
  readonly request?: RequestListener;
  readonly upgrade?: Upgrade;
  /** A TCP connection was accepted only to be reset. */
  readonly resetDial?: () => void;
}

export class Listener {
  readonly #handlers: Handlers;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #refusal: Refusal | undefined;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  get port(): number {
    return this.#port;
  }

  get accepting(): boolean {
    return this.#refusal === undefined;
  }

  async open(): Promise<void> {
    this.#refusal = undefined;
    if (this.#server !== undefined) return;
    const server = createServer();
    // The client decides how long an idle connection lives; a close of ours in the same moment would look like a fault.
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    server.headersTimeout = 0;
    server.on("connection", (socket: Socket) => {
      if (this.#refusal !== undefined) {
        this.#handlers.resetDial?.();
        socket.on("error", () => {});
        socket.resetAndDestroy();
        return;
      }
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    if (this.#handlers.request !== undefined) server.on("request", this.#handlers.request);
    if (this.#handlers.upgrade !== undefined) server.on("upgrade", this.#handlers.upgrade);
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: this.#port, host: "127.0.0.1", backlog: 4_096 }, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the port's address is not known");
    this.#port = address.port;
  }

  /** New connections fail; those that exist stay. */
  refuse(how: Refusal): void {
    this.#refusal = how;
    if (how === "refuse") this.#shut();
  }

  /** Resets each connection on this port. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  stop(): void {
    this.#shut();
    for (const socket of this.#sockets) socket.destroy();
  }

  #shut(): void {
    this.#server?.close();
    this.#server = undefined;
  }
}
