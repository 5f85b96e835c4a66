// The run's fleet of shards: opened after preflight, and once more where Discord refuses intents that the bot can do without.

import { intentBits, intentNames, PRIVILEGED_BITS } from "../../shared/application.ts";
import type { Environment } from "../../shared/environment.ts";
import { isLoopback } from "../../shared/syntax.ts";
import type { Clock, Random } from "../clock.ts";
import type { BotDefinition } from "../defineBot.ts";
import { type OpenTunnel, tunnelAgent } from "../egressProxy.ts";
import { type Connect, connect } from "../gateway/connection.ts";
import type { Dispatcher } from "../gateway/dispatch.ts";
import { createFleet, type Fleet, type FleetOptions, type GatewayInfo } from "../gateway/fleet.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import { noShardProblem } from "../preflight.ts";
import type { Sharing } from "../sharing.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { type Api, USER_AGENT } from "./api.ts";
import type { Refusal } from "./refusals.ts";

/** Close code "Disallowed intent(s)" (topics/opcodes-and-status-codes#gateway). */
const DISALLOWED_INTENTS = "4014";
// The refused IDENTIFY counts for the 5 s window of its key (events/gateway#rate-limiting); one second is for the way there.
const IDENTIFY_APART_MS = 6_000;

export interface ShardsParts extends Pick<FleetOptions, "onDispatch"> {
  readonly environment: Environment;
  readonly definition: BotDefinition;
  /** The bits that the bot module asks for. */
  readonly intents: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly api: Api;
  readonly dispatcher: Dispatcher;
  readonly sharing: Sharing | undefined;
  /** Opens the way through EGRESS_PROXY. */
  readonly openTunnel: OpenTunnel | undefined;
  /** Opens a connection; by default over `ws`. */
  readonly connect?: Connect | undefined;
  /** An IDENTIFY made a session. */
  onNewSession(): void;
  /** The gateway's edge bans this address, or does so no more. */
  onEdge(): void;
  /** Discord refused the optional intents; the bot goes on without them. */
  onFewerIntents(refusal: Refusal): void;
  /** SHARD_IDS leaves nothing to run. */
  onNoShard(problem: string): void;
  /** Every shard has stopped, since Discord refuses the bot. */
  onRefusal(refusal: Refusal): void;
}

export interface Shards {
  /** Undefined until `open`. */
  fleet(): Fleet | undefined;
  /** The fleet, where it must be there. */
  present(): Fleet;
  /** The bits of the intents in use. */
  intents(): number;
  /**
   * Puts a fleet together, which dials nothing before its `start`.
   * @param known what GET /gateway/bot has just answered
   * @param pauseMs milliseconds before the first IDENTIFY
   * @param kept how many shards the ledger says there are
   */
  open(stored: readonly StoredSession[], known: GatewayInfo | undefined, pauseMs: number, kept?: number): Fleet;
  /** Whether a refusal is over by asking for less: of the privileged intents only optional ones are in use, till now. */
  dropIntents(refusal: Refusal): boolean;
}

export function createShards(parts: ShardsParts): Shards {
  const { environment, definition, clock, random, telemetry, api, dispatcher, sharing, openTunnel } = parts;
  const optional = intentBits(definition.optionalIntents ?? []);
  let intents = parts.intents;
  if ((intents & optional & PRIVILEGED_BITS) !== 0) telemetry.level("IntentsDropped", 0);
  let fleet: Fleet | undefined;

  const dial: Connect | undefined =
    openTunnel && ((call, events) => connect({ ...call, agent: tunnelAgent(openTunnel, call.address) }, events));

  function open(
    stored: readonly StoredSession[],
    known: GatewayInfo | undefined,
    pauseMs: number,
    kept?: number,
  ): Fleet {
    let fresh = known;
    const opened = createFleet({
      clock,
      random,
      telemetry,
      userAgent: USER_AGENT,
      token: environment.DISCORD_TOKEN,
      intents,
      intentNames: intentNames(intents),
      shardCount: environment.SHARD_COUNT,
      keptShardCount: kept,
      shardIds: environment.SHARD_IDS,
      compression: environment.GATEWAY_COMPRESSION,
      gatewayUrl: environment.DISCORD_GATEWAY_URL,
      // Where somebody chose a plain address on this machine, the gateway behind it may be plain, too.
      plainAllowed: environment.DISCORD_GATEWAY_URL !== undefined || isLoopback(environment.DISCORD_API_URL),
      sendLimit: environment.GATEWAY_SEND_LIMIT,
      identifyReserve: environment.IDENTIFY_RESERVE,
      identifyOverride: environment.IDENTIFY_OVERRIDE,
      identifyDelayMs: pauseMs,
      storedSessions: stored,
      leased: sharing !== undefined,
      ...(sharing !== undefined && { identifyPermit: sharing.permitIdentify }),
      connect: parts.connect ?? dial,
      async fetchGateway(signal) {
        // Preflight has just asked, and the route allows two calls in 5 s.
        const answer = fresh ?? (await api.askGateway(signal));
        fresh = undefined;
        return answer;
      },
      onDispatch: parts.onDispatch,
      onSession(shard, change, sequence) {
        dispatcher.onSession(shard, change, sequence);
        if (change === "started") parts.onNewSession();
      },
      finished(shard) {
        const position = dispatcher.position(shard);
        if (position === undefined) return { sequence: 0, finishedAbove: [], unfinished: [] };
        return { ...position, sequence: position.finished };
      },
      onNoShard: (count) => parts.onNoShard(noShardProblem(environment.SHARD_IDS, count)),
      onFatal: settle,
      onEdge: parts.onEdge,
      onCutOff: (shard) => sharing?.cutOff(shard),
    });
    const banned = api.bannedUntil();
    if (banned !== undefined) opened.setRestBan(banned);
    fleet = opened;
    return opened;
  }

  function settle(refusal: Refusal): void {
    if (!dropIntents(refusal)) {
      parts.onRefusal(refusal);
      return;
    }
    parts.onFewerIntents(refusal);
    open([], undefined, IDENTIFY_APART_MS).start();
    sharing?.again();
  }

  function dropIntents({ code, fix }: Refusal): boolean {
    const privileged = intents & PRIVILEGED_BITS;
    if (code !== DISALLOWED_INTENTS || privileged === 0 || (privileged & ~optional) !== 0) return false;
    intents &= ~privileged;
    const dropped = intentNames(privileged);
    telemetry.level("IntentsDropped", dropped.length);
    for (const intent of dropped) telemetry.event("intent.dropped", { intent, fix });
    return true;
  }

  return {
    fleet: () => fleet,
    present() {
      if (fleet !== undefined) return fleet;
      throw new Error("the bot was used before its `start`; this is a bug");
    },
    intents: () => intents,
    open,
    dropIntents,
  };
}
