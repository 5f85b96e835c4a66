// What the REST tests share: a loopback server that answers as a test says, telemetry that remembers, a client on both.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, systemClock } from "../../../bot/clock.ts";
import { createRestClient, type EdgeState, type RestClient, type RestOptions } from "../../../bot/rest/client.ts";
import type { Telemetry } from "../../../bot/telemetry/telemetry.ts";
import { Secret } from "../../../shared/secret.ts";

export const TOKEN = "MTIz.fake-token-for-tests.abc";

/** A request as the server saw it. */
export interface Arrival {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** Milliseconds of the client's clock. */
  readonly at: number;
  readonly number: number;
}

/** How the server answers: a response, or a raw treatment of the connection. */
export type Reply =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
      /** Milliseconds of the client's clock before the answer. */
      readonly delay?: number;
    }
  | ((response: ServerResponse) => void);

export interface FakeDiscord {
  readonly url: string;
  readonly arrivals: Arrival[];
  handler: (arrival: Arrival) => Reply | Promise<Reply>;
  close(): Promise<void>;
}

export async function fakeDiscord(clock: Clock, handler: FakeDiscord["handler"]): Promise<FakeDiscord> {
  const arrivals: Arrival[] = [];
  const server: Server = createServer((request, response) => {
    const at = clock.now();
    const number = arrivals.length;
    const chunks: Buffer[] = [];
    const early: Arrival = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      get body() {
        return Buffer.concat(chunks);
      },
      at,
      number,
    };
    arrivals.push(early);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", async () => {
      const reply = await fake.handler(early);
      if (typeof reply === "function") {
        reply(response);
        return;
      }
      if (reply.delay !== undefined) await clock.sleep(reply.delay);
      const { status, headers = {}, body } = reply;
      const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
      response.writeHead(status, {
        "content-type": typeof body === "string" ? "text/html" : "application/json",
        ...headers,
      });
      response.end(text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const fake: FakeDiscord = {
    url: `http://127.0.0.1:${port}/api/v10`,
    arrivals,
    handler,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return fake;
}

/** Discord's limit headers. */
export function limits(hash: string, limit: number, remaining: number, resetAfterMs: number): Record<string, string> {
  const seconds = (resetAfterMs / 1000).toFixed(3);
  return {
    via: "1.1 google",
    "x-ratelimit-bucket": hash,
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": ((1_750_000_000_000 + resetAfterMs) / 1000).toFixed(3),
    "x-ratelimit-reset-after": seconds,
  };
}

export interface RecordedTelemetry extends Telemetry {
  readonly counts: Map<string, number>;
  readonly levels: Map<string, number>;
  readonly samples: Map<string, readonly number[]>;
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[];
  readonly lines: { readonly level: string; readonly message: string }[];
  flushes: number;
}

export function recordedTelemetry(): RecordedTelemetry {
  const telemetry: RecordedTelemetry = {
    counts: new Map(),
    levels: new Map(),
    samples: new Map(),
    events: [],
    lines: [],
    flushes: 0,
    count: (metric, by = 1) => telemetry.counts.set(metric, (telemetry.counts.get(metric) ?? 0) + by),
    level: (metric, value) => telemetry.levels.set(metric, value),
    observe: (metric, value) => void telemetry.samples.set(metric, [...(telemetry.samples.get(metric) ?? []), value]),
    event: (name, fields) => telemetry.events.push({ name, fields }),
    log: (level, message) => telemetry.lines.push({ level, message }),
    flush: () => {
      telemetry.flushes += 1;
    },
  };
  return telemetry;
}

export interface Setting {
  readonly discord: FakeDiscord;
  readonly client: RestClient;
  readonly telemetry: RecordedTelemetry;
  readonly clock: Clock;
  readonly edges: EdgeState[];
  readonly unauthorized: { times: number };
  end(): Promise<void>;
}

/** @param rate how much faster than real time the client and the server live. */
export async function setting(
  handler: FakeDiscord["handler"],
  { rate = 1, ...options }: Partial<RestOptions> & { readonly rate?: number } = {},
): Promise<Setting> {
  const clock = options.clock ?? systemClock(rate);
  const discord = await fakeDiscord(clock, handler);
  const telemetry = recordedTelemetry();
  const edges: EdgeState[] = [];
  const unauthorized = { times: 0 };
  const client = createRestClient({
    clock,
    random: Math.random,
    telemetry,
    userAgent: "DiscordBot (https://example.com, 1.0)",
    apiUrl: discord.url,
    token: new Secret(TOKEN),
    globalPerSecond: 50,
    addresses: ["203.0.113.7"],
    onEdge: (state) => edges.push(state),
    onUnauthorized: () => {
      unauthorized.times += 1;
    },
    ...options,
  });
  return {
    discord,
    client,
    telemetry,
    clock,
    edges,
    unauthorized,
    end: async () => {
      await client.stop(0);
      await discord.close();
    },
  };
}

/** A promise that must settle by itself: one that hangs fails its test in 10 s of real time, and with that reason. */
export function soon<Value>(promise: Promise<Value>): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("it neither succeeded nor failed within 10 s")), 10_000);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Ids that look like Discord's. */
export const id = (number: number): string => String(900_000_000_000_000_000n + BigInt(number));

/** Resolves once the condition holds, which only I/O can bring about. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
