// Hands events to handlers: in order for each key, side by side across keys, never holding the shard up.

import type { Cancel, Clock } from "../clock.ts";
import type { HandlerContext } from "../defineBot.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { createCrossing, type Held, type Outcome } from "./crossing.ts";
import { createLanes } from "./lanes.ts";
import type { Position, Positions } from "./positions.ts";
import { createRunning, RunContext } from "./running.ts";
import { createShardProgress } from "./shardProgress.ts";
import { createWary } from "./wary.ts";

/** Handles one event. It is finished when the returned value, or its promise, settles. */
export type EventHandler = (data: unknown, context: HandlerContext) => unknown;

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** The handler of an event type; without one an event is finished as it arrives. */
  handler(type: string): EventHandler | undefined;
  /** Events with the same key run one after the other; by default channel_id, else guild_id, else the shard. */
  key?(type: string, data: unknown, shard: number): string;
  /** Handlers running at once, over all keys. */
  readonly maxRunning?: number;
  /** Events waiting at once, over all keys. */
  readonly maxWaiting?: number;
  /** Milliseconds after which a waiting event is shed: nobody wants the answer any more. */
  readonly waitDeadlineMs: number;
  /** Whether a handler may start now; while not, events wait, until `goOn`. By default always. */
  mayStart?(): boolean;
  /** A handler has ended. */
  settled?(): void;
  /** Writes a checkpoint now; whether the ledger has it. Absent where nothing outlives the process. */
  writeAhead?(): Promise<boolean>;
  /** Milliseconds after which a running handler counts as failed and loses its slot; its signal aborts. */
  readonly runDeadlineMs: number;
}

export interface Dispatcher {
  /**
   * Takes one event in; its handler may start before this returns, and never throws into the caller.
   * @param replayed it came before a RESUMED
   */
  dispatch(shard: number, sequence: number, type: string, data: unknown, replayed?: boolean): void;
  /**
   * started: a new session whose READY has that sequence, told before or after READY is dispatched. resumed: the replay
   * is over. dropped: the session is gone; what it brought is still handled.
   */
  onSession(shard: number, change: "started" | "resumed" | "dropped", sequence: number): void;
  /**
   * Goes on where an earlier process left off; call it before the shard's first event.
   * @param held for an event that a handler of that process still runs: settles when that ends, and how
   * @param died it may have died on an event: until the replay is over each is written down before its handler starts,
   *   one after the other
   */
  restore(stored: StoredSession, held?: Held, died?: boolean): void;
  /** The shard is another process's from now on: no handler of it starts, no event of it is taken in, until `take`. */
  release(shard: number): void;
  /** As `release`, and what the process before had begun is not this one's to run any more either. */
  lose(shard: number): void;
  /** The shard is this process's again, with no session yet. */
  take(shard: number): void;
  /** As `take`, before the session is restored that the shard had when it was released or lost. */
  takeBack(shard: number): TakenBack | undefined;
  /** Sequences of the shard whose handlers run, here or in the process that had it before. */
  running(shard: number): readonly number[];
  /** Handlers may start again. */
  goOn(): void;
  /** What a checkpoint keeps of a shard's session, or undefined while it has none. */
  position(shard: number): Position | undefined;
  /** From now on no handler starts and no event is taken in: all of it stays unfinished, for the replay. */
  stopStarting(): void;
  /** Resolves once no handler runs and none is about to; rejects with the signal's reason, after aborting what still runs. */
  drained(signal: AbortSignal): Promise<void>;
}

/** What a process that takes a shard back has done of its session, and what it still does. */
export interface TakenBack {
  /** How far it has come by now. */
  readonly position: Position;
  /** For an event that its own handler still runs, or one that it waits for: settles when that ends, and how. */
  readonly held: Held;
}

// As many as keep a busy bot's rate-limited replies in flight at once, at a few KiB each.
const MAX_RUNNING = 256;
// At about 1 KiB an event some 10 MiB, and minutes of work: what waits longer than that is answered too late anyway.
const MAX_WAITING = 10_000;
// Room for a stack with its cause; the rest of a long message helps nobody.
const LONGEST_ERROR = 4_000;

interface Job {
  readonly key: string;
  readonly shard: number;
  readonly sequence: number;
  readonly type: string;
  /** Let go once the handler has it: whoever waits for something seldom needs the whole event meanwhile. */
  data: unknown;
  readonly handler: EventHandler;
  /** Settles when whoever had begun it has ended it; undefined: nobody had, or it was begun again here. */
  held: Promise<Outcome> | undefined;
  /** It was finished while it waited here. */
  done: boolean;
  /** Set when its shard came back while its handler ran: resolves when that ends. */
  ended: PromiseWithResolvers<Outcome> | undefined;
  /** A process may have died on it, so its start is written down first. */
  readonly isWary: boolean;
  /** Of the session that brought the event, which a newer one may have replaced. */
  readonly positions: Positions;
  /** Set when it has to wait. */
  waitsUntil: number;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { clock, telemetry, key = defaultKey, waitDeadlineMs, runDeadlineMs } = options;
  const { maxRunning = MAX_RUNNING, maxWaiting = MAX_WAITING } = options;
  const progress = createShardProgress();
  const lanes = createLanes<Job>();
  const wary = createWary<Job>({ clock, writeAhead: options.writeAhead, freed: () => pump() });
  const idle = new Set<() => void>();
  const crossing = createCrossing();
  // Events that came over and may run, once this process may.
  const impatient = new Set<() => void>();
  let stopped = false;
  let cancelWaitDeadline: Cancel | undefined;
  let runningShown = 0;
  let waitingShown = 0;

  const settle = (positions: Positions, shard: number, sequence: number): void => {
    for (const lost of positions.settle(sequence)) {
      telemetry.log("warn", "an event runs for so long that a replay will not bring it again", { shard, seq: lost });
    }
  };

  const report = ({ shard, sequence, type }: Job, error: unknown): void => {
    telemetry.count("HandlerErrors");
    telemetry.event("handler.failed", { shard, seq: sequence, type, error: describe(error) });
  };

  const shed = (job: Job, reason: string): void => {
    lanes.remove(job);
    if (job.isWary) wary.forget();
    telemetry.count("HandlersShed");
    telemetry.event("dispatch.shed", { shard: job.shard, seq: job.sequence, type: job.type, reason });
    settle(job.positions, job.shard, job.sequence);
  };

  const watchWaiting = (): void => {
    if (cancelWaitDeadline !== undefined || stopped) return;
    const first = lanes.oldest();
    if (first === undefined) return;
    cancelWaitDeadline = clock.schedule(first.waitsUntil - clock.now(), () => {
      cancelWaitDeadline = undefined;
      const now = clock.now();
      for (let job = lanes.oldest(); job !== undefined && job.waitsUntil <= now; job = lanes.oldest()) {
        shed(job, `waited ${waitDeadlineMs} ms for its turn`);
      }
      show();
      watchWaiting();
    });
  };

  /** Whoever waits behind a job of this key may start. */
  const finish = (job: Job): void => {
    lanes.release(job.key);
    if (job.isWary) wary.settled(job);
    // What came over and was not begun here is not this process's to settle.
    if (job.held === undefined) settle(job.positions, job.shard, job.sequence);
    job.ended?.resolve("finished");
    options.settled?.();
  };

  const running = createRunning<Job>({
    clock,
    deadlineMs: runDeadlineMs,
    ended(job, failure) {
      finish(job);
      if (failure !== undefined) report(job, failure.error);
    },
    freed: () => pump(),
  });

  const handle = (job: Job, context: HandlerContext): unknown => {
    const { data } = job;
    job.data = undefined;
    return job.handler(data, context);
  };

  /** @param alone its key is free: the lane need only be closed if the handler goes on after it was called. */
  const start = (job: Job, alone = false): void => {
    // What the process before had begun is this one's to see through, also once the shard is somebody else's.
    const standing = progress.standing(job.positions);
    if (job.done || standing === "lost" || (standing === "released" && job.held === undefined)) {
      lanes.release(job.key);
      if (job.isWary) wary.settled(job);
      return;
    }
    const context = new RunContext(job.shard, job.sequence);
    if (job.held === undefined) job.positions.start(job.sequence);
    let result: unknown;
    try {
      result = job.held === undefined ? handle(job, context) : afterwards(job.held, job, context);
    } catch (error) {
      report(job, error);
    }
    if (!isThenable(result)) {
      finish(job);
      return;
    }
    if (alone) lanes.begin(job.key);
    running.follow(job, context, result);
  };

  const mayStart = (): boolean => !stopped && running.size < maxRunning && (options.mayStart?.() ?? true);

  const show = (): void => {
    if (running.size !== runningShown) {
      runningShown = running.size;
      telemetry.level("HandlersRunning", runningShown);
    }
    if (lanes.waiting !== waitingShown) {
      waitingShown = lanes.waiting;
      telemetry.level("HandlersWaiting", waitingShown);
    }
  };

  const pump = (): void => {
    while ((lanes.waiting > 0 || wary.isReady) && mayStart()) {
      const job = wary.next(lanes);
      if (job === undefined) break;
      start(job);
    }
    wary.tidy();
    show();
    if (lanes.waiting > 0) watchWaiting();
    if (isIdle()) for (const done of idle) done();
  };

  /** Also nothing waits then, unless nothing may start. */
  const isIdle = (): boolean => running.size + crossing.undecided === 0 && !wary.isPending;

  const follow = (job: Job, held: Promise<Outcome>): void => {
    crossing.follow(job.shard, job.sequence, held, (outcome) => {
      job.done = outcome === "finished";
      if (job.done) {
        settle(job.positions, job.shard, job.sequence);
        options.settled?.();
      }
      pump();
    });
  };

  /** Runs the handler once it is known that no other process finishes the event. */
  const afterwards = async (held: Promise<Outcome>, job: Job, context: HandlerContext): Promise<unknown> => {
    if ((await held) === "finished") return undefined;
    while (options.mayStart?.() === false && progress.standing(job.positions) !== "lost") {
      await new Promise<void>((resolve) => impatient.add(resolve));
    }
    if (progress.standing(job.positions) === "lost") return undefined;
    crossing.begun(job.shard, job.sequence);
    job.held = undefined;
    job.positions.start(job.sequence);
    return handle(job, context);
  };

  const goOn = (): void => {
    for (const resolve of impatient) resolve();
    impatient.clear();
    pump();
  };

  return {
    dispatch(shard, sequence, type, data, replayed = false) {
      const positions = stopped ? undefined : progress.of(shard, sequence, type);
      if (positions === undefined) return;
      const arrival = positions.receive(sequence);
      if (arrival.kind === "repeat") return;
      if (arrival.kind === "poison") {
        telemetry.event("dispatch.poison", { shard, seq: sequence, type, deaths: arrival.deaths });
        return;
      }
      const handler = options.handler(type);
      if (handler === undefined) {
        settle(positions, shard, sequence);
        return;
      }
      const held = progress.held(positions, sequence);
      const job: Job = {
        key: key(type, data, shard),
        shard,
        sequence,
        type,
        data,
        handler,
        held,
        done: false,
        ended: undefined,
        isWary:
          held === undefined &&
          (arrival.deaths > 0 || progress.isWary(positions, clock.now(), replayed)) &&
          wary.admit(),
        positions,
        waitsUntil: 0,
      };
      if (held !== undefined) follow(job, held);
      // As it nearly always is: there is room, and nothing of this key is under way.
      if (!job.isWary && mayStart() && lanes.isFree(job.key)) {
        start(job, true);
        show();
        return;
      }
      job.waitsUntil = clock.now() + waitDeadlineMs;
      lanes.add(job);
      pump();
      // The longest lane pays, since it is the flood that fills the room; and its oldest event, since that one's
      // answer would come latest of all. The other lanes, and the order in this one, stay as they are.
      const victim = lanes.waiting > maxWaiting ? lanes.crowded() : undefined;
      if (victim !== undefined) {
        shed(victim, `more than ${maxWaiting} events wait; this was the oldest of the busiest key`);
        show();
      }
    },
    onSession: (shard, change, sequence) => progress.onSession(shard, change, sequence, clock.now()),
    restore: (stored, held, died = false) => progress.restore(stored, held, died),
    take(shard) {
      progress.take(shard);
      crossing.forget(shard);
    },
    takeBack(shard) {
      const left = progress.takeBack(shard);
      if (left === undefined) return undefined;
      const open = new Map(crossing.of(shard));
      for (const job of running.jobs()) {
        if (job.shard !== shard || job.held !== undefined) continue;
        job.ended ??= Promise.withResolvers();
        open.set(job.sequence, job.ended.promise);
      }
      goOn();
      return { position: left.position(), held: (sequence) => open.get(sequence) ?? progress.held(left, sequence) };
    },
    release(shard) {
      progress.release(shard);
      wary.release(shard);
    },
    lose(shard) {
      progress.lose(shard);
      wary.release(shard);
      goOn();
    },
    running(shard) {
      const here = [...running.jobs()].filter((job) => job.shard === shard).map(({ sequence }) => sequence);
      return [...new Set([...here, ...crossing.of(shard).keys()])];
    },
    goOn,
    position: progress.position,
    stopStarting() {
      stopped = true;
      wary.stop();
      cancelWaitDeadline?.();
      cancelWaitDeadline = undefined;
    },
    drained: (signal) =>
      new Promise((resolve, reject) => {
        const finish = (end: () => void): void => {
          idle.delete(done);
          signal.removeEventListener("abort", abort);
          end();
        };
        const done = (): void => finish(resolve);
        const abort = (): void => {
          running.cutOff(new Error("the time to finish what runs is over", { cause: signal.reason }));
          finish(() => reject(signal.reason));
        };
        if (isIdle()) resolve();
        else if (signal.aborted) abort();
        else {
          idle.add(done);
          signal.addEventListener("abort", abort, { once: true });
        }
      }),
  };
}

/** A channel's events in order; else a guild's; else the shard's. Discord promises no order beyond that. */
export function defaultKey(_type: string, data: unknown, shard: number): string {
  if (typeof data === "object" && data !== null) {
    if ("channel_id" in data && typeof data.channel_id === "string") return data.channel_id;
    if ("guild_id" in data && typeof data.guild_id === "string") return data.guild_id;
  }
  return `shard ${shard}`;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function describe(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.slice(0, LONGEST_ERROR);
}
