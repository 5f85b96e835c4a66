// The composition root: the one place where gateway, REST, ledger, telemetry and a bot module are put together.

import { intentBits, intentNames, PRIVILEGED_BITS } from "../shared/application.ts";
import type { Environment } from "../shared/environment.ts";
import { isLoopback } from "../shared/syntax.ts";
import { createBotFace } from "./botFace.ts";
import { createCheckpoint } from "./checkpoint.ts";
import { type Clock, type Random, systemClock } from "./clock.ts";
import type { BotDefinition } from "./defineBot.ts";
import { askEcho } from "./egress/echo.ts";
import { watchEgress } from "./egress/egressWatch.ts";
import { proxyName, tunnelAgent, tunnelOpener } from "./egressProxy.ts";
import { type Connect, connect } from "./gateway/connection.ts";
import { createDispatcher, type Dispatcher, defaultKey } from "./gateway/dispatch.ts";
import { createFleet, type Fleet, type GatewayInfo } from "./gateway/fleet.ts";
import { gatewayInfo } from "./gatewayInfo.ts";
import { readyUserId, userIdOf } from "./identity.ts";
import { fingerprintOf, tokenHash } from "./ledger/hash.ts";
import type { Ledger, StoredRefusal, StoredSession } from "./ledger/ledger.ts";
import { LedgerError } from "./ledger/ledgerError.ts";
import { checkToken, type Kept, readLedger, untilReachable } from "./preflight.ts";
import { crashLoopPauseMs } from "./resilience/crashLoop.ts";
import { createRestClient, type RestClient, RestError } from "./rest/client.ts";
import { createSharing } from "./sharing.ts";
import { type BotState, describeState } from "./state.ts";
import type { RunningTelemetry } from "./telemetry/telemetryDriver.ts";

/** How the process ends; an orchestrator and a person both read it. */
export const EXIT = { asked: 0, bug: 70, refused: 77, configuration: 78 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** reference#user-agent: the name must come first, then where to find the library and its version. */
const USER_AGENT = "DiscordBot (https://github.com/mooring-bot/mooring, 0.1.0)";

// A question that has waited for 5 min is not waited for any more; a handler of 15 min outlives its interaction's token
// (interactions/receiving-and-responding: 15 min).
const WAIT_DEADLINE_MS = 300_000;
const RUN_DEADLINE_MS = 900_000;
// A start that does more than open things up must not keep the bot from its users.
const START_DEADLINE_MS = 10_000;
// A state that outlived its own deadline by a minute is our bug, and a restart is the cure.
const STUCK_AFTER_MS = 60_000;
// Discord closes a few sockets at any time, which says nothing about the deployment.
const READY_SHARE = 0.9;
// A start that took over sessions is a deploy; its echoes (a dip in ready shards) are over within 5 min.
const DEPLOY_ECHO_MS = 300_000;
// A refusal can be mended in the developer portal, where no setting of ours changes: after an hour one start may ask again.
const REFUSAL_HOLDS_MS = 3_600_000;
// What a ledger that hangs may still take from a drain: DRAIN_MS of at most 115 s and this stay below ECS's 120 s.
const SAVE_DEADLINE_MS = 4_000;
// What a crash may still take for its checkpoint and its closes.
const CRASH_DEADLINE_MS = 10_000;
// Discord must hear of the close within 500 ms of a SIGTERM, so that a successor may RESUME; a checkpoint goes on beside it.
const SAVE_BEFORE_CLOSE_MS = 250;
// A running bot's 401 is believed when it lasts: Discord's own outages have answered 401 for moments.
const REFUSAL_LASTS_MS = 60_000;

/** Close code "Disallowed intent(s)" (topics/opcodes-and-status-codes#gateway). */
const DISALLOWED_INTENTS = "4014";
// The refused IDENTIFY counts for the 5 s window of its key (events/gateway#rate-limiting); one second is for the way there.
const IDENTIFY_APART_MS = 6_000;

/** Why Discord refuses the bot, and what a person must do about it. */
export interface Refusal {
  readonly code: string;
  readonly fix: string;
}

const REFUSED_TOKEN: Refusal = {
  code: "401",
  fix: "Discord does not take DISCORD_TOKEN: make a new token in the developer portal (Bot, Reset Token) and install it",
};

export interface RuntimeParts {
  readonly environment: Environment;
  readonly definition: BotDefinition;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: RunningTelemetry;
  readonly ledger: Ledger;
}

/** Where a run stands. `parked`: Discord refuses the bot, and the process waits for a person. */
export type Phase =
  | { readonly phase: "preflight" }
  | { readonly phase: "running" }
  | { readonly phase: "parked"; readonly code: string; readonly fix: string }
  | { readonly phase: "ending" };

export interface Runtime {
  /** Settles when the run is over. */
  readonly ended: Promise<ExitCode>;
  /** Checks, starts the bot module, dials. A refusal ends or parks the run by itself; anything thrown is a bug. */
  run(): Promise<void>;
  /** Finishes what runs, keeps the sessions if asked to (default: on SIGTERM, if the ledger outlives us), ends with 0. */
  drain(signal: string, keepSessions?: boolean): Promise<void>;
  /** Writes the last lines now, for a process that exits at once. @returns how it exits */
  abandon(): ExitCode;
  /** Whether the run ended to be followed by another one in this process. */
  restarts(): boolean;
  /** An error that nobody caught: saves what can be saved at once, ends with 70. */
  crash(error: unknown): Promise<void>;
  live(): boolean;
  ready(): boolean;
  /** The object of GET /state. */
  state(): BotState;
}

/** Puts the parts together; nothing is sent before `run`. */
export function createRuntime(parts: RuntimeParts): Runtime {
  const { environment, definition, clock, random, telemetry, ledger } = parts;
  const token = environment.DISCORD_TOKEN;
  const asked = typeof definition.intents === "function" ? definition.intents(environment) : definition.intents;
  const optional = intentBits(definition.optionalIntents ?? []);
  let intents = intentBits(asked);
  const fingerprint = fingerprintOf(token, intents, `${environment.SHARD_IDS ?? "all"} of ${environment.SHARD_COUNT}`);
  const startedAt = clock.now();
  const { promise: ended, resolve: end } = Promise.withResolvers<ExitCode>();
  let phase: Phase = { phase: "preflight" };
  let fleet: Fleet | undefined;
  let userId = userIdOf(token);
  // A disk and a database take their time, however fast a rehearsal's clock runs.
  const machineTime = systemClock();
  let wasReady = false;
  let exitCode: ExitCode | undefined;
  let caught = false;
  let restarts = false;
  // Aborts what the module holds open, once nothing of the run is left.
  const finished = new AbortController();
  // Aborts what preflight and start still wait for, once the run parks or ends.
  const over = new AbortController();
  // Where somebody chose a plain address on this machine, the gateway behind it may be plain, too.
  const plainAllowed = environment.DISCORD_GATEWAY_URL !== undefined || isLoopback(environment.DISCORD_API_URL);

  const proxy = environment.EGRESS_PROXY;
  const openTunnel = proxy && tunnelOpener(proxy, clock);
  const dial: Connect | undefined =
    openTunnel && ((call, events) => connect({ ...call, agent: tunnelAgent(openTunnel, call.address) }, events));

  const newRest = (): RestClient =>
    createRestClient({
      clock,
      random,
      telemetry,
      userAgent: USER_AGENT,
      apiUrl: environment.DISCORD_API_URL,
      token,
      globalPerSecond: environment.REST_GLOBAL_PER_SECOND,
      addresses: proxy === undefined ? (environment.EGRESS_ADDRESSES ?? []) : [`the proxy ${proxyName(proxy)}`],
      onEdge(edge) {
        // A ban of one route says nothing about the address.
        fleet?.setRestBan(edge.state === "banned" && edge.route === null ? edge.untilWall : undefined);
        showEdge();
      },
      onUnauthorized() {
        if (phase.phase === "running") void doubtToken();
      },
      botUserId: () => userId,
      open: openTunnel,
    });
  let rest = newRest();

  const askGateway = (signal: AbortSignal): Promise<GatewayInfo> =>
    gatewayInfo(rest, signal, environment.DISCORD_GATEWAY_URL);

  /** Asks whether Discord takes the token with a client of its own, since one that was refused sends nothing more. */
  const askToken = (firstLookMs: number) =>
    checkToken({
      clock,
      signal: over.signal,
      firstLookMs,
      async ask(signal) {
        if (rest.status().unauthorized) {
          void rest.stop(0);
          rest = newRest();
        }
        return askGateway(signal);
      },
      isRefusal: (error) => error instanceof RestError && error.kind === "unauthorized",
    });

  const dispatcher: Dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: (type) => face.handlerOf(type),
    key: (type, data, shard) => definition.key?.(type, data) ?? defaultKey(type, data, shard),
    waitDeadlineMs: WAIT_DEADLINE_MS,
    runDeadlineMs: RUN_DEADLINE_MS,
    ...(ledger.shared !== undefined && {
      mayStart: () => sharing?.mayStart() ?? true,
      settled: () => sharing?.settled(),
    }),
  });

  const sharing =
    ledger.shared === undefined
      ? undefined
      : createSharing({
          clock,
          telemetry,
          ledger,
          shared: ledger.shared,
          dispatcher,
          checkpoint: () => checkpoint,
          fleet: () => fleet,
          tasks: environment.TASKS,
          loss: environment.LEDGER_LOSS,
          configured: environment.SHARD_COUNT === "auto" ? undefined : environment.SHARD_COUNT,
          async recommended() {
            try {
              return (await askGateway(over.signal)).shards;
            } catch (error) {
              telemetry.log("warn", "GET /gateway/bot gave no shard count; it is asked again", {
                error: String(error),
              });
              return undefined;
            }
          },
          traffic: () => ({ address: environment.EGRESS_ADDRESSES?.[0] ?? null, demand: 0, invalid: 0 }),
        });

  const sessions = (): readonly StoredSession[] => sharing?.sessions() ?? fleet?.sessions() ?? [];
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions });

  const face = createBotFace({
    rest: {
      request: (call) => (sharing === undefined ? rest.request(call) : sharing.sure().then(() => rest.request(call))),
    },
    environment,
    clock,
    random,
    values: ledger.values,
    telemetry,
    signal: finished.signal,
    handlers: definition.handlers ?? {},
    userId: () => userId,
    intents: () => intents,
    setPresence: (presence, target) => present().setPresence(presence, target),
    requestGuildMembers: (query, signal) => present().requestGuildMembers(query, signal),
    status: state,
    stop: ({ keepSessions }) => void drain("stop", keepSessions),
    restart() {
      restarts = phase.phase === "running";
      // The ledger is handed to the next run, whether or not it outlives the process.
      if (restarts) void drain("restart", true);
    },
  });

  /** The fleet, which is there before the module is handed its bot. */
  function present(): Fleet {
    if (fleet !== undefined) return fleet;
    throw new Error("the bot was used before its `start`; this is a bug");
  }

  function createFleetFrom(stored: readonly StoredSession[], known: GatewayInfo | undefined, pauseMs: number): Fleet {
    let fresh = known;
    return createFleet({
      clock,
      random,
      telemetry,
      userAgent: USER_AGENT,
      token,
      intents,
      intentNames: intentNames(intents),
      shardCount: environment.SHARD_COUNT,
      shardIds: environment.SHARD_IDS,
      compression: environment.GATEWAY_COMPRESSION,
      gatewayUrl: environment.DISCORD_GATEWAY_URL,
      plainAllowed,
      identifyReserve: environment.IDENTIFY_RESERVE,
      identifyOverride: environment.IDENTIFY_OVERRIDE,
      identifyDelayMs: pauseMs,
      storedSessions: stored,
      leased: sharing !== undefined,
      ...(sharing !== undefined && { identifyPermit: sharing.permitIdentify }),
      connect: dial,
      async fetchGateway(signal) {
        // Preflight has just asked, and the route allows two calls in 5 s.
        const answer = fresh ?? (await askGateway(signal));
        fresh = undefined;
        return answer;
      },
      onDispatch,
      onSession: dispatcher.onSession,
      finished(shard) {
        const position = dispatcher.position(shard);
        if (position === undefined) return { sequence: 0, finishedAbove: [], unfinished: [] };
        return { ...position, sequence: position.finished };
      },
      onFatal(refusal) {
        if (!dropIntents(refusal)) {
          void refuse(refusal, "new");
          return;
        }
        void remember({ ...refusal, fingerprint, writtenAt: clock.wall() });
        fleet = createFleetFrom([], undefined, IDENTIFY_APART_MS);
        tellRestBan(fleet);
        fleet.start();
        sharing?.again();
      },
      onEdge: showEdge,
    });
  }

  /** Whether a refusal is over by asking for less: of the privileged intents only optional ones are in use, till now. */
  function dropIntents({ code, fix }: Refusal): boolean {
    const privileged = intents & PRIVILEGED_BITS;
    if (code !== DISALLOWED_INTENTS || privileged === 0 || (privileged & ~optional) !== 0) return false;
    intents &= ~privileged;
    for (const intent of intentNames(privileged)) telemetry.event("intent.dropped", { intent, fix });
    return true;
  }

  function onDispatch(shard: number, sequence: number, type: string, data: unknown): void {
    if (type === "READY") userId = readyUserId(data) ?? userId;
    rest.noteDispatch(type, data);
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
    const status = fleet?.status();
    if (wasReady || status === undefined || status.readyShare < 1) return;
    wasReady = true;
    telemetry.event("bot.ready", { shards: status.ready, tookMs: Math.round(clock.now() - startedAt) });
  }

  /** A fleet that is made during a ban hears of it; a ban of one route says nothing about the address. */
  function tellRestBan(to: Fleet): void {
    const { state: edgeState, until } = rest.status().edge;
    if (edgeState === "banned" && until !== null) to.setRestBan(Date.parse(until));
  }

  function showEdge(): void {
    const banned = rest.status().edge.state === "banned" || fleet?.status().edge.state === "banned";
    telemetry.level("EdgeBanned", banned ? 1 : 0);
  }

  function enter(next: Phase): void {
    phase = next;
    if (next.phase === "parked" || next.phase === "ending") over.abort(new Error(`the bot is ${next.phase}`));
  }

  async function run(): Promise<void> {
    try {
      await setOut();
    } catch (error) {
      // Whoever ended the run has also ended what it waited for.
      if (!over.signal.aborted) throw error;
    }
  }

  async function setOut(): Promise<void> {
    if (over.signal.aborted) return;
    let kept: Kept;
    try {
      kept = await untilReachable({ clock, telemetry, signal: over.signal }, () =>
        readLedger(ledger, telemetry, clock.wall()),
      );
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      telemetry.event("configuration.invalid", { problems: [`LEDGER ${error.message}`] });
      finish(EXIT.configuration);
      return;
    }
    if (over.signal.aborted) return;
    const { refusal } = kept;
    const holds = refusal?.fingerprint === fingerprint && clock.wall() - refusal.writtenAt < REFUSAL_HOLDS_MS;
    if (refusal !== undefined && holds && !dropIntents(refusal)) {
      await refuse({ code: refusal.code, fix: refusal.fix }, "remembered");
      return;
    }
    // A session that Discord gave for this token proves it as well as a request would, and costs none.
    const proven = kept.sessions.some((session) => session.tokenHash === tokenHash(token));
    const check = proven ? undefined : await askToken(0);
    if (over.signal.aborted) return;
    if (check?.outcome === "refused") return refuse(REFUSED_TOKEN, "new");
    if (check?.outcome === "unclear") {
      telemetry.log("warn", "GET /gateway/bot gave no clear answer about the token; the bot goes on", {
        error: String(check.cause),
      });
    }
    enter({ phase: "running" });
    // Among others, a shard's session comes with its lease.
    if (sharing === undefined) for (const session of kept.sessions) dispatcher.restore(session);
    if (proven) showDeploy();
    else telemetry.level("DeployRunning", 0);
    const known = check?.outcome === "taken" ? check.gateway : undefined;
    fleet = createFleetFrom(kept.sessions, known, crashLoopPauseMs(kept.starts, clock.wall()));
    tellRestBan(fleet);
    await startModule();
    if (over.signal.aborted) return;
    if (sharing !== undefined) {
      await untilReachable({ clock, telemetry, signal: over.signal }, sharing.join);
      if (over.signal.aborted) return sharing.end();
    }
    fleet.start();
    sharing?.start();
    checkpoint.start();
    const echo = environment.EGRESS_ECHO_URL;
    watchEgress({
      clock,
      telemetry,
      addresses: environment.EGRESS_ADDRESSES ?? [],
      signal: over.signal,
      askEcho: echo === undefined ? undefined : (signal) => askEcho(echo, signal),
      probeEdge: (signal) => rest.request({ method: "GET", path: "/gateway", auth: false, signal }),
    });
  }

  async function startModule(): Promise<void> {
    const returned = new AbortController();
    const waited = clock.sleep(START_DEADLINE_MS, AbortSignal.any([returned.signal, over.signal])).then(
      () => telemetry.log("warn", `the bot module's start has not returned within ${START_DEADLINE_MS} ms; dialling`),
      () => {},
    );
    const started = Promise.resolve(definition.start?.(face.bot)).catch(crash);
    await Promise.race([started, waited]);
    returned.abort();
  }

  function showDeploy(): void {
    telemetry.level("DeployRunning", 1);
    clock.schedule(DEPLOY_ECHO_MS, () => {
      if (phase.phase !== "ending") telemetry.level("DeployRunning", 0);
    });
  }

  /** Requests have stopped with a 401; a minute later one asks whether it was meant. */
  async function doubtToken(): Promise<void> {
    try {
      const check = await askToken(REFUSAL_LASTS_MS);
      if (check.outcome === "refused") await refuse(REFUSED_TOKEN, "new");
    } catch (error) {
      if (!over.signal.aborted) throw error;
    }
  }

  /** Discord refuses the bot. Before preflight has passed the process ends, so that a deployment can roll back. */
  async function refuse(refusal: Refusal, kind: "new" | "remembered"): Promise<void> {
    if (phase.phase === "parked" || phase.phase === "ending") return;
    const parks = environment.ON_FATAL === "park" && (phase.phase === "running" || kind === "remembered");
    enter(parks ? { phase: "parked", ...refusal } : { phase: "ending" });
    telemetry.level("Fatal", 1);
    telemetry.event("fatal", refusal);
    telemetry.flush();
    checkpoint.stop();
    if (kind === "new") await remember({ ...refusal, fingerprint, writtenAt: clock.wall() });
    await Promise.all([fleet?.stop({ keepSessions: true }), rest.stop(0)]);
    await within(SAVE_DEADLINE_MS, sharing?.end() ?? Promise.resolve());
    if (!parks) finish(EXIT.refused);
  }

  async function remember(refusal: StoredRefusal): Promise<void> {
    try {
      await ledger.writeRefusal(refusal);
    } catch (error) {
      telemetry.event("ledger.unreachable", { error: String(error) });
    }
  }

  async function drain(signal: string, keepSessions = ledger.persistent && signal !== "SIGINT"): Promise<void> {
    if (phase.phase === "ending") return;
    enter({ phase: "ending" });
    const since = clock.now();
    telemetry.level("DeployRunning", 1);
    telemetry.event("bot.draining", { signal, keepSessions: keepSessions ? "yes" : "no" });
    checkpoint.stop();
    // A kept session replays what has not been started; without one, only what is here now can still be handled.
    if (keepSessions) {
      dispatcher.stopStarting();
      // A successor that waits RESUMEs as soon as it is told, and Discord then closes here by itself.
      if (sharing !== undefined) void sharing.leave();
      else await within(SAVE_BEFORE_CLOSE_MS, checkpoint.write());
    }
    await fleet?.stop({ keepSessions });
    const late = new AbortController();
    const cancel = clock.schedule(environment.DRAIN_MS, () => late.abort(new Error("DRAIN_MS is over")));
    await dispatcher.drained(late.signal).catch(() => {});
    await rest.stop(Math.max(0, environment.DRAIN_MS - (clock.now() - since)));
    cancel();
    // Handlers that ended meanwhile need no replay; a session that was ended must not be tried again.
    const saved = keepSessions ? checkpoint.write() : checkpoint.forget();
    await within(SAVE_DEADLINE_MS, saved.then(sharing?.end));
    finish(caught ? EXIT.bug : EXIT.asked, since);
  }

  async function crash(error: unknown): Promise<void> {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    telemetry.log("error", "an error that nothing caught ends the bot", { error: text });
    caught = true;
    // What is ending already goes on to its end, which is near.
    if (phase.phase === "ending") return;
    enter({ phase: "ending" });
    const since = clock.now();
    telemetry.flush();
    checkpoint.stop();
    const saved = checkpoint.write().then(() => Promise.all([fleet?.stop({ keepSessions: true }), sharing?.end()]));
    await within(CRASH_DEADLINE_MS, saved);
    finish(EXIT.bug, since);
  }

  /** Waits for the ledger's work, so long at most. */
  async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    await Promise.race([work, machineTime.sleep(milliseconds, done.signal).catch(() => {})]);
    done.abort();
  }

  function finish(code: ExitCode, since = startedAt): ExitCode {
    if (exitCode !== undefined) return exitCode;
    exitCode = code;
    enter({ phase: "ending" });
    telemetry.flush();
    telemetry.stop();
    telemetry.event("bot.stopped", { tookMs: Math.round(clock.now() - since), exitCode });
    finished.abort(new Error("the run is over"));
    end(exitCode);
    return exitCode;
  }

  function live(): boolean {
    if (phase.phase === "preflight") return false;
    const stuck = fleet?.status().shards.some(({ deadline }) => {
      return deadline !== null && clock.wall() - Date.parse(deadline) > STUCK_AFTER_MS;
    });
    return stuck !== true;
  }

  const ready = (): boolean => phase.phase === "running" && (fleet?.status().readyShare ?? 0) >= READY_SHARE;

  function state(): BotState {
    return describeState({
      phase,
      fleet: fleet?.status(),
      rest: rest.status(),
      metrics: telemetry.totals(),
      now: clock.wall(),
    });
  }

  const abandon = (): ExitCode => finish(EXIT.asked);
  return { ended, run, drain, abandon, restarts: () => restarts, crash, live, ready, state };
}
