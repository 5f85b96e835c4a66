// A strict simulated Discord on loopback: a gateway and a REST API that enforce Discord's rules, count breaches and fail on demand.

import type { Clock } from "../../bot/clock.ts";
import { GatewayFaults } from "./gateway/faults.ts";
import { type Delivery, Hub } from "./gateway/hub.ts";
import { GatewayServer } from "./gateway/server.ts";
import { type Counts, Journal, type Violation } from "./journal.ts";
import { RestFaults } from "./rest/faults.ts";
import { type RecordedRequest, RestServer } from "./rest/server.ts";
import { IdentifyGate } from "./rules/identifyGate.ts";
import { Timers } from "./timers.ts";
import { channelObject, userObject, World } from "./world.ts";

export type { Delivery } from "./gateway/hub.ts";
export { type Counts, RULES, type RuleName, type Violation } from "./journal.ts";
export type { RecordedRequest } from "./rest/server.ts";
export type { World } from "./world.ts";

export interface SimulatedDiscordOptions {
  /** All times, announced and kept, are of this clock; it may run fast. */
  readonly clock: Clock;
  /** The raw token that is right. */
  readonly token: string;
  readonly applicationId?: string;
  /** What GET /gateway/bot recommends, 1. */
  readonly shards?: number;
  /** 1 */
  readonly maxConcurrency?: number;
  /** session_start_limit.total, 1000. */
  readonly identifyTotal?: number;
  /** As total. */
  readonly identifyRemaining?: number;
  /** Until the budget is whole again, ms: a day. */
  readonly resetAfterMs?: number;
  /** 41250, as seen live. */
  readonly heartbeatIntervalMs?: number;
  /** Servers in all; server i is on shard i % shards. One per shard. */
  readonly guilds?: number;
  /** 1 */
  readonly channelsPerGuild?: number;
  /** Intent bits that the portal has switched on, none. */
  readonly privilegedIntents?: number;
  /** How long a session outlives its connection, ms: 90 s. */
  readonly sessionLifetimeMs?: number;
  /** Events kept for a replay, 1000. */
  readonly replayLimit?: number;
  /** Shard counts must be a multiple of this, 1. */
  readonly shardMultiple?: number;
  /** A request under way when a ban or wait was announced is no breach, if it arrives within so many ms: 1000. */
  readonly inFlightGraceMs?: number;
  /** Responses of 401, 403 and 429 in 10 min that ban the address, 10000. */
  readonly invalidRequestLimit?: number;
  /** Requests kept in `requests`, the newest: 20000. */
  readonly requestsKept?: number;
  /** Seeds bucket hashes and whatever else looks random. */
  readonly seed?: number;
}

export interface MessageToSend {
  /** undefined for a direct message. */
  readonly guildId?: string | undefined;
  readonly channelId: string;
  readonly authorId: string;
  readonly content: string;
  readonly mentionsBot?: boolean;
}

export interface SessionView {
  readonly id: string;
  readonly shard: number;
  readonly shardCount: number;
  readonly intents: number;
  /** The last sequence given out, heard or not. */
  readonly sequence: number;
  readonly attached: boolean;
}

export interface SimulatedDiscord {
  readonly apiUrl: string;
  readonly gatewayUrl: string;
  /** The resume host, as READY names it. */
  readonly resumeUrl: string;
  readonly world: World;
  readonly violations: readonly Violation[];
  readonly counts: Readonly<Counts>;
  /** REST requests, oldest first, the newest 20,000. */
  readonly requests: readonly RecordedRequest[];
  readonly faults: { readonly gateway: GatewayFaults; readonly rest: RestFaults };
  /** Shard ids with a live session on a connection. */
  readyShards(): readonly number[];
  /** Sessions that a RESUME could still reach. */
  sessions(): readonly SessionView[];
  /** The presence that a shard has set last. */
  presence(shard: number): unknown;
  /** Sends an event to the sessions that its server, shard and intents entitle. */
  dispatch(type: string, data: Record<string, unknown>): readonly Delivery[];
  /** Someone writes: a message exists and MESSAGE_CREATE goes out. Returns the message's id. */
  sendMessage(message: MessageToSend): string;
  /** Someone uses a command: INTERACTION_CREATE goes out, and its token can be answered for 15 min, first within 3 s. */
  createInteraction(interaction: { channelId: string; userId: string; data: Record<string, unknown> }): {
    readonly id: string;
    readonly token: string;
  };
  /**
   * Resolves when the condition holds; "ready": each recommended shard is live; "gone": no connection is left.
   * @param limit ms of the injected clock, or a signal.
   */
  waitFor(condition: (() => boolean) | "ready" | "gone", limit?: number | AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

export async function startSimulatedDiscord(options: SimulatedDiscordOptions): Promise<SimulatedDiscord> {
  const { clock, shards = 1, identifyTotal = 1_000, inFlightGraceMs = 1_000 } = options;
  const timers = new Timers(clock);
  const journal = new Journal(clock, timers);
  const world = new World(clock, {
    applicationId: options.applicationId ?? "1100000000000000000",
    guilds: options.guilds ?? shards,
    channelsPerGuild: options.channelsPerGuild ?? 1,
  });
  const gate = new IdentifyGate(
    clock.now(),
    options.maxConcurrency ?? 1,
    identifyTotal,
    options.identifyRemaining ?? identifyTotal,
    options.resetAfterMs ?? 86_400_000,
  );
  const token = { value: options.token, valid: true };
  const hub = new Hub({ clock, timers, journal, world, gate }, token, {
    heartbeatIntervalMs: options.heartbeatIntervalMs ?? 41_250,
    sessionLifetimeMs: options.sessionLifetimeMs ?? 90_000,
    replayLimit: options.replayLimit ?? 1_000,
    privilegedIntents: options.privilegedIntents ?? 0,
    shardMultiple: options.shardMultiple ?? 1,
    inFlightGraceMs,
  });
  const gateway = new GatewayServer(hub);
  const rest = new RestServer(
    {
      clock,
      timers,
      journal,
      world,
      token,
      gatewayUrl: () => gateway.url,
      shards,
      sessionStartLimit: () => gate.limits(clock.now()),
      dispatch: (type, data) => void hub.dispatch(type, data),
      privilegedIntents: () => hub.privilegedIntents,
    },
    {
      inFlightGraceMs,
      invalidRequestLimit: options.invalidRequestLimit ?? 10_000,
      requestsKept: options.requestsKept ?? 20_000,
      seed: options.seed ?? 1,
    },
  );
  await Promise.all([gateway.start(), rest.start()]);

  const conditions = {
    ready: () => new Set(hub.readyShards()).size >= shards,
    gone: () => hub.connections.size === 0,
  };

  return {
    apiUrl: rest.url,
    gatewayUrl: gateway.url,
    resumeUrl: gateway.resumeUrl,
    world,
    violations: journal.violations,
    counts: journal.counts,
    requests: rest.requests,
    faults: { gateway: new GatewayFaults(hub, gateway), rest: new RestFaults(rest) },
    readyShards: () => hub.readyShards(),
    sessions: () =>
      hub.sessions.map(({ identity: { id, shard, intents }, sequence, attached }) => {
        return { id, shard: shard.id, shardCount: shard.count, intents, sequence, attached };
      }),
    presence: (shard) => hub.presences.get(shard),
    dispatch: (type, data) => hub.dispatch(type, data),
    sendMessage({ guildId, channelId, authorId, content, mentionsBot = false }) {
      const channel = world.channel(channelId);
      const message = world.addMessage(channel, world.user(authorId), { content }, mentionsBot);
      const place = guildId === undefined ? {} : { guild_id: guildId, member: { roles: [], flags: 0 } };
      hub.dispatch("MESSAGE_CREATE", { ...world.messageObject(message, true), ...place });
      return message.id;
    },
    createInteraction({ channelId, userId, data }) {
      const channel = world.channel(channelId);
      const { id, token: interactionToken } = world.addInteraction(channelId);
      const user = userObject(world.user(userId));
      const { guildId } = channel;
      hub.dispatch("INTERACTION_CREATE", {
        id,
        token: interactionToken,
        application_id: world.applicationId,
        type: 2,
        version: 1,
        channel_id: channelId,
        channel: channelObject(channel),
        data,
        ...(guildId === undefined ? { user } : { guild_id: guildId, member: { user, roles: [], permissions: "0" } }),
      });
      return { id, token: interactionToken };
    },
    waitFor: (condition, limit) =>
      journal.waitFor(typeof condition === "string" ? conditions[condition] : condition, limit),
    async stop() {
      timers.stop();
      gateway.stop();
      rest.stop();
      journal.stop();
      await Promise.resolve();
    },
  };
}
