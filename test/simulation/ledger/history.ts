// One seeded history of several tasks: who comes, goes, crashes, sleeps or is cut off, while their number of shards may change.

import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import type { ShardPlan } from "../../../bot/ledger/shardPlan.ts";
import { virtualClock } from "../../virtualClock.ts";
import { BrokenRule, Trace } from "../gateway/trace.ts";
import { createDiscord } from "./discord.ts";
import { createJudge } from "./rules.ts";
import { createTask, LIMIT, type SimulatedTask } from "./task.ts";

export interface HistoryOptions {
  readonly seed: number;
  readonly tasks: number;
  readonly shards: number;
  readonly loss: "hold" | "stop";
  /** Minutes of faults; then comes calm. */
  readonly minutes: number;
  /** Another number of shards, asked for at the beginning of the faults. */
  readonly to?: number | undefined;
}

export interface History {
  /** The rule that was broken, with what came before. */
  readonly broken: string | undefined;
  readonly hash: string;
  readonly simulatedMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
  readonly overlaps: number;
  readonly leftBehind: number;
  readonly identifies: number;
  /** How many shards there are at the end. */
  readonly shardCount: number;
}

const STEP_MS = 500;
/** Sessions tell their age by the wall clock of whoever wrote them down: hours apart, and a young one would look too old. */
const SKEW_MS = 60_000;
const SAY_EVERY_MS = 100;
/** Takeover, redistribution and RESUMEs take less than half of it. */
const EVEN_WITHIN_MS = 60_000;
const REPLAYED_WITHIN_MS = 300_000;
/** Several deals of 5 s. */
const DEALT_WITHIN_MS = 30_000;
/** Sixty shards at one IDENTIFY in 5 s, and each step's time apart. */
const RESHARDED_WITHIN_MS = 600_000;
const GUILDS = 1_000;

/** mulberry32: a small generator with a seed. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export async function live(options: HistoryOptions): Promise<History> {
  const { tasks: desired, shards, loss, to } = options;
  const random = seeded(options.seed);
  const world = virtualClock();
  const trace = new Trace(world.now);
  const truth = createMemoryItems();
  const discord = createDiscord({ world, random, trace, maxConcurrency: 1, total: 1_000, recommended: shards });
  let plan: ShardPlan | undefined;
  const judge = createJudge({ world, truth, trace, isClaiming: () => plan?.next !== undefined });
  const operator = createItemLedger(truth, "operator");
  const everybody: SimulatedTask[] = [];
  const faults: Record<string, number> = {};
  let said = 0;

  const start = (): SimulatedTask => {
    const task = createTask({
      id: `task-${everybody.length}`,
      world,
      truth,
      discord,
      random,
      trace,
      tasks: desired,
      shards,
      loss,
      skewMs: SKEW_MS,
      handled: judge.handled,
      poisoned: judge.poisoned,
      taken: judge.taken,
    });
    everybody.push(task);
    trace.note(`${task.id} starts`);
    task.run().catch((error: unknown) => trace.broken(String(error)));
    return task;
  };

  const running = (): SimulatedTask[] => everybody.filter(({ state }) => state === "runs");
  const later = (ms: number, what: () => void): void => void world.schedule(ms, what);
  const stop = (task: SimulatedTask, drainMs: number): void =>
    void task.stop(drainMs).catch((error: unknown) => trace.broken(String(error)));

  const cutOff = (task: SimulatedTask, state: "cut" | "throttled" | "lossy", ms: number): void => {
    task.network.state = state;
    judge.interrupted(task, "away", ms);
    later(ms, () => {
      task.network.state = "fine";
    });
  };

  const deeds: Readonly<Record<string, (task: SimulatedTask) => void>> = {
    deploy(task) {
      start();
      later(2_000 + random() * 6_000, () => stop(task, random() < 0.5 ? 1_000 : 10_000));
    },
    stop(task) {
      stop(task, 5_000);
      later(1_000 + random() * 10_000, start);
    },
    // Its successor goes as soon as it has come: what was given to it comes back.
    flap(task) {
      stop(task, 5_000);
      later(500, () => {
        const next = start();
        later(1_500 + random() * 4_000, () => stop(next, 5_000));
        later(8_000, start);
      });
    },
    crash(task) {
      judge.interrupted(task, "away", 0);
      task.kill();
      later(random() * 5_000, start);
    },
    suspend(task) {
      const forMs = 500 + random() * 30_000;
      judge.interrupted(task, "asleep", forMs);
      task.machine.suspend();
      later(forMs, () => task.machine.wake());
    },
    cut: (task) => cutOff(task, "cut", random() * 40_000),
    throttled: (task) => cutOff(task, "throttled", random() * 20_000),
    lossy: (task) => cutOff(task, "lossy", random() * 15_000),
    reset: ({ machine }) => discord.reset(machine),
  };
  const names = Object.keys(deeds);

  const happen = (share: number): void => {
    const all = running();
    const task = all[Math.floor(random() * all.length)];
    const name = names[Math.floor(random() * names.length)];
    if (random() >= share || task === undefined || name === undefined) return;
    faults[name] = (faults[name] ?? 0) + 1;
    trace.note(`${name} ${task.id}`);
    deeds[name]?.(task);
  };

  const step = async (sayEveryMs: number): Promise<void> => {
    for (let passed = 0; passed < STEP_MS; passed += sayEveryMs) {
      const event = `e${said++}`;
      discord.say(Math.floor(random() * GUILDS), event);
      judge.said(event);
      await world.advance(sayEveryMs);
      trace.check();
    }
    judge.addUp(everybody);
    plan = (await operator.shardPlans.read()).plan;
  };

  const areEven = (): boolean => {
    const shares = running().map((task) => task.leading());
    const ready = shares.map((share) => share.ready);
    return (
      shares.length === desired &&
      shares.every(({ shardCount }) => shardCount === plan?.count) &&
      ready.reduce((sum, share) => sum + share, 0) === plan?.count &&
      Math.max(...ready) - Math.min(...ready) <= 1
    );
  };

  const until = async (condition: () => boolean, withinMs: number, rule: () => string): Promise<void> => {
    for (const from = world.now(); !condition(); await step(SAY_EVERY_MS)) {
      if (world.now() - from > withinMs) trace.broken(rule());
    }
  };

  const shares = (): string =>
    running()
      .map((task) => `${task.id} ${JSON.stringify(task.leading())}`)
      .join(", ");
  const uneven = (): string => `shards are not even: ${shares()} of ${JSON.stringify(plan)}`;

  const happenAll = async (): Promise<void> => {
    for (let count = 0; count < desired; count++) start();
    await world.advance(10_000 + shards * 6_000);
    trace.check();
    plan = (await operator.shardPlans.read()).plan;
    if (!areEven()) trace.broken(uneven());
    if (to !== undefined) {
      const { plan: now, version } = await operator.shardPlans.read();
      await operator.shardPlans.write({ count: now?.count ?? shards, next: { count: to, step: "opening" } }, version);
    }
    let reached: string | undefined;
    for (const calmAt = world.now() + options.minutes * 60_000; world.now() < calmAt; await step(SAY_EVERY_MS)) {
      happen(0.08);
      // Each step of a change of number has a good chance of a fault of its own.
      if (plan?.next?.step !== reached) happen(0.5);
      reached = plan?.next?.step;
    }
    trace.note("calm");
    // What was begun ends within this; then there are as many tasks as there should be.
    for (const quietAt = world.now() + 45_000; world.now() < quietAt; ) await step(SAY_EVERY_MS);
    while (running().length < desired) start();
    for (const surplus of running().slice(desired)) stop(surplus, 1_000);
    await until(
      () => plan?.next === undefined,
      RESHARDED_WITHIN_MS,
      () => `the number of shards still changes: ${JSON.stringify(plan)}, ${shares()}`,
    );
    if (plan?.count !== shards && plan?.count !== to) trace.broken(`there are ${plan?.count} shards`);
    await until(areEven, EVEN_WITHIN_MS, uneven);
    for (const endAt = world.now() + 30_000; world.now() < endAt; ) await step(STEP_MS);
    if (!areEven()) trace.broken(uneven());
    // A deal may be under way, in which a share goes before another comes.
    const perSecond = (): readonly number[] => running().map((task) => task.perSecond ?? 0);
    await until(
      () => Math.min(...perSecond()) >= 1 && perSecond().reduce((sum, share) => sum + share, 0) > LIMIT * 0.8,
      DEALT_WITHIN_MS,
      () => `${perSecond()} requests a second`,
    );
    // A replay of minutes, each event written down before, goes on for a while.
    const endAt = world.now() + REPLAYED_WITHIN_MS;
    do await world.advance(15_000);
    while (judge.unfinished() > 0 && world.now() < endAt);
    await judge.sum(discord.sessions, plan?.count === to ? shards : undefined);
    trace.check();
  };

  let broken: string | undefined;
  try {
    await happenAll();
  } catch (error) {
    const what = error instanceof BrokenRule ? error.message : String(error instanceof Error ? error.stack : error);
    broken = `seed ${options.seed} at ${world.now().toFixed(0)} ms: ${what}\n${trace.tail()}`;
  }
  return {
    broken,
    hash: trace.hash,
    simulatedMs: world.now(),
    faults,
    events: judge.events,
    overlaps: judge.overlaps,
    leftBehind: judge.leftBehind,
    identifies: discord.sessions.length,
    shardCount: plan?.count ?? 0,
  };
}
