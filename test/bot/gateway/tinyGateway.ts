// A small gateway over a real socket for the drivers' tests: what it answers is set from outside, what it saw is kept.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { constants, createDeflate, createZstdCompress, type Deflate, type ZstdCompress } from "node:zlib";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../../../bot/clock.ts";

export interface Received {
  readonly op: number;
  readonly d: unknown;
  /** Of the clock, ms. */
  readonly at: number;
  readonly connection: number;
}

export interface TinyConnection {
  readonly number: number;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly userAgent: string | undefined;
  readonly socket: Socket;
  readonly webSocket: WebSocket;
  closeCode: number | undefined;
  shard: number;
  send(payload: object): void;
}

export interface TinySession {
  readonly id: string;
  readonly shard: number;
  sequence: number;
  readonly events: { s: number; t: string; d: unknown }[];
  connection: TinyConnection | undefined;
}

export interface TinyGateway {
  readonly url: string;
  readonly connections: TinyConnection[];
  readonly received: Received[];
  readonly sessions: TinySession[];
  /** Upgrades seen, refused ones too. */
  dials: number;
  heartbeatIntervalMs: number;
  acknowledges: boolean;
  /** What a new connection gets first. */
  greets: "hello" | "reconnect" | "nothing";
  /** An HTTP status refuses upgrades; "reset" cuts them. */
  refuses: { status: number; headers?: Record<string, string>; body?: string } | "reset" | undefined;
  /** Replaces the answer to IDENTIFY or RESUME; true: it has answered. */
  onIdentify: ((connection: TinyConnection) => boolean) | undefined;
  onResume: ((connection: TinyConnection, session: TinySession | undefined) => boolean) | undefined;
  resumeUrl: string;
  /** Sends one dispatch to a shard's newest session, or only records it while nobody is connected. */
  dispatch(shard: number, type: string, data: unknown): number;
  stop(): Promise<void>;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

export async function tinyGateway(clock: Clock): Promise<TinyGateway> {
  const server = createServer();
  const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets = new Set<Socket>();

  const gateway: TinyGateway = {
    url: `ws://127.0.0.1:${port}`,
    resumeUrl: `ws://127.0.0.1:${port}/resume`,
    connections: [],
    received: [],
    sessions: [],
    dials: 0,
    heartbeatIntervalMs: 41_250,
    acknowledges: true,
    greets: "hello",
    refuses: undefined,
    onIdentify: undefined,
    onResume: undefined,
    dispatch(shard, type, data) {
      const session = gateway.sessions.findLast((candidate) => candidate.shard === shard);
      if (session === undefined) throw new Error(`shard ${shard} has no session`);
      session.sequence++;
      const event = { s: session.sequence, t: type, d: data };
      session.events.push(event);
      session.connection?.send({ op: 0, ...event });
      return session.sequence;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      upgrades.close();
      server.close();
      await once(server, "close");
    },
  };

  const writer = (webSocket: WebSocket, compress: string | null): ((text: string) => void) => {
    if (compress === null) return (text) => webSocket.send(text);
    const stream: Deflate | ZstdCompress = compress === "zlib-stream" ? createDeflate() : createZstdCompress();
    const flush = compress === "zlib-stream" ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush;
    let parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    let turn = Promise.resolve();
    return (text) => {
      turn = turn.then(async () => {
        await new Promise<void>((resolve) => stream.write(text, () => resolve()));
        await new Promise<void>((resolve) => stream.flush(flush, () => resolve()));
        webSocket.send(Buffer.concat(parts), { binary: true });
        parts = [];
      });
    };
  };

  const onPayload = (connection: TinyConnection, text: string): void => {
    const payload: unknown = JSON.parse(text);
    if (!isObject(payload) || typeof payload["op"] !== "number") throw new Error(`no payload: ${text}`);
    const { op, d } = payload;
    gateway.received.push({ op: Number(op), d, at: clock.now(), connection: connection.number });
    if (op === 1 && gateway.acknowledges) connection.send({ op: 11 });
    if (op === 2 && isObject(d)) {
      const shard = Number(Array.isArray(d["shard"]) ? d["shard"][0] : 0);
      connection.shard = shard;
      if (gateway.onIdentify?.(connection)) return;
      const session: TinySession = {
        id: `session-${gateway.sessions.length}`,
        shard,
        sequence: 0,
        events: [],
        connection,
      };
      gateway.sessions.push(session);
      gateway.dispatch(shard, "READY", { session_id: session.id, resume_gateway_url: gateway.resumeUrl, guilds: [] });
    }
    if (op === 6 && isObject(d)) {
      const session = gateway.sessions.find(({ id }) => id === d["session_id"]);
      if (gateway.onResume?.(connection, session)) return;
      if (session === undefined) {
        connection.send({ op: 9, d: false });
        return;
      }
      connection.shard = session.shard;
      for (const event of session.events.filter(({ s }) => s > Number(d["seq"]))) connection.send({ op: 0, ...event });
      session.connection = connection;
      gateway.dispatch(session.shard, "RESUMED", {});
    }
  };

  const onConnection = (webSocket: WebSocket, request: IncomingMessage): void => {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", gateway.url);
    const write = writer(webSocket, query.get("compress"));
    const connection: TinyConnection = {
      number: gateway.connections.length,
      path: pathname,
      query,
      userAgent: request.headers["user-agent"],
      socket: request.socket,
      webSocket,
      closeCode: undefined,
      shard: -1,
      send: (payload) => write(JSON.stringify(payload)),
    };
    gateway.connections.push(connection);
    webSocket.on("error", () => {});
    webSocket.on("close", (code) => {
      connection.closeCode = code;
      for (const session of gateway.sessions) if (session.connection === connection) session.connection = undefined;
    });
    webSocket.on("message", (data) => onPayload(connection, String(data)));
    if (gateway.greets === "hello") {
      connection.send({ op: 10, d: { heartbeat_interval: gateway.heartbeatIntervalMs } });
    }
    if (gateway.greets === "reconnect") connection.send({ op: 7, d: null });
  };

  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request, socket, head) => {
    gateway.dials++;
    const { refuses } = gateway;
    if (refuses === "reset") {
      socket.destroy();
      return;
    }
    if (refuses !== undefined) {
      const { status, headers = {}, body = "" } = refuses;
      const lines = Object.entries({ "Content-Length": String(body.length), ...headers });
      const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      socket.end(`HTTP/1.1 ${status} Refused\r\n${head}Connection: close\r\n\r\n${body}`);
      return;
    }
    upgrades.handleUpgrade(request, socket, head, onConnection);
  });
  return gateway;
}
