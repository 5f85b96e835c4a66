// The composition root: the one place where gateway, REST, ledger, telemetry and a bot module are put together.

import { intentBits } from "../shared/application.ts";
import type { Environment } from "../shared/environment.ts";
import { createBotFace } from "./botFace.ts";
import { createCheckpoint } from "./checkpoint.ts";
import type { Clock, Random } from "./clock.ts";
import type { BotDefinition } from "./defineBot.ts";
import { tunnelOpener } from "./egressProxy.ts";
import { createDispatcher, type Dispatcher, defaultKey } from "./gateway/dispatch.ts";
import { readyUserId, userIdOf } from "./identity.ts";
import type { Ledger, StoredSession } from "./ledger/ledger.ts";
import { type Api, createApi } from "./runtime/api.ts";
import { createEnding, type Ending } from "./runtime/ending.ts";
import { createLifecycle, EXIT, type ExitCode, type Lifecycle } from "./runtime/lifecycle.ts";
import { createRefusals, REFUSED_TOKEN } from "./runtime/refusals.ts";
import { createShards, type Shards } from "./runtime/shards.ts";
import { start } from "./runtime/start.ts";
import { createSharing, type Sharing } from "./sharing.ts";
import { type BotState, describeState } from "./state.ts";
import type { RunningTelemetry } from "./telemetry/telemetryDriver.ts";

// A question that has waited for 5 min is not waited for any more; a handler of 15 min outlives its interaction's token
// (interactions/receiving-and-responding: 15 min).
const WAIT_DEADLINE_MS = 300_000;
const RUN_DEADLINE_MS = 900_000;
// A state that outlived its own deadline by a minute is our bug, and a restart is the cure.
const STUCK_AFTER_MS = 60_000;
// Discord closes a few sockets at any time, which says nothing about the deployment.
const READY_SHARE = 0.9;

export interface RuntimeParts {
  readonly environment: Environment;
  readonly definition: BotDefinition;
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
  const { environment, definition, clock, random, telemetry, ledger } = parts;
  const { intents: asked } = definition;
  const intents = intentBits(typeof asked === "function" ? asked(environment) : asked);
  const lifecycle = createLifecycle({ clock, telemetry });
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
      shards.fleet()?.setRestBan(untilWall);
      showEdge();
      sharing?.tell();
    },
    onRefusedToken: () => void ending.refuse(REFUSED_TOKEN, "new"),
  });

  const dispatcher: Dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: (type) => face.handlerOf(type),
    key: (type, data, shard) => definition.key?.(type, data) ?? defaultKey(type, data, shard),
    waitDeadlineMs: WAIT_DEADLINE_MS,
    runDeadlineMs: RUN_DEADLINE_MS,
    ...(ledger.shared !== undefined && {
      mayStart: () => sharing?.mayAct() ?? true,
      settled: () => sharing?.settled(),
    }),
  });

  const sharing: Sharing | undefined =
    ledger.shared === undefined
      ? undefined
      : createSharing({
          clock,
          telemetry,
          ledger,
          shared: ledger.shared,
          dispatcher,
          checkpoint: () => checkpoint,
          fleet: () => shards.fleet(),
          tasks: environment.TASKS,
          loss: environment.LEDGER_LOSS,
          configured: environment.SHARD_COUNT === "auto" ? undefined : environment.SHARD_COUNT,
          recommended: () => api.recommendedShards(),
          requests: api.requests,
        });

  const shards: Shards = createShards({
    environment,
    definition,
    intents,
    clock,
    random,
    telemetry,
    api,
    dispatcher,
    sharing,
    openTunnel,
    onDispatch,
    // What a crash loses with a session cannot be replayed, and the next would cost an IDENTIFY: it waits for no turn.
    onNewSession: () => void checkpoint.write(),
    onEdge: showEdge,
    onFewerIntents: (refusal) => void refusals.remember(refusal),
    onNoShard: (problem) => void ending.misconfigured(problem),
    onRefusal: (refusal) => void ending.refuse(refusal, "new"),
  });

  const sessions = (): readonly StoredSession[] => sharing?.sessions() ?? shards.fleet()?.sessions() ?? [];
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions });

  const ending = createEnding({
    environment,
    clock,
    telemetry,
    ledger,
    lifecycle,
    api,
    shards,
    dispatcher,
    sharing,
    checkpoint,
    refusals,
  });

  const face = createBotFace({
    rest: {
      request: (call) => api.client().request(call, sharing?.mayAct),
    },
    environment,
    clock,
    random,
    values: ledger.values,
    telemetry,
    signal: lifecycle.finished,
    handlers: definition.handlers ?? {},
    userId: () => userId,
    intents: shards.intents,
    setPresence: (presence, target) => shards.present().setPresence(presence, target),
    requestGuildMembers: (query, signal) => shards.present().requestGuildMembers(query, signal),
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
    dispatcher.dispatch(shard, sequence, type, data);
    // The shard itself turns ready after the dispatch that tells so.
    if (!wasReady && (type === "READY" || type === "RESUMED")) queueMicrotask(noteReady);
  }

  function noteReady(): void {
    const status = shards.fleet()?.status();
    if (wasReady || status === undefined || status.readyShare < 1) return;
    wasReady = true;
    telemetry.event("bot.ready", { shards: status.ready, tookMs: Math.round(clock.now() - lifecycle.startedAt) });
  }

  function showEdge(): void {
    const banned = [api.client().status().edge.state, shards.fleet()?.status().edge.state].includes("banned");
    telemetry.level("EdgeBanned", banned ? 1 : 0);
  }

  function live(): boolean {
    if (lifecycle.phase().phase === "preflight") return false;
    const stuck = shards
      .fleet()
      ?.status()
      .shards.some(({ deadline }) => {
        return deadline !== null && clock.wall() - Date.parse(deadline) > STUCK_AFTER_MS;
      });
    return stuck !== true;
  }

  function state(): BotState {
    return describeState({
      phase: lifecycle.phase(),
      fleet: shards.fleet()?.status(),
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
        shards,
        dispatcher,
        sharing,
        checkpoint,
        refusals,
        ending,
      }),
    drain: ending.drain,
    crash: ending.crash,
    abandon: () => lifecycle.finish(EXIT.asked),
    restarts: () => restarts,
    live,
    ready: () => lifecycle.phase().phase === "running" && (shards.fleet()?.status().readyShare ?? 0) >= READY_SHARE,
    state,
  };
}
