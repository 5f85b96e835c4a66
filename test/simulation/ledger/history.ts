// One seeded history of several tasks: who comes, goes, crashes, sleeps or is cut off, and what must hold all the while.

import { leaseFrom, taskFrom } from "../../../bot/ledger/leaseRecords.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import { virtualClock } from "../../virtualClock.ts";
import { createSmallDiscord } from "./discord.ts";
import { createTask, LIMIT, type SimulatedTask } from "./task.ts";

export interface HistoryOptions {
  readonly seed: number;
  readonly tasks: number;
  readonly shards: number;
  readonly loss: "hold" | "stop";
  /** Minutes of faults; then comes one of calm. */
  readonly minutes: number;
}

export interface History {
  readonly identifies: number;
  /** Events that no handler ever ended. */
  readonly lost: readonly string[];
  /** Events that handlers of two tasks ended though none of the shard's owners was interrupted around then. */
  readonly doubled: readonly string[];
  /** Handlers started by a task that reached the ledger and did not own the shard. */
  readonly trespasses: readonly string[];
  /** At the end: how many shards each task has. */
  readonly shares: readonly number[];
  /** Moments at which tasks that all reached the ledger would have sent more than the limit together. */
  readonly excesses: readonly string[];
  /** At the end: requests a second of each task. */
  readonly perSecond: readonly number[];
  readonly events: number;
  readonly faults: Readonly<Record<string, number>>;
}

const STEP_MS = 500;
const SAY_EVERY_MS = 100;
/** A crash may repeat what was handled after the last checkpoint, and a checkpoint takes a moment to arrive. */
const CHECKPOINT_MS = 5_000 + 1_000;
/** How long after a cut both sides may still think that they own a shard: until the next beat is answered. */
const AFTER_CUT_MS = 12_000;

/** mulberry32: a small generator with a seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export async function live(options: HistoryOptions): Promise<History> {
  const { tasks: desired, shards, loss } = options;
  const random = seeded(options.seed);
  const world = virtualClock();
  const truth = createMemoryItems();
  const discord = createSmallDiscord(world);
  const everybody: SimulatedTask[] = [];
  const ended = new Map<string, { task: string; at: number }[]>();
  const trespasses: string[] = [];
  const faults: Record<string, number> = {};
  const interruptions: { readonly task: SimulatedTask; readonly from: number; readonly until: number }[] = [];
  const owners = new Map<number, string | null>();
  const states = new Map<string, string>();
  // Events that a task has said it sees through, though the shard is another's: that one waits for them.
  const seenThrough = new Map<string, readonly string[]>();

  const lookAtTruth = async (): Promise<void> => {
    for (const item of await truth.list("shard")) {
      const lease = leaseFrom(item);
      if (lease !== undefined) owners.set(lease.shard, lease.owner);
    }
    for (const item of await truth.list("task")) {
      const task = taskFrom(item);
      if (task === undefined) continue;
      states.set(task.id, task.record.state);
      seenThrough.set(
        task.id,
        task.record.running.map((event) => event.join("/")),
      );
    }
  };

  const interrupt = (task: SimulatedTask, forMs: number): void => {
    interruptions.push({ task, from: world.now() - CHECKPOINT_MS, until: world.now() + forMs + AFTER_CUT_MS });
  };
  // A machine that sleeps is as good as dead to others; unlike one that is cut off, it must not act once it wakes.
  const sleeps: { readonly task: string; readonly from: number; readonly until: number }[] = [];
  const isInterrupted = (id: string): boolean =>
    cutOffNow(id) ||
    sleeps.some(({ task, from, until }) => task === id && from <= world.now() && world.now() <= until + AFTER_CUT_MS);
  const cutOffNow = (id: string): boolean =>
    interruptions.some(({ task, from, until }) => task.id === id && from <= world.now() && world.now() <= until);

  const start = (): void => {
    const task = createTask({
      id: `task-${everybody.length}`,
      world,
      truth,
      discord,
      random,
      tasks: desired,
      shards,
      loss,
      handler(what, { id }, event, shard) {
        if (what === "ends") {
          ended.set(event, [...(ended.get(event) ?? []), { task: id, at: world.now() }]);
          return;
        }
        void lookAtTruth().then(() => {
          const said = seenThrough.get(id)?.includes(`${shard}/${event.split("/")[1]}`) === true;
          const owns = (owners.get(shard) === id || said) && states.get(id) === "active";
          const mine = everybody.find((one) => one.id === id);
          if (!owns && !cutOffNow(id) && mine?.state === "runs") trespasses.push(`${id} ${event} at ${world.now()}`);
        });
      },
    });
    everybody.push(task);
    void task.run();
  };

  const running = (): SimulatedTask[] => everybody.filter(({ state }) => state === "runs");
  const fault = (name: string): void => {
    faults[name] = (faults[name] ?? 0) + 1;
  };
  const some = <Thing>(things: readonly Thing[]): Thing | undefined => things[Math.floor(random() * things.length)];
  const later = (ms: number, what: () => void): void => void world.schedule(ms, what);

  const cutOff = (task: SimulatedTask, state: "cut" | "throttled" | "lossy", ms: number): void => {
    task.network.state = state;
    interrupt(task, ms);
    later(ms, () => {
      task.network.state = "fine";
    });
  };

  const happen = (): void => {
    const task = some(running());
    const dice = random();
    if (task === undefined || dice > 0.08) return;
    if (dice < 0.015) {
      fault("deploy");
      start();
      later(2_000 + random() * 6_000, () => {
        if (task.state === "runs") void task.stop(random() < 0.5 ? 1_000 : 10_000);
      });
    } else if (dice < 0.025) {
      fault("stop");
      void task.stop(5_000);
      later(1_000 + random() * 10_000, start);
    } else if (dice < 0.035) {
      fault("crash");
      interrupt(task, 0);
      task.kill();
      later(random() * 5_000, start);
    } else if (dice < 0.05) {
      fault("suspend");
      const forMs = 500 + random() * 30_000;
      sleeps.push({ task: task.id, from: world.now() - CHECKPOINT_MS, until: world.now() + forMs });
      task.machine.suspend();
      later(forMs, () => task.machine.wake());
    } else if (dice < 0.06) {
      fault("cut");
      cutOff(task, "cut", random() * 40_000);
    } else if (dice < 0.07) {
      fault("throttled");
      cutOff(task, "throttled", random() * 20_000);
    } else {
      fault("lossy");
      cutOff(task, "lossy", random() * 15_000);
    }
  };

  const excesses: string[] = [];
  const addUp = (): void => {
    const alive = everybody.filter((task) => task.state !== "over" && task.perSecond !== undefined);
    // One that sleeps or is cut off keeps its share, and is taken for dead meanwhile.
    if (alive.some(({ id }) => isInterrupted(id))) return;
    // Whoever has just come takes one a second before it is dealt in.
    const most = LIMIT + alive.filter((task) => task.perSecond === 1).length;
    const sum = alive.reduce((all, task) => all + (task.perSecond ?? 0), 0);
    if (sum > most)
      excesses.push(`${alive.map((task) => `${task.id} ${task.perSecond}`).join(", ")} at ${world.now()}`);
  };

  for (let count = 0; count < desired; count++) start();
  await world.advance(30_000);
  const calmAt = world.now() + options.minutes * 60_000;
  for (let at = world.now(); at < calmAt; at += STEP_MS) {
    happen();
    for (let said = 0; said < STEP_MS; said += SAY_EVERY_MS) {
      discord.say(Math.floor(random() * shards));
      await world.advance(SAY_EVERY_MS);
    }
    addUp();
  }
  // What was begun ends within this; then there are as many tasks as there should be.
  await world.advance(60_000);
  while (running().length < desired) start();
  for (const surplus of running().slice(desired)) void surplus.stop(1_000);
  for (let at = 0; at < 60_000; at += STEP_MS) {
    discord.say(Math.floor(random() * shards));
    await world.advance(STEP_MS);
    addUp();
  }
  await world.advance(30_000);

  // What crosses an interruption is handled at least once; the bot module's claims catch the second time.
  const excuse = (event: string, times: readonly { readonly at: number }[]): boolean => {
    const shard = Number(event.split(".")[0]);
    const owned = (task: string | undefined): boolean =>
      everybody.some(
        (one) => one.id === task && one.telemetry.named("lease.taken").some((taken) => taken["shard"] === shard),
      );
    return [...sleeps, ...interruptions.map(({ task, from, until }) => ({ task: task.id, from, until }))].some(
      ({ task, from, until }) => owned(task) && times.some(({ at }) => from <= at && at <= until),
    );
  };
  return {
    identifies: discord.identifies,
    lost: discord.events.filter((event) => !ended.has(event)),
    doubled: [...ended].filter(([event, times]) => times.length > 1 && !excuse(event, times)).map(([event]) => event),
    trespasses,
    shares: running().map((task) => task.shards.size),
    excesses,
    perSecond: running().map((task) => task.perSecond ?? 0),
    events: discord.events.length,
    faults,
  };
}
