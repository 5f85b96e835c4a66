// One life of the bot's process, put together as the runtime does it: fleet, dispatcher and checkpoint on a kept ledger.

import { createCheckpoint } from "../../../bot/checkpoint.ts";
import { createDispatcher } from "../../../bot/gateway/dispatch.ts";
import { createFleet, type Fleet } from "../../../bot/gateway/fleet.ts";
import type { Ledger } from "../../../bot/ledger/ledger.ts";
import { crashLoopPauseMs } from "../../../bot/resilience/crashLoop.ts";
import type { Telemetry } from "../../../bot/telemetry/telemetry.ts";
import { Secret } from "../../../shared/secret.ts";
import type { Chance } from "./chance.ts";
import type { Discord, GatewayAnswer } from "./discord.ts";
import { type ProcessClock, processClock, type Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";
import type { Truth } from "./truth.ts";

/** How REST treats GET /gateway/bot. */
export type RestMood = "up" | "fails" | "hangs" | "banned";

/** What outlives a process, and how the world outside of the gateway is. */
export interface Surroundings {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly discord: Discord;
  readonly ledger: Ledger;
  readonly shards: number;
  /** Whether SHARD_COUNT is left to Discord. */
  readonly autoShards: boolean;
  rest: RestMood;
  restBannedUntil: number | undefined;
  ledgerFails: boolean;
  /** Whether events that kill whoever handles them still do. */
  poisonWorks: boolean;
  /** A handler kills its process. */
  poisoned(life: ProcessLife): void;
  /** How long the slowest handler takes. */
  readonly slowestHandlerMs: number;
}

export interface ProcessLife {
  readonly number: number;
  readonly clock: ProcessClock;
  readonly fleet: Fleet;
  readonly startedAt: number;
  /** When the sessions that the ledger holds were looked at. */
  readonly savedAt: number;
  readonly ended: boolean;
  /** Follows another, which may have died: what a replay brings is written down before it starts, unless the ledger fails. */
  readonly wary: boolean;
  /** Ended without a chance to save: what finished since the last checkpoint is handled again. */
  readonly mayForget: boolean;
  /** No IDENTIFY before this instant: too many starts. */
  readonly holdUntil: number;
  readonly handlersRunning: number;
  /** Resolves once no handler runs and none waits for its turn, also to be written down before. */
  idle(): Promise<void>;
  /** Requests for members that have not settled. */
  membersAsked: number;
  /** The activity that this process was last asked to show. */
  wished: string | undefined;
  readonly sockets: ReadonlySet<object>;
  readonly fatal: string | undefined;
  /** SIGKILL: sockets are reset by the kernel. */
  kill(): void;
  /** SIGTERM; resolves when the process has ended. */
  terminate(keepSessions: boolean): Promise<void>;
  setRestBan(until: number | undefined): void;
}

/** Slow handlers on few channels may have hours of work behind them; until then nothing is shed. */
export const LONGEST_BACKLOG_MS = 10 * 3_600_000;
const DRAIN_MS = 20_000;
const SAVE_BEFORE_CLOSE_MS = 250;

const textOf = (data: unknown, name: string): string => String(Reflect.get(Object(data), name));

/** Reads the ledger, then starts as the runtime would. */
export async function startLife(number: number, world: Surroundings): Promise<ProcessLife> {
  const { timeline, chance, trace, truth, discord, ledger } = world;
  const clock = processClock(timeline);
  const sockets = new Set<object>();
  const sessionOf = new Map<number, string>();
  const over = Promise.withResolvers<void>();
  const life = {
    number,
    clock,
    startedAt: clock.now(),
    savedAt: Number.NEGATIVE_INFINITY,
    ended: false,
    wary: false,
    mayForget: false,
    holdUntil: 0,
    handlersRunning: 0,
    membersAsked: 0,
    wished: undefined,
    sockets,
    fatal: undefined as string | undefined,
    idle: () => dispatcher.drained(new AbortController().signal),
    kill,
    terminate,
    setRestBan: (until: number | undefined): void =>
      fleet.setRestBan(until === undefined ? undefined : clock.wall() + until - clock.now()),
  };
  trace.note(`process ${number} starts`);

  const stored = await ledger.readSessions();
  const starts = await ledger.readStarts();
  await ledger.recordStart(clock.wall());
  life.wary = starts.length > 0;
  for (const session of stored) sessionOf.set(session.shard, session.sessionId);

  const telemetry: Telemetry = {
    count() {},
    level() {},
    observe() {},
    event(name, fields) {
      // Whoever is killed by a handler still comes to the end of what it was about.
      if (life.ended) return;
      // A stack names files, which lie elsewhere on another machine.
      trace.note(name === "handler.failed" ? name : `${name} ${JSON.stringify(fields)}`);
      if (name === "dispatch.poison") {
        truth.poisoned(sessionOf.get(Number(Reflect.get(fields, "shard"))) ?? "", Number(Reflect.get(fields, "seq")));
      }
      if (name === "dispatch.shed") trace.broken("an event was shed");
    },
    log: (level, message) => trace.note(`${level} ${message}`),
    flush() {},
  };

  const dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: (type) => (type === "MESSAGE_CREATE" ? handle : undefined),
    waitDeadlineMs: LONGEST_BACKLOG_MS,
    runDeadlineMs: 900_000,
    async writeAhead() {
      await checkpoint.write();
      return checkpoint.kept();
    },
  });

  function handle(data: unknown, context: { sequence: number }): unknown {
    if (life.ended) return undefined;
    const finished = truth.started(textOf(data, "session"), context.sequence, made);
    const killsAfterMs: unknown = Reflect.get(Object(data), "killsAfterMs");
    if (typeof killsAfterMs === "number" && world.poisonWorks) {
      const killed = (): void => {
        if (!world.poisonWorks || life.ended) return;
        truth.killed(textOf(data, "session"), context.sequence, made);
        world.poisoned(made);
      };
      if (killsAfterMs === 0) killed();
      life.handlersRunning++;
      return clock.sleep(killsAfterMs).then(() => {
        life.handlersRunning--;
        killed();
        finished();
      });
    }
    if (chance.happens(0.5)) {
      finished();
      if (chance.happens(0.05)) throw new Error("a handler that throws");
      return undefined;
    }
    life.handlersRunning++;
    return clock.sleep(chance.random() ** 3 * world.slowestHandlerMs).then(() => {
      life.handlersRunning--;
      finished();
    });
  }

  const saving: Ledger = {
    ...ledger,
    async writeSessions(sessions) {
      const seenAt = clock.now();
      const fails = world.ledgerFails;
      await clock.sleep(chance.between(1, 40));
      if (fails) life.wary = false;
      if (fails) throw new Error("the ledger fails");
      await ledger.writeSessions(sessions);
      truth.saved(made, sessions, stored);
      trace.note(
        `saved ${JSON.stringify(sessions.map(({ shard, sequence, finishedAbove, unfinished }) => [shard, sequence, finishedAbove, unfinished]))}`,
      );
      life.savedAt = seenAt;
    },
  };
  const checkpoint = createCheckpoint({ clock, ledger: saving, telemetry, sessions: () => fleet.sessions() });

  const pauseMs = crashLoopPauseMs(starts, clock.wall());
  life.holdUntil = clock.now() + pauseMs;
  const fleet = createFleet({
    clock,
    random: chance.random,
    telemetry,
    userAgent: "DiscordBot (https://example.invalid, 1)",
    token: new Secret("not-a-real-token"),
    intents: 1,
    intentNames: ["GUILDS"],
    shardCount: world.autoShards ? "auto" : world.shards,
    compression: "none",
    plainAllowed: false,
    identifyOverride: false,
    identifyDelayMs: pauseMs,
    storedSessions: stored,
    connect: discord.connectFor(clock.enter, sockets),
    fetchGateway: (signal) => askGateway(world, clock, signal),
    onDispatch(shard, sequence, type, data, replayed) {
      if (life.ended) return;
      if (type === "READY") sessionOf.set(shard, textOf(data, "session_id"));
      truth.heard(sessionOf.get(shard) ?? "", sequence, made);
      dispatcher.dispatch(shard, sequence, type, data, replayed);
    },
    finished(shard) {
      const position = dispatcher.position(shard);
      if (position === undefined) return { sequence: 0, finishedAbove: [], unfinished: [] };
      return { ...position, sequence: position.finished };
    },
    onSession(shard, change, sequence) {
      dispatcher.onSession(shard, change, sequence);
      if (change === "started") void checkpoint.write();
    },
    onFatal: ({ code }) => {
      life.fatal = code;
    },
  });
  const made: ProcessLife = Object.assign(life, { fleet });

  function end(): void {
    if (life.ended) return;
    over.resolve();
    life.ended = true;
    clock.kill();
    discord.processDied(sockets);
  }

  function kill(): void {
    trace.note(`process ${number} is killed`);
    life.mayForget = true;
    end();
  }

  /** Also a process that ends in order may be killed meanwhile. */
  async function terminate(keepSessions: boolean): Promise<void> {
    await Promise.race([endInOrder(keepSessions), over.promise]);
  }

  async function endInOrder(keepSessions: boolean): Promise<void> {
    trace.note(`process ${number} is told to end, ${keepSessions ? "keeping" : "ending"} its sessions`);
    if (keepSessions) {
      dispatcher.stopStarting();
      await Promise.race([checkpoint.write(), timeline.sleep(SAVE_BEFORE_CLOSE_MS)]);
    }
    checkpoint.stop();
    discord.endingAllowed = !keepSessions;
    await fleet.stop({ keepSessions });
    const late = new AbortController();
    const cancel = timeline.schedule(DRAIN_MS, () => late.abort(new Error("late")));
    const isLate = await dispatcher.drained(late.signal).then(
      () => false,
      () => true,
    );
    cancel();
    const failing = world.ledgerFails;
    await (keepSessions ? checkpoint.write() : checkpoint.forget());
    // Handlers that are still at it are aborted; what one of them ends after the last look at it, nobody knows of.
    life.mayForget ||= failing || world.ledgerFails || isLate;
    end();
  }

  for (const session of stored) dispatcher.restore(session, undefined, life.wary);
  if (world.restBannedUntil !== undefined) life.setRestBan(world.restBannedUntil);
  fleet.start();
  checkpoint.start();
  return made;
}

async function askGateway(world: Surroundings, clock: ProcessClock, signal: AbortSignal): Promise<GatewayAnswer> {
  const { chance, trace, discord } = world;
  trace.note(`GET /gateway/bot while REST ${world.rest}`);
  if (world.rest === "banned") throw new Error("REST is banned");
  while (world.rest === "hangs") await clock.sleep(500, signal);
  await clock.sleep(chance.between(20, 300), signal);
  if (world.rest === "fails") throw new Error("HTTP 500");
  return discord.gatewayBot();
}
