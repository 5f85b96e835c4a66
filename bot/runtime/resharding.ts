// Follows the ledger's plan to another number of shards: a new set beside the old, handling moved over, the old one finished.

import type { Clock } from "../clock.ts";
import { createEventClaims } from "../ledger/eventClaims.ts";
import type { Task } from "../ledger/leaseRecords.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { LedgerError } from "../ledger/ledgerError.ts";
import { createMemoryLedger } from "../ledger/memory.ts";
import { APART_MS, advance, type Progress, type ReshardStep, type ShardPlan, stepsUpTo } from "../ledger/shardPlan.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Handling, ShardSet } from "./shardSet.ts";

/** Between two looks at the plan while nothing is under way; each costs a read, two cents a month for every task. */
export const LOOK_MS = 15_000;
const LOOK_MEANWHILE_MS = 1_000;
// An IDENTIFY of the old set may have gone just before; the two sets' windows know nothing of each other.
const IDENTIFY_APART_MS = 6_000;
// What waits for its handler is shed after 5 min (shardSet.ts); a minute more is for one that runs.
const FINISH_MS = 360_000;

export interface ReshardingParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly ledger: Ledger;
  readonly lifecycle: Lifecycle;
  leading(): ShardSet;
  /** Makes a set of so many shards, which leads from `lead` on. `failed`: Discord refuses it, and it has stopped. */
  make(count: number, failed: (why: string) => void): { readonly set: ShardSet; lead(): void };
}

export interface Resharding {
  /** Resolves once the plan was looked at, if the ledger answers; goes on looking. */
  start(): Promise<void>;
  /** Ends the set that does not lead. `late` aborts what its handlers still do. */
  stop(keepSessions: boolean, late: AbortSignal): Promise<void>;
}

interface Move {
  readonly from: number;
  readonly to: number;
  readonly old: ShardSet;
  readonly next: ShardSet;
  lead(): void;
  /** The last that was carried out here. */
  step: ReshardStep;
  /** The old set has finished here. */
  closed: boolean;
  settlesAt: number | undefined;
}

export function createResharding(parts: ReshardingParts): Resharding {
  const { clock, telemetry, ledger, lifecycle } = parts;
  // Where one process has all shards, nobody else asks for its claims.
  const values = ledger.shared === undefined ? createMemoryLedger().values : ledger.values;
  let move: Move | undefined;
  let isMoving = false;
  let alone: "with claims" | undefined;
  // Since when every task has been where the plan wants it, and what each had said by the end of that wait.
  let complete:
    | { readonly version: string | undefined; readonly since: number; said?: ReadonlyMap<string, number> }
    | undefined;

  const claiming = (count: number, unanswered: boolean): Handling => ({
    claims: createEventClaims({ clock, values, set: String(count) }),
    unanswered,
  });

  const tell = ({ from, to }: Pick<Move, "from" | "to">, step: string): void =>
    telemetry.event("reshard.step", { from, to, step });

  const fail = async (from: number, to: number, why: string): Promise<void> => {
    telemetry.log("error", `the new set of ${to} shards is given up: ${why}`);
    const { plan, version } = await ledger.shardPlans.read();
    if (plan?.next?.count === to && plan.next.step === "opening") {
      await ledger.shardPlans.write({ count: from }, version);
    }
  };

  const begin = async (from: number, to: number): Promise<Move> => {
    const old = parts.leading();
    const { set: next, lead } = parts.make(to, (why) => void fail(from, to, why).catch(unreachable));
    next.handle("none");
    const fleet = next.shards.open([], undefined, IDENTIFY_APART_MS);
    await next.sharing?.join();
    fleet.start();
    next.sharing?.start();
    if (next.sharing !== undefined) next.checkpoint.start();
    tell({ from, to }, "opening");
    return { from, to, old, next, lead, step: "opening", closed: false, settlesAt: undefined };
  };

  /** The old set takes nothing new in, finishes what it has begun, and is no more. */
  const close = async ({ old }: Move, late: AbortSignal): Promise<void> => {
    old.checkpoint.stop();
    void old.sharing?.leave(late);
    await old.shards.fleet()?.stop({ keepSessions: false });
    await old.dispatcher.drained(late).catch(() => {});
    await old.sharing?.end(late);
  };

  const closeInTime = async (of: Move): Promise<void> => {
    const late = new AbortController();
    const cancel = clock.schedule(FINISH_MS, () => late.abort(new Error("the old set had its time to finish")));
    await close(of, AbortSignal.any([late.signal, lifecycle.finished]));
    cancel();
    of.closed = true;
  };

  const carryOut = (of: Move, step: ReshardStep): void => {
    if (step === "claiming") of.old.handle(claiming(of.from, true));
    if (step === "both") of.next.handle(claiming(of.to, false));
    if (step === "closing") {
      of.lead();
      if (of.next.sharing === undefined) of.next.checkpoint.start();
      void of.next.checkpoint.write();
      void closeInTime(of);
    }
    of.step = step;
    tell(of, step);
  };

  /** The plan has no other number any more. */
  const settle = async (of: Move, { count }: ShardPlan): Promise<void> => {
    if (count !== of.to) {
      of.old.handle("all");
      of.old.sharing?.say(undefined, undefined);
      move = undefined;
      tell(of, "given up");
      await of.next.shards.fleet()?.stop({ keepSessions: false });
      of.next.checkpoint.stop();
      await of.next.sharing?.end();
      return;
    }
    if (!of.closed) return;
    of.settlesAt ??= clock.now() + APART_MS;
    if (clock.now() < of.settlesAt) return;
    of.next.handle("all");
    of.next.sharing?.say(undefined, undefined);
    move = undefined;
    tell(of, "done");
    // No sooner: a task that had not heard of the end yet may have taken over what another had closed.
    if (of.old.sharing !== undefined) await of.old.checkpoint.forget();
  };

  const follow = async (plan: ShardPlan): Promise<void> => {
    const { count: from, next } = plan;
    if (next === undefined) {
      if (move !== undefined) {
        // Whoever was out of the ledger's reach meanwhile has yet to close.
        if (from === move.to) for (const step of stepsUpTo("closing", move.step)) carryOut(move, step);
        await settle(move, plan);
      } else if (alone === "with claims") parts.leading().handle("all");
      alone = undefined;
      return;
    }
    // Whoever has begun while the old set closes has the new one alone; what comes again to it may be the old one's still.
    if (move === undefined && countOf(parts.leading()) === next.count) {
      if (alone === undefined) parts.leading().handle(claiming(next.count, true));
      alone = "with claims";
      return;
    }
    if (move === undefined) {
      // From here on the old set keeps its number, whatever becomes of the plan.
      parts.leading().sharing?.say("opening", readyOf(parts.leading()));
      move = await begin(from, next.count);
    }
    for (const step of stepsUpTo(next.step, move.step)) carryOut(move, step);
    const { old, next: set, step, closed } = move;
    set.sharing?.say(step, readyOf(set));
    if (!closed) old.sharing?.say(step, readyOf(old));
  };

  const seen = ({ count }: ShardPlan): Progress => {
    const { sharing } = move?.next ?? parts.leading();
    if (sharing === undefined) {
      if (move === undefined) return { ready: 0, oldReady: 0, old: [], next: [], finishing: 0 };
      const { old, next, step, closed } = move;
      return { ready: readyOf(next), oldReady: readyOf(old), old: closed ? [] : [step], next: [step], finishing: 0 };
    }
    const tasks = sharing.tasks().map(({ record: { state, set } }) => ({ state, count: set?.count ?? count, set }));
    const active = tasks.filter(({ state }) => state === "active");
    const old = active.filter((task) => task.count === count);
    const ofNext = active.filter((task) => task.count !== count);
    return {
      ready: ofNext.reduce((sum, { set }) => sum + (set?.ready ?? 0), 0),
      oldReady: old.reduce((sum, { set }) => sum + (set?.ready ?? 0), 0),
      old: old.map(({ set }) => set?.step),
      next: ofNext.map(({ set }) => set?.step),
      finishing: tasks.filter((task) => task.state === "draining" && task.count === count).length,
    };
  };

  const everybody = (): readonly Task[] => ((move?.next ?? parts.leading()).sharing?.tasks() ?? []).filter(isActive);

  /** Whether every task has spoken since: one that has just died still looks as it did when it lived. */
  const haveSpoken = (said: ReadonlyMap<string, number>): boolean =>
    everybody().every(({ id, version }) => version !== said.get(id));

  /** One look at the plan, and what follows from it. */
  const turn = async (): Promise<void> => {
    const { plan, version } = await ledger.shardPlans.read();
    if (plan === undefined) return;
    await follow(plan);
    isMoving = plan.next !== undefined || move !== undefined;
    const later = advance(plan, seen(plan));
    if (later === undefined) complete = undefined;
    else if (complete === undefined || complete.version !== version) complete = { version, since: clock.now() };
    else if (clock.now() - complete.since >= APART_MS) {
      complete.said ??= versionsOf(everybody());
      if (haveSpoken(complete.said)) await ledger.shardPlans.write(later, version);
    }
  };

  const unreachable = (error: unknown): void => {
    // It is said elsewhere, by whoever writes.
    if (!(error instanceof LedgerError)) throw error;
  };

  const goOn = async (): Promise<void> => {
    while (!lifecycle.over.aborted) {
      await clock.sleep(isMoving ? LOOK_MEANWHILE_MS : LOOK_MS, lifecycle.over).catch(() => {});
      if (!lifecycle.over.aborted) await turn().catch(unreachable);
    }
  };

  return {
    async start() {
      await turn().catch(unreachable);
      void goOn();
    },
    async stop(keepSessions, late) {
      if (move === undefined) return;
      const { next, step } = move;
      if (step === "closing") return close(move, late);
      const keeps = keepSessions && next.sharing !== undefined;
      next.checkpoint.stop();
      if (keeps) {
        next.dispatcher.stopStarting();
        void next.sharing?.leave(late);
      }
      await next.shards.fleet()?.stop({ keepSessions: keeps });
      await next.dispatcher.drained(late).catch(() => {});
      if (keeps) await next.checkpoint.insist(late);
      await next.sharing?.end(late);
    },
  };
}

const isActive = ({ record }: Task): boolean => record.state === "active";

const versionsOf = (tasks: readonly Task[]): ReadonlyMap<string, number> =>
  new Map(tasks.map(({ id, version }) => [id, version]));

const readyOf = ({ shards }: ShardSet): number => shards.fleet()?.status().ready ?? 0;

const countOf = ({ sharing, shards }: ShardSet): number | undefined =>
  sharing === undefined ? (shards.fleet()?.status().shardCount ?? undefined) : sharing.shardCount();
