// The run's REST client, made anew after a 401, and what Discord says there of the gateway and of the token.

import type { Environment } from "../../shared/environment.ts";
import type { Clock, Random } from "../clock.ts";
import { type OpenTunnel, proxyName } from "../egressProxy.ts";
import type { GatewayInfo } from "../gateway/identify.ts";
import { gatewayInfo } from "../gatewayInfo.ts";
import type { Values } from "../ledger/ledger.ts";
import type { Neighbours } from "../ledger/traffic.ts";
import { checkToken, type TokenCheck } from "../preflight.ts";
import { createRestClient, type RestClient, RestError } from "../rest/client.ts";
import type { SharingParts } from "../sharing.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { createKeptBan } from "./keptBan.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** reference#user-agent: the name must come first, then where to find the library and its version. */
export const USER_AGENT = "DiscordBot (https://github.com/mooring-bot/mooring, 0.1.0)";

// A running bot's 401 is believed when it lasts: Discord's own outages have answered 401 for moments.
const REFUSAL_LASTS_MS = 60_000;

export interface ApiParts {
  readonly environment: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /** Where a ban of the address is kept. */
  readonly values: Values;
  readonly lifecycle: Lifecycle;
  /** Opens the way through EGRESS_PROXY. */
  readonly openTunnel: OpenTunnel | undefined;
  botUserId(): string | undefined;
  /** The edge has banned the address till then (ms since 1970), or lets it through: undefined. */
  onBan(untilWall: number | undefined): void;
  /** A running bot's token is refused, and was so for a minute. */
  onRefusedToken(): void;
}

export interface Api {
  /** The present client; not to be kept, since a refused one is replaced. */
  client(): RestClient;
  /** Until when the edge bans the address, ms since 1970; undefined while it does not. */
  bannedUntil(): number | undefined;
  /** Of several addresses, the one that this process leaves by. */
  seenFrom(address: string): void;
  /** What other tasks are told of the requests, and what they tell. */
  readonly requests: SharingParts["requests"];
  /** GET /gateway/bot. Rejects when there is no answer that a bot can go by. */
  askGateway(signal: AbortSignal): Promise<GatewayInfo>;
  /** How many shards Discord recommends; undefined while it does not say. */
  recommendedShards(): Promise<number | undefined>;
  /** Whether Discord takes the token. Rejects when the run is over. */
  askToken(firstLookMs: number): Promise<TokenCheck>;
}

export function createApi(parts: ApiParts): Api {
  const { environment, clock, random, telemetry, lifecycle } = parts;
  const proxy = environment.EGRESS_PROXY;

  const address = proxy === undefined ? environment.EGRESS_ADDRESSES?.join(", ") : `the proxy ${proxyName(proxy)}`;
  const keptBan = address === undefined ? undefined : createKeptBan({ ...parts, address });
  let ownAddress = address ?? null;
  let neighbours: Neighbours | undefined;
  let recalled: Promise<void> | undefined;

  const newClient = (): RestClient => {
    const made = createRestClient({
      clock,
      random,
      telemetry,
      userAgent: USER_AGENT,
      apiUrl: environment.DISCORD_API_URL,
      token: environment.DISCORD_TOKEN,
      globalPerSecond: environment.REST_GLOBAL_PER_SECOND,
      addresses: address === undefined ? [] : [address],
      // A ban of one route says nothing about the address.
      onEdge(edge) {
        keptBan?.note(client.traffic().ban);
        parts.onBan(edge.state !== "clear" && edge.route === null ? edge.untilWall : undefined);
      },
      onUnauthorized() {
        if (lifecycle.phase().phase === "running") void doubtToken();
      },
      botUserId: parts.botUserId,
      open: parts.openTunnel,
    });
    if (neighbours !== undefined) made.heed(neighbours);
    return made;
  };
  let client = newClient();

  const recall = async (): Promise<void> => {
    const ban = await keptBan?.recall();
    if (ban !== undefined) client.inherit(ban);
  };

  // A run's first request: before it comes what the last run has left.
  const askGateway = async (signal: AbortSignal): Promise<GatewayInfo> => {
    recalled ??= recall();
    await recalled;
    return gatewayInfo(client, signal, environment.DISCORD_GATEWAY_URL);
  };

  const askToken = (firstLookMs: number): Promise<TokenCheck> =>
    checkToken({
      clock,
      signal: lifecycle.over,
      firstLookMs,
      async ask(signal) {
        // A client that was refused sends nothing more.
        if (client.status().unauthorized) {
          void client.stop(0);
          client = newClient();
        }
        return askGateway(signal);
      },
      isRefusal: (error) => error instanceof RestError && error.kind === "unauthorized",
    });

  /** Requests have stopped with a 401; a minute later one asks whether it was meant. */
  async function doubtToken(): Promise<void> {
    try {
      const { outcome } = await askToken(REFUSAL_LASTS_MS);
      if (outcome === "refused") parts.onRefusedToken();
    } catch (error) {
      if (!lifecycle.over.aborted) throw error;
    }
  }

  return {
    client: () => client,
    bannedUntil() {
      const { state, until } = client.status().edge;
      return state === "banned" && until !== null ? Date.parse(until) : undefined;
    },
    seenFrom(seen) {
      if (proxy === undefined) ownAddress = seen;
    },
    requests: {
      perSecond: environment.REST_GLOBAL_PER_SECOND,
      address: () => ownAddress,
      own: () => client.traffic(),
      heed(told) {
        neighbours = told;
        client.heed(told);
      },
    },
    askGateway,
    async recommendedShards() {
      try {
        return (await askGateway(lifecycle.over)).shards;
      } catch (error) {
        telemetry.log("warn", "GET /gateway/bot gave no shard count; it is asked again", { error: String(error) });
        return undefined;
      }
    },
    askToken,
  };
}
