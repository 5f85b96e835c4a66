// The clients side by side, each in the leanest setting that its documentation offers, behind one small face.

import { Buffer } from "node:buffer";
import { WebSocket } from "ws";
import { systemClock } from "../../../bot/clock.ts";
import { createDispatcher } from "../../../bot/gateway/dispatch.ts";
import { createFleet } from "../../../bot/gateway/fleet.ts";
import { createTelemetry } from "../../../bot/telemetry/telemetryDriver.ts";
import { Secret } from "../../../shared/secret.ts";
import { call, construct, loadPeer, member } from "../peers/load.ts";
import { decompressor, type Mode } from "./contexts.ts";

export interface Plan {
  readonly url: string;
  readonly shards: number;
  readonly mode: Mode;
  /** READY of one shard. */
  ready(): void;
  /** One dispatch after READY. */
  event(): void;
}

type Client = (plan: Plan) => Promise<void> | void;

const TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.bench.not-a-token-of-anybody";
const INTENTS = 33_281;
/** All shards at once: how fast they start is no matter here. */
const CONCURRENCY = 1_000;

const gatewayBot = (plan: Plan) => ({
  url: plan.url,
  shards: plan.shards,
  session_start_limit: {
    total: 1_000_000,
    remaining: 1_000_000,
    reset_after: 86_400_000,
    max_concurrency: CONCURRENCY,
  },
});

/** ws, inflate, JSON.parse, a counter: what no client can go below. */
const bare: Client = (plan) => {
  const compress = plan.mode === "none" ? "" : `&compress=${plan.mode}`;
  for (let shard = 0; shard < plan.shards; shard++) {
    const socket = new WebSocket(`${plan.url}?v=10&encoding=json${compress}`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    const inflate = plan.mode === "none" ? undefined : decompressor(plan.mode);
    socket.on("message", (data) => {
      if (!Buffer.isBuffer(data)) return;
      const text = inflate === undefined ? data.toString("utf8") : inflate(data).toString("utf8");
      const payload: { op?: unknown; t?: unknown } = JSON.parse(text);
      if (payload.op === 10) {
        const properties = { os: "linux", browser: "bare", device: "bare" };
        const d = { token: TOKEN, intents: INTENTS, shard: [shard, plan.shards], properties };
        socket.send(JSON.stringify({ op: 2, d }));
      } else if (payload.t === "READY") plan.ready();
      else plan.event();
    });
  }
};

/** @param handlers whether each event also goes through the ordered handlers, as it does in the bot. */
const mooring = (handlers: boolean): Client => {
  return (plan) => {
    const clock = systemClock();
    const random = Math.random;
    const telemetry = createTelemetry({ clock, stack: "bench", intervalMs: 10_000, level: "info", write: () => {} });
    telemetry.start();
    const dispatcher = createDispatcher({
      clock,
      telemetry,
      handler: () => plan.event,
      waitDeadlineMs: 60_000,
      runDeadlineMs: 60_000,
    });
    const fleet = createFleet({
      clock,
      random,
      telemetry,
      userAgent: "DiscordBot (https://example.com, 1.0)",
      token: new Secret(TOKEN),
      intents: INTENTS,
      intentNames: ["GUILDS", "GUILD_MESSAGES", "MESSAGE_CONTENT"],
      shardCount: plan.shards,
      compression: plan.mode,
      gatewayUrl: plan.url,
      identifyOverride: false,
      identifyReserve: 0,
      fetchGateway: async () => ({
        url: plan.url,
        shards: plan.shards,
        total: 1_000_000,
        remaining: 1_000_000,
        resetAfterMs: 86_400_000,
        maxConcurrency: CONCURRENCY,
      }),
      storedSessions: [],
      onDispatch(shard, sequence, type, data) {
        if (type === "READY") plan.ready();
        else if (handlers) dispatcher.dispatch(shard, sequence, type, data);
        else plan.event();
      },
      finished: () => ({ sequence: 0, finishedAbove: [], unfinished: [] }),
      onSession: (shard, session, sequence) => dispatcher.onSession(shard, session, sequence),
      onFatal: ({ fix }) => {
        throw new Error(fix);
      },
    });
    fleet.start();
  };
};

const discordjs: Client = async (plan) => {
  const ws = await loadPeer("@discordjs/ws");
  const manager = construct(ws, "WebSocketManager", {
    token: TOKEN,
    intents: INTENTS,
    shardCount: plan.shards,
    rest: { get: async () => gatewayBot(plan) },
    compression: plan.mode === "none" ? null : member(member(ws, "CompressionMethod"), "ZlibNative"),
  });
  const events = member(ws, "WebSocketShardEvents");
  call(manager, "on", member(events, "Ready"), () => plan.ready());
  call(manager, "on", member(events, "Dispatch"), (payload: unknown) => {
    const data = member(payload, "data") ?? payload;
    if (member(data, "t") !== "READY") plan.event();
  });
  await call(manager, "connect");
};

const discordeno = (preferSnakeCase: boolean): Client => {
  return async (plan) => {
    const gateway = await loadPeer("@discordeno/gateway");
    const quiet = { debug() {}, info() {}, warn() {}, error: console.error, fatal: console.error };
    const manager = call(gateway, "createGatewayManager", {
      token: TOKEN,
      intents: INTENTS,
      url: plan.url,
      totalShards: plan.shards,
      shardsPerWorker: plan.shards,
      totalWorkers: 1,
      spawnShardDelay: 0,
      preferSnakeCase,
      transportCompression: plan.mode === "none" ? null : plan.mode,
      resharding: { enabled: false },
      logger: quiet,
      connection: {
        url: plan.url,
        shards: plan.shards,
        sessionStartLimit: { total: 1_000_000, remaining: 1_000_000, resetAfter: 1, maxConcurrency: CONCURRENCY },
      },
      events: {
        message(_shard: unknown, payload: unknown) {
          const type = member(payload, "t");
          if (type === "READY") plan.ready();
          else if (typeof type === "string") plan.event();
        },
      },
    });
    await call(manager, "spawnShards");
  };
};

const oceanic: Client = async (plan) => {
  const library = await loadPeer("oceanic.js");
  const client = construct(library, "Client", {
    auth: `Bot ${TOKEN}`,
    disableCache: "no-warning",
    gateway: {
      intents: INTENTS,
      maxShards: plan.shards,
      concurrency: CONCURRENCY,
      compress: plan.mode === "none" ? false : plan.mode,
      guildCreateTimeout: 0,
      override: {
        appendQuery: true,
        gatewayURLIsResumeURL: true,
        timeBetweenShardConnects: 0,
        getBot: async () => ({
          url: plan.url,
          shards: plan.shards,
          sessionStartLimit: { total: 1_000_000, remaining: 1_000_000, resetAfter: 1, maxConcurrency: CONCURRENCY },
        }),
      },
    },
  });
  call(client, "on", "error", (error: unknown) => {
    throw error;
  });
  call(client, "on", "packet", (payload: unknown) => {
    const type = member(payload, "t");
    if (type === "READY") plan.ready();
    else if (typeof type === "string") plan.event();
  });
  await call(client, "connect");
};

export interface Contender {
  readonly name: string;
  readonly peer: string | undefined;
  readonly modes: readonly Mode[];
  readonly start: Client;
}

const ALL: readonly Mode[] = ["none", "zlib-stream", "zstd-stream"];

/** The first is what all are measured by. */
export const CONTENDERS: readonly Contender[] = [
  { name: "bare", peer: undefined, modes: ALL, start: bare },
  { name: "Mooring", peer: undefined, modes: ALL, start: mooring(false) },
  { name: "Mooring with handlers", peer: undefined, modes: ALL, start: mooring(true) },
  { name: "@discordjs/ws", peer: "@discordjs/ws", modes: ["none", "zlib-stream"], start: discordjs },
  { name: "@discordeno/gateway", peer: "@discordeno/gateway", modes: ALL, start: discordeno(false) },
  { name: "@discordeno/gateway, snake", peer: "@discordeno/gateway", modes: ALL, start: discordeno(true) },
  { name: "oceanic.js", peer: "oceanic.js", modes: ALL, start: oceanic },
];
