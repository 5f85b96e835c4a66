// The composition root: the one place where gateway, REST, ledger, telemetry and a bot module are put together.

import { randomUUID } from "node:crypto";
import type { Environment } from "../shared/environment.ts";
import { createBotFace } from "./botFace.ts";
import type { Clock, Random } from "./clock.ts";
import type { BotDefinition, Presence } from "./defineBot.ts";
import { tunnelOpener } from "./egressProxy.ts";
import type { Fleet } from "./gateway/fleet.ts";
import { readyUserId, userIdOf } from "./identity.ts";
import { createItemLedger } from "./ledger/itemLedger.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { settlingValues } from "./ledger/settlingValues.ts";
import { type Api, createApi } from "./runtime/api.ts";
import { createEnding, type Ending } from "./runtime/ending.ts";
import { createLifecycle, EXIT, type ExitCode, type Lifecycle } from "./runtime/lifecycle.ts";
import { createRefusals, REFUSED_TOKEN } from "./runtime/refusals.ts";
import { createRequestShares } from "./runtime/requestShares.ts";
import { createResharding } from "./runtime/resharding.ts";
import { createShardSet, type ShardSet } from "./runtime/shardSet.ts";
import { start } from "./runtime/start.ts";
import { type BotState, describeState } from "./state.ts";
import type { RunningTelemetry } from "./telemetry/telemetryDriver.ts";

// A state that outlived its own deadline by a minute is our bug, and a restart is the cure.
const STUCK_AFTER_MS = 60_000;
// Discord closes a few sockets at any time, which says nothing about the deployment.
const READY_SHARE = 0.9;

export interface RuntimeParts {
  readonly environment: Environment;
  readonly definition: BotDefinition;
  /** The bits that the module asks for. */
  readonly intents: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: RunningTelemetry;
  readonly ledger: Ledger;
}

export interface Runtime extends Pick<Ending, "drain" | "crash">, Pick<Lifecycle, "ended"> {
  /** Checks, starts the bot module, dials. A refusal ends or parks the run by itself; anything thrown is a bug. */
  run(): Promise<void>;
  /** Writes the last lines now, for a process that exits at once. @returns how it exits */
  abandon(): ExitCode;
  /** Whether the run ended to be followed by another one in this process. */
  restarts(): boolean;
  live(): boolean;
  ready(): boolean;
  /** The object of GET /state. */
  state(): BotState;
}

/** Puts the parts together; nothing is sent before `run`. */
export function createRuntime(parts: RuntimeParts): Runtime {
  const { environment, definition, intents, clock, random, telemetry, ledger } = parts;
  const lifecycle = createLifecycle({ clock, telemetry });
  const values = settlingValues(ledger.values);
  const openTunnel = environment.EGRESS_PROXY && tunnelOpener(environment.EGRESS_PROXY, clock);
  let userId = userIdOf(environment.DISCORD_TOKEN);
  let wasReady = false;
  let restarts = false;

  const refusals = createRefusals({ environment, intents, clock, ledger, telemetry });

  const api: Api = createApi({
    environment,
    clock,
    random,
    telemetry,
    values: ledger.values,
    lifecycle,
    openTunnel,
    botUserId: () => userId,
    onBan(untilWall) {
      for (const fleet of fleets()) fleet.setRestBan(untilWall);
      showEdge();
      leader().sharing?.tell();
    },
    onRefusedToken: () => void ending.refuse(REFUSED_TOKEN, "new"),
  });

  const requestShares = createRequestShares(api.requests);

  // What the bot module has set for all shards, for those of a set that comes up later too.
  let presence: Presence | undefined;
  // The set that leads, and one beside it while their number changes; by order of making.
  const sets = new Map<number, ShardSet>();
  let made = 0;
  let leading = 0;

  /** @param beside its number of shards, where another set runs already */
  function makeSet(beside: number | undefined, refused: ((why: string) => void) | undefined): ShardSet {
    const number = made++;
    const set = createShardSet({
      environment: beside === undefined ? environment : { ...environment, SHARD_COUNT: beside },
      definition,
      intents: sets.get(leading)?.shards.intents() ?? intents,
      clock,
      random,
      telemetry,
      // Among others it is a task of its own, with a checkpoint of its own.
      ledger:
        beside === undefined || ledger.shared === undefined
          ? ledger
          : createItemLedger(ledger.shared.items, randomUUID()),
      beside,
      leads: () => leading === number,
      api,
      requestShares,
      openTunnel,
      handlerOf: (type) => face.handlerOf(type),
      onDispatch,
      onEdge: showEdge,
      onFewerIntents: (refusal) => void refusals.remember(refusal),
      onNoShard: (problem) => void ending.misconfigured(problem),
      onRefusal(refusal) {
        if (leading === number || refused === undefined) void ending.refuse(refusal, "new");
        else refused(refusal.fix);
      },
    });
    sets.set(number, set);
    return set;
  }

  const first = makeSet(undefined, undefined);
  const leader = (): ShardSet => sets.get(leading) ?? first;
  const fleets = (): readonly Fleet[] => [...sets.values()].flatMap(({ shards }) => shards.fleet() ?? []);

  const resharding = createResharding({
    clock,
    telemetry,
    ledger,
    lifecycle,
    leading: leader,
    make(count, failed) {
      // An earlier change is over by now: what it left has stopped.
      for (const earlier of sets.keys()) if (earlier !== leading) sets.delete(earlier);
      const number = made;
      return {
        set: makeSet(count, failed),
        lead() {
          leading = number;
          if (presence !== undefined) leader().shards.present().setPresence(presence);
        },
      };
    },
  });

  const ending = createEnding({
    environment,
    clock,
    telemetry,
    ledger,
    lifecycle,
    api,
    leading: leader,
    stopAside: resharding.stop,
    valuesSettled: values.settled,
    refusals,
  });

  const face = createBotFace({
    rest: {
      request: (call) => api.client().request(call, leader().sharing?.mayAct),
    },
    environment,
    clock,
    random,
    values,
    telemetry,
    signal: lifecycle.finished,
    handlers: definition.handlers ?? {},
    userId: () => userId,
    intents: () => leader().shards.intents(),
    setPresence(wanted, target) {
      if (target.shard === undefined) presence = wanted;
      leader().shards.present().setPresence(wanted, target);
    },
    requestGuildMembers: (query, signal) => leader().shards.present().requestGuildMembers(query, signal),
    status: state,
    stop: ({ keepSessions }) => void ending.drain("stop", keepSessions),
    restart() {
      restarts = lifecycle.phase().phase === "running";
      // The ledger is handed to the next run, whether or not it outlives the process.
      if (restarts) void ending.drain("restart", true);
    },
  });

  function onDispatch(shard: number, sequence: number, type: string, data: unknown): void {
    if (type === "READY") userId = readyUserId(data) ?? userId;
    api.client().noteDispatch(type, data);
    try {
      definition.onDispatch?.(shard, sequence, type, data);
    } catch (error) {
      telemetry.log("error", "the bot module's onDispatch threw", { error: String(error), type });
    }
    // The shard itself turns ready after the dispatch that tells so.
    if (!wasReady && (type === "READY" || type === "RESUMED")) queueMicrotask(noteReady);
  }

  function noteReady(): void {
    const status = leader().shards.fleet()?.status();
    if (wasReady || status === undefined || status.readyShare < 1) return;
    wasReady = true;
    telemetry.event("bot.ready", { shards: status.ready, tookMs: Math.round(clock.now() - lifecycle.startedAt) });
  }

  function showEdge(): void {
    const edges = [api.client().status().edge, ...fleets().map((fleet) => fleet.status().edge)];
    const banned = edges.some((edge) => edge.state === "banned");
    telemetry.level("EdgeBanned", banned ? 1 : 0);
  }

  function live(): boolean {
    if (lifecycle.phase().phase === "preflight") return false;
    const shards = fleets().flatMap((fleet) => fleet.status().shards);
    return !shards.some(({ deadline }) => deadline !== null && clock.wall() - Date.parse(deadline) > STUCK_AFTER_MS);
  }

  function state(): BotState {
    return describeState({
      phase: lifecycle.phase(),
      fleet: leader().shards.fleet()?.status(),
      rest: api.client().status(),
      metrics: telemetry.totals(),
      now: clock.wall(),
    });
  }

  return {
    ended: lifecycle.ended,
    run: () =>
      start({
        environment,
        definition,
        bot: face.bot,
        clock,
        telemetry,
        ledger,
        lifecycle,
        api,
        set: first,
        resharding,
        refusals,
        ending,
      }),
    drain: ending.drain,
    crash: ending.crash,
    abandon: () => lifecycle.finish(EXIT.asked),
    restarts: () => restarts,
    live,
    ready: () =>
      lifecycle.phase().phase === "running" && (leader().shards.fleet()?.status().readyShare ?? 0) >= READY_SHARE,
    state,
  };
}
