// A gateway and an API that only record and answer as told: for what the strict simulated Discord has no words for.

import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

export interface RecordedDial {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Everything the client sent on it. */
  readonly payloads: { readonly op: number; readonly d: unknown }[];
}

export interface Recorder<Record> {
  readonly url: string;
  readonly seen: Record[];
  stop(): void;
}

/** Says HELLO, takes an IDENTIFY with a READY that names `resumeUrl`, and records. */
export async function recordingGateway(resumeUrl?: string): Promise<Recorder<RecordedDial>> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  await new Promise((resolve) => server.once("listening", resolve));
  const seen: RecordedDial[] = [];
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  server.on("connection", (socket, request) => {
    const dial: RecordedDial = { url: request.url ?? "", headers: request.headers, payloads: [] };
    seen.push(dial);
    const say = (payload: object): void => socket.send(JSON.stringify(payload));
    say({ op: 10, d: { heartbeat_interval: 41_250 }, s: null, t: null });
    socket.on("message", (data) => {
      const payload = JSON.parse(String(data)) as RecordedDial["payloads"][number];
      dial.payloads.push(payload);
      if (payload.op === 1) say({ op: 11, d: null, s: null, t: null });
      if (payload.op !== 2) return;
      const user = { id: "1100000000000000000", username: "mooring", bot: true };
      const ready = { v: 10, user, guilds: [], session_id: "recorded", resume_gateway_url: resumeUrl ?? url };
      say({ op: 0, s: 1, t: "READY", d: ready });
    });
  });
  return {
    url,
    seen,
    stop() {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

export interface ApiAnswer {
  readonly status?: number;
  readonly body: unknown;
}

/** Answers every request by `answer`, which is told how many came before it. */
export async function recordingApi(answer: (before: number) => ApiAnswer): Promise<Recorder<string>> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const { status = 200, body } = answer(seen.length);
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(status, { "content-type": "application/json", via: "1.1 google" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v10`,
    seen,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A good answer of GET /gateway/bot. */
export const gatewayBot = (url: unknown, shards: unknown = 1): object => ({
  url,
  shards,
  session_start_limit: { total: 1_000, remaining: 1_000, reset_after: 86_400_000, max_concurrency: 1 },
});
