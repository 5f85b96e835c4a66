// The gateway's two ports, the generic host and the resume host: dials are counted, refused or upgraded here.

import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { edgeAnswer, edgeHeaders } from "../edgeAnswer.ts";
import { Listener, type Refusal } from "../listener.ts";
import { CLOSE } from "../protocol.ts";
import { Edge } from "../rules/edge.ts";
import type { Host } from "./authentication.ts";
import { compressionOf } from "./compressor.ts";
import { Connection } from "./connection.ts";
import type { Hub } from "./hub.ts";
import { GatewaySocket, QuietWebSocket } from "./socket.ts";

const VERSIONS: ReadonlySet<string> = new Set(["9", "10"]);
/** Never reached by a bot; only so that the number of bytes that a client can make us keep is bounded. */
const LARGEST_FRAME_BYTES = 1_048_576;

export class GatewayServer {
  readonly edge: Edge;
  readonly #hub: Hub;
  readonly #generic: Listener;
  readonly #resume: Listener;
  readonly #upgrader = new WebSocketServer({
    noServer: true,
    WebSocket: QuietWebSocket,
    maxPayload: LARGEST_FRAME_BYTES,
    autoPong: false,
    perMessageDeflate: false,
    clientTracking: false,
  });

  constructor(hub: Hub) {
    this.#hub = hub;
    this.edge = new Edge(hub.options.inFlightGraceMs);
    this.#generic = this.#listener("generic");
    this.#resume = this.#listener("resume");
    hub.resumeHostAccepts = () => this.#resume.accepting && !this.edge.banned(hub.clock.now());
    hub.resumeUrl = () => `ws://127.0.0.1:${this.#resume.port}`;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#generic.port}`;
  }

  get resumeUrl(): string {
    return this.#hub.resumeUrl();
  }

  async start(): Promise<void> {
    await Promise.all([this.#generic.open(), this.#resume.open()]);
  }

  /** New dials fail on this host, or on both. Connections that exist stay. */
  refuse(host: Host | "both", how: Refusal): void {
    for (const listener of this.#listeners(host)) listener.refuse(how);
  }

  async accept(host: Host | "both"): Promise<void> {
    await Promise.all(this.#listeners(host).map((listener) => listener.open()));
    // Whoever came while the host was dead may rightly go on from the generic one.
    if (host !== "generic") this.#hub.resumeHostTroubleAt = this.#hub.clock.now();
  }

  stop(): void {
    for (const connection of this.#hub.connections) connection.destroy();
    this.#generic.stop();
    this.#resume.stop();
    this.#upgrader.close();
  }

  #listeners(host: Host | "both"): Listener[] {
    if (host === "both") return [this.#generic, this.#resume];
    return [host === "generic" ? this.#generic : this.#resume];
  }

  #listener(host: Host): Listener {
    const { journal } = this.#hub;
    return new Listener({
      request: (_, response) => response.writeHead(426, { "Content-Type": "text/plain" }).end("Upgrade Required"),
      upgrade: (request, socket, head) => this.#dial(host, request, socket, head),
      resetDial: () => {
        journal.counts.dials++;
        journal.counts.dialsRefused++;
        journal.changed();
      },
    });
  }

  #dial(host: Host, request: IncomingMessage, raw: Duplex, head: Buffer): void {
    const hub = this.#hub;
    const { journal } = hub;
    const now = hub.clock.now();
    raw.on("error", () => {});
    journal.counts.dials++;
    const agent = request.headers["user-agent"] ?? "";
    if (!agent.startsWith("DiscordBot (")) journal.violate("dial.user-agent", `upgrade with \`${agent}\``);
    if (decodeURIComponent(request.url ?? "").includes(hub.token.value)) {
      journal.violate("dial.token-in-url", `${host} host`);
    }
    // A connection that was accepted before the port closed gets no further.
    if (!this.#listeners(host).every((listener) => listener.accepting)) {
      journal.counts.dialsRefused++;
      raw.destroy();
      journal.changed();
      return;
    }
    const { fatal } = hub;
    if (fatal !== undefined && now - fatal.at > hub.options.inFlightGraceMs) {
      journal.violate("dial.after-fatal", `${Math.round(now - fatal.at)} ms after close ${fatal.code}`);
    }
    const hit = this.edge.hit(now, "dial", raw instanceof Socket ? (raw.remotePort ?? 0) : 0);
    if (hit !== undefined) {
      journal.counts.dialsRefused++;
      journal.counts.gatewayEdgeHits++;
      if (hit.fault !== undefined) journal.violate("dial.edge", hit.fault);
      const answer = edgeAnswer(hit.ban.shape);
      const headers = { ...edgeHeaders(answer, hit.retryAfterSeconds), Connection: "close" };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      raw.end(`HTTP/1.1 ${answer.status} Refused\r\n${lines.join("")}\r\n${answer.body}`);
      journal.changed();
      return;
    }
    this.#upgrader.handleUpgrade(request, raw, head, (socket) => {
      if (socket instanceof QuietWebSocket) this.#connect(host, request, raw, socket);
    });
    journal.changed();
  }

  #connect(host: Host, request: IncomingMessage, raw: Duplex, socket: QuietWebSocket): void {
    const hub = this.#hub;
    const query = new URL(request.url ?? "/", "ws://simulated").searchParams;
    const compression = compressionOf(query.get("compress"));
    const parameters = `v=${query.get("v")}&encoding=${query.get("encoding")}&compress=${query.get("compress")}`;
    const gatewaySocket = new GatewaySocket(socket, raw, compression ?? "none", {
      message: (text, bytes) => connection.receive(text, bytes),
      ended: (code) => connection.ended(code),
      splits: () => hub.script.splitFrames,
    });
    const connection = new Connection(hub, gatewaySocket, host, parameters);
    hub.connections.add(connection);
    if (!VERSIONS.has(query.get("v") ?? "")) {
      hub.journal.violate("dial.version", `v=${query.get("v")}`);
      connection.close(CLOSE.invalidVersion, "Invalid API version.");
      return;
    }
    if (query.get("encoding") !== "json" || compression === undefined) {
      hub.journal.violate("dial.encoding", parameters);
      connection.close(CLOSE.decodeError, "Unknown encoding.");
      return;
    }
    connection.greet();
  }
}
