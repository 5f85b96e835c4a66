// A task among others: joins, beats, takes shards that are free, gives some away when asked, and learns what it lost.

import { KIND } from "../../shared/table.ts";
import type { Cancel, Clock } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { contest } from "./contest.ts";
import { givenAway, predecessors } from "./handover.ts";
import { ownerOf } from "./itemLedger.ts";
import type { Items } from "./items.ts";
import { BEAT_MS, isOfSet, leaseTable } from "./lease.ts";
import { leaseFrom, type SetRecord, type Task, type TaskRecord, type TaskState, taskFrom } from "./leaseRecords.ts";
import type { Ledger } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";
import { type BeatOutcome, createOwnTask, type Standing } from "./ownTask.ts";
import { createShardMoves, type Grant } from "./shardMoves.ts";
import { countToStart, type ReshardStep } from "./shardPlan.ts";
import type { TrafficShare } from "./traffic.ts";

export interface LeasesOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly ledger: Pick<Ledger, "readSessions" | "shardPlans">;
  readonly items: Items;
  readonly id: string;
  /** Tasks that share the shards. */
  readonly tasks: number;
  /** Without the ledger: keep the shards, or stop them. */
  readonly loss: "hold" | "stop";
  /** The configured shard count; undefined: Discord's recommendation, once. */
  readonly configured: number | undefined;
  /** How many shards the set has that comes up beside another; undefined: as many as the ledger says. */
  readonly beside?: number | undefined;
  /** undefined: Discord does not say at the moment. */
  recommended(): Promise<number | undefined>;
  /** Shards to run. */
  granted(grants: readonly Grant[]): void;
  /** Shards that are somebody else's, with the fence they were held under: to be stopped at once. */
  lost(fences: ReadonlyMap<number, number>): void;
  /** Gives shards up: resolves when they are closed and what they were is in the ledger. */
  release(shards: readonly number[]): Promise<void>;
  /** Shards whose IDENTIFY is under way. */
  identifying(): ReadonlySet<number>;
  /** Sequences of a shard whose handlers run. */
  running(shard: number): readonly number[];
  /** It is certain again that this task may act. */
  sure(): void;
  /** What the tasks tell each other of their requests. */
  readonly traffic: TrafficShare;
}

export interface Leases {
  /** Enters the ledger. @throws LedgerError when that fails */
  join(): Promise<void>;
  /** Begins to take shards. */
  start(): void;
  standing(): Standing;
  /** Whether handlers may start and requests may go: nobody else can, or it is held on to without the ledger. */
  mayAct(): boolean;
  /** The fence of each shard that is this task's. */
  readonly held: ReadonlyMap<number, number>;
  /** Tasks as last read, of all sets of shards. */
  tasks(): readonly Task[];
  /** How many shards this task's set has, once that is known. */
  shardCount(): number | undefined;
  /** How far this task is on the way to another number of shards, for the others to know. */
  say(step: ReshardStep | undefined, ready: number | undefined): void;
  /** A ready shard's connection was ended, and not by us. */
  cutOff(shard: number): void;
  /** A handler has ended: who waits for it is told soon. */
  settled(): void;
  /** Something that the others should not wait a beat for. */
  tell(): void;
  /**
   * Frees all shards in one write, once `saved`; nothing may start any more when it is called. What ends from now on is
   * reported, whether or not the checkpoint has it.
   */
  leave(saved: () => Promise<void>): Promise<void>;
  /** The last word: no handler runs any more. Without an answer it is said again until the signal aborts. */
  end(late: AbortSignal): Promise<void>;
  stop(): void;
}

// A hand-over is noticed within this, so that a deploy's gap stays far below a second; only who waits looks so often.
const HURRY_MS = 150;
// Handlers that end together are told together.
const REPORT_MS = 50;
const ASK_AGAIN_MS = 1_000;

export function createLeases(options: LeasesOptions): Leases {
  const { clock, telemetry, items, id } = options;
  const table = leaseTable({ id, tasks: options.tasks });
  const given = givenAway();
  const before = predecessors(id);
  const contested = contest();
  const stopping = new AbortController();
  let state: TaskState = "active";
  let joined = false;
  // From the moment on at which nothing starts any more; the state follows once the checkpoint is written.
  let leaving = false;
  let rank = 0;
  let asks = 0;
  let shardCount: number | undefined = options.beside;
  let said: Omit<SetRecord, "count"> = {};
  let tasks: readonly Task[] = [];
  let cancelReport: Cancel | undefined;
  let asking = false;
  // Whether the others were told of handlers that still ran.
  let awaited = false;
  let wake = new AbortController();

  const outage = () => {
    let told = false;
    return {
      failed(error: unknown) {
        telemetry.level("LedgerUnreachable", 1);
        if (!told) telemetry.event("ledger.unreachable", { error: String(error) });
        told = true;
      },
      passed() {
        told = false;
      },
    };
  };
  // Writes and reads may fail on their own; of each, the first failure is said.
  const unheard = outage();
  const unseen = outage();

  const own = createOwnTask({
    clock,
    items,
    id,
    record() {
      const report = given.report(options.running);
      awaited = report.running.length > 0;
      const set = shardCount === undefined ? undefined : { count: shardCount, ...said };
      const awaits = moves.awaits(report.running);
      return { rank, state, moves: moves.count, asks, ...options.traffic.record(), set, ...report, awaits };
    },
  });

  const letGo = (fences: ReadonlyMap<number, number>, reason: string): void => {
    if (fences.size === 0) return;
    for (const shard of fences.keys()) {
      given.give(shard, options.running(shard));
      table.given(shard);
    }
    telemetry.count("LeasesLost", fences.size);
    telemetry.event("lease.lost", { shards: fences.size, reason });
    options.lost(fences);
  };

  const beat = async (): Promise<BeatOutcome> => {
    const wasSure = own.standing() === "sure";
    const outcome = await own.beat();
    if (outcome === "unreachable") {
      unheard.failed(own.failure);
      if (own.standing() === "sure") return outcome;
      if (options.loss === "stop") letGo(new Map(table.held), "the ledger is out of reach, and LEDGER_LOSS is stop");
      else options.sure();
      return outcome;
    }
    telemetry.level("LedgerUnreachable", 0);
    unheard.passed();
    contested.over();
    if (outcome === "kept" && !wasSure) options.sure();
    if (outcome === "lost" && state === "active") {
      letGo(new Map(table.held), "another task has taken over, since this one was not heard for a whole lease");
      await join();
    }
    return outcome;
  };

  const moves = createShardMoves({
    ...options,
    table,
    given,
    before,
    rank: () => rank,
    leaving: () => leaving,
    beat,
  });

  const readTasks = async (): Promise<void> => {
    const sentAt = clock.now();
    tasks = (await items.list(KIND.task)).flatMap((item) => taskFrom(item) ?? []);
    table.tasksRead(tasks, sentAt, clock.now(), shardCount);
    before.tasksRead(tasks);
    telemetry.level("TasksHeard", table.working().length);
  };

  const hearTraffic = async (write: () => Promise<BeatOutcome>): Promise<void> => {
    const mine = tasks.filter(({ record }) => isOfSet(record, shardCount));
    if (options.traffic.heard(mine) && (await write()) === "kept") options.traffic.written();
  };

  async function join(): Promise<void> {
    shardCount ??= await known();
    await readTasks();
    rank = 1 + Math.max(0, ...tasks.map((task) => task.record.rank));
    const outcome = await own.beat();
    joined = true;
    if (outcome === "unreachable") throw own.failure ?? new LedgerError("unreachable", "the ledger does not answer");
    await readTasks();
    await hearTraffic(own.beat);
  }

  const bury = async (dead: readonly Task[]): Promise<void> => {
    for (const { id: task, version, record } of dead) {
      const body = JSON.stringify({ ...record, state: "dead" } satisfies TaskRecord);
      if ((await items.swap({ kind: KIND.task, id: task, body }, version)) === undefined) continue;
      telemetry.event("task.dead", { task });
    }
  };

  const clear = async (ended: readonly Task[]): Promise<void> => {
    if (ended.length === 0) return;
    const gone = new Set(ended.map((task) => task.id));
    for (const { id: item, version } of await items.list(KIND.sessions)) {
      if (gone.has(ownerOf(item))) await items.remove(KIND.sessions, item, version);
    }
    for (const { id: task, version } of ended) await items.remove(KIND.task, task, version);
  };

  const known = async (): Promise<number | undefined> => {
    const { plan } = await options.ledger.shardPlans.read();
    return plan && countToStart(plan);
  };

  /** The number of shards, one for all tasks: the first task's choice, and another's once it is alone. */
  const agree = async (): Promise<number | undefined> => {
    if (options.beside !== undefined) return options.beside;
    const { plan, version } = await options.ledger.shardPlans.read();
    const count = plan && countToStart(plan);
    const alone = table.working().length === 1 && table.held.size === 0 && plan?.next === undefined;
    const change = options.configured !== undefined && options.configured !== count && alone;
    if (count !== undefined && !change) return count;
    const chosen = options.configured ?? (await options.recommended());
    if (chosen === undefined) return undefined;
    return (await options.ledger.shardPlans.write({ count: chosen }, version)) ? chosen : agree();
  };

  const readShards = async (): Promise<void> => {
    const [count, leases] = await Promise.all([agree(), items.list(KIND.shard)]);
    // A set that another stands beside keeps its number to its end: that one has the new number.
    if (table.held.size === 0 && said.step === undefined) shardCount = count;
    if (shardCount === undefined) return;
    const found = leases.flatMap((item) => leaseFrom(item) ?? []);
    table.shardsRead(found, shardCount, clock.now());
  };

  /** One look around, and what follows from it. @returns whether the next must come soon */
  const cycle = async (): Promise<boolean> => {
    await readTasks();
    await hearTraffic(beat);
    const first = table.step();
    await bury(first.bury);
    await clear(first.clear);
    if (leaving || own.standing() !== "sure") return before.waiting > 0;
    if (first.bury.length > 0) return true;
    if (first.needsShards && table.working().some((task) => task.id === id)) await readShards();
    const step = table.step(options.identifying());
    if (shardCount !== undefined) {
      await moves.claim(step.claim, shardCount);
      await moves.release(step.release, shardCount);
      await moves.free(step.stray, shardCount);
    }
    if (asks !== step.asks) {
      asks = step.asks;
      await beat();
    }
    return table.step(options.identifying()).hurry || moves.pending + before.waiting > 0;
  };

  const pause = async (milliseconds: number): Promise<void> => {
    wake = new AbortController();
    await clock.sleep(milliseconds, AbortSignal.any([wake.signal, stopping.signal])).catch(() => {});
  };

  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      let hurry = false;
      try {
        hurry = await cycle();
        unseen.passed();
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
        unseen.failed(error);
      }
      await pause(hurry ? HURRY_MS : BEAT_MS);
    }
  };

  const beats = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(BEAT_MS, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        await beat();
      } catch (error) {
        if (!(error instanceof LedgerError)) throw error;
      }
    }
  };

  const ask = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    await beat().catch(() => "unreachable");
    asking = false;
  };

  return {
    join,
    start() {
      void beats();
      void look();
    },
    standing: own.standing,
    mayAct() {
      // Whoever has not joined has no shards that another could have taken.
      if (!joined) return true;
      const standing = own.standing();
      if (standing === "sure") return true;
      if (standing === "unreachable") return options.loss === "hold";
      void ask();
      return false;
    },
    held: table.held,
    tasks: () => tasks,
    shardCount: () => shardCount,
    say(step, ready) {
      if (said.step === step && said.ready === ready) return;
      said = { step, ready };
      if (joined) void ask();
    },
    cutOff(shard) {
      const fence = table.held.get(shard);
      const others = tasks.some((task) => task.id !== id && task.record.state === "active");
      if (fence === undefined || !others || own.standing() === "sure") return;
      if (!contested.cutOff(shard, clock.now())) return;
      letGo(new Map([[shard, fence]]), "another task seems to have it, and the ledger is out of reach");
    },
    settled() {
      if (cancelReport !== undefined || !awaited) return;
      cancelReport = clock.schedule(REPORT_MS, () => {
        cancelReport = undefined;
        void beat().catch(() => {});
      });
    },
    tell() {
      if (joined) void ask();
    },
    async leave(saved) {
      if (state !== "active" || !joined) return saved();
      leaving = true;
      for (const shard of table.held.keys()) given.give(shard, options.running(shard));
      // What is claimed in this very moment will be this task's to tell of.
      await Promise.all([saved(), moves.settled()]);
      if (state !== "active") return;
      state = "draining";
      await own.beat();
    },
    async end(late) {
      leaving = true;
      state = "gone";
      if (!joined) return;
      await moves.settled();
      while ((await own.beat()) === "unreachable" && !late.aborted)
        await clock.sleep(ASK_AGAIN_MS, late).catch(() => {});
    },
    stop() {
      stopping.abort(new Error("the task stops"));
      cancelReport?.();
    },
  };
}
