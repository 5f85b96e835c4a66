// A simulated provider of an OpenAI-compatible chat endpoint on loopback, with keys, quotas and faults on demand.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Clock } from "../../bot/clock.ts";

/** A key that the provider knows, with what it may use; windows begin at the top of the hour and the month, UTC. */
export interface SimulatedKey {
  readonly key: string;
  readonly requestsAnHour?: number;
  readonly requestsAMonth?: number;
}

export interface UpstreamRequest {
  /** Monotonic ms of the clock at which it arrived. */
  readonly at: number;
  /** The key's place among the given ones, -1 for one that is unknown. */
  readonly key: number;
  readonly model: unknown;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly status: number;
}

type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "hang" | "reset" };

export interface SimulatedUpstream {
  /** The API's base, as UPSTREAM_URL takes it. */
  readonly url: string;
  readonly requests: readonly UpstreamRequest[];
  /** The next so many requests meet the fault; without a number all do, until `heal`. */
  fail(fault: Fault, times?: number): void;
  heal(): void;
  /** Refuses connections, as a provider that is gone. */
  vanish(): Promise<void>;
  stop(): Promise<void>;
}

export interface SimulatedUpstreamOptions {
  readonly clock: Clock;
  readonly keys: readonly SimulatedKey[];
  /** Milliseconds of the clock that an answer takes. */
  readonly latencyMs?: number;
  /** What the model says; by default `Answer to: <the last message>`. */
  answer?(messages: UpstreamRequest["messages"]): string | Promise<string>;
}

const TOKENS_PER_ANSWER = 20;

export async function startSimulatedUpstream(options: SimulatedUpstreamOptions): Promise<SimulatedUpstream> {
  const { clock, keys, latencyMs = 0 } = options;
  const { answer = (messages) => `Answer to: ${messages.at(-1)?.content}` } = options;
  const requests: UpstreamRequest[] = [];
  const used = new Map<string, number>();
  const ending = new AbortController();
  let faults: { readonly fault: Fault; left: number }[] = [];

  /** Counts one more use of a key in a window; whether it was within the limit. */
  const use = (window: string, limit: number | undefined): boolean => {
    const count = (used.get(window) ?? 0) + 1;
    if (limit !== undefined && count > limit) return false;
    used.set(window, count);
    return true;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const at = clock.now();
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const { model, messages = [] } = Object(JSON.parse(text));
    const key = keys.findIndex((known) => request.headers.authorization === `Bearer ${known.key}`);
    const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void => {
      requests.push({ at, key, model, messages, status });
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    if (request.method !== "POST" || request.url !== "/v1/chat/completions") return reply(404, { error: {} });
    const [planned] = faults;
    if (planned !== undefined) {
      if (--planned.left <= 0) faults = faults.slice(1);
      const { fault } = planned;
      if (fault.kind === "status") return reply(fault.status, { error: { message: "as planned" } }, fault.headers);
      if (fault.kind === "text") return reply(200, fault.text);
      requests.push({ at, key, model, messages, status: 0 });
      if (fault.kind === "reset") request.socket.resetAndDestroy();
      return;
    }
    const known = keys[key];
    if (known === undefined) return reply(401, { error: { message: "Incorrect API key provided" } });
    const now = new Date(clock.wall()).toISOString();
    if (!use(`${key} ${now.slice(0, 7)}`, known.requestsAMonth)) return reply(402, { error: { message: "credits" } });
    if (!use(`${key} ${now.slice(0, 13)}`, known.requestsAnHour)) return reply(429, { error: { code: "hour" } });
    if (latencyMs > 0) await clock.sleep(latencyMs, ending.signal).catch(() => {});
    const said = await answer(messages);
    reply(200, {
      choices: [{ index: 0, message: { role: "assistant", content: said }, finish_reason: "stop" }],
      usage: { total_tokens: TOKENS_PER_ANSWER },
    });
  };

  const server = createServer((request, response) => {
    response.on("error", () => {});
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });

  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    fail: (fault, times = Number.POSITIVE_INFINITY) => void faults.push({ fault, left: times }),
    heal() {
      faults = [];
    },
    vanish: close,
    async stop() {
      ending.abort();
      await close();
    },
  };
}
