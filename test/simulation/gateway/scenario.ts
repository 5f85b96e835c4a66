// One seed's run: a bot of 1 to 64 shards, faults for a while, then peace, in which everything must be well again.

import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import { LONGEST_BACKLOG_MS, startLife } from "./bot.ts";
import { createChance } from "./chance.ts";
import { Discord } from "./discord.ts";
import { FAULTS, heal, publish, type Scene } from "./faults.ts";
import { createTimeline } from "./timeline.ts";
import { BrokenRule, Trace } from "./trace.ts";
import { Truth } from "./truth.ts";

export interface Outcome {
  /** Of everything that happened. */
  readonly hash: string;
  /** Simulated time, ms. */
  readonly simulatedMs: number;
  readonly description: string;
  /** The rule that was broken, with the last lines of the trace; undefined when all went well. */
  readonly broken: string | undefined;
}

/** What the rules leave no choice about is added to this. */
const RECOVERY_MS = 10_000;
/** After op 9 and 4008, at most. */
const PAUSE_MS = 5_000;
/** The longest that the bot promises to wait before it spends another IDENTIFY on a shard that keeps failing. */
const IDENTIFY_BACKOFF_MS = 30_000;

export async function simulate(seed: number): Promise<Outcome> {
  const chance = createChance(seed);
  const timeline = createTimeline();
  const trace = new Trace(timeline.now);
  const truth = new Truth(timeline, trace);
  const shards = Math.max(1, Math.ceil(64 * chance.random() ** 3));
  const maxConcurrency = chance.pick([1, 2, 4, 16, 64]);
  // Enough for a start of all shards above the reserve, and for a few IDENTIFYs more.
  const isScarce = chance.happens(0.1);
  const total = isScarce ? 2 * shards + chance.whole(3, 20) : 1_000;
  const discord = new Discord({
    timeline,
    chance,
    trace,
    truth,
    shards,
    maxConcurrency,
    total,
    heartbeatIntervalMs: chance.pick([41_250, 45_000, 20_000]),
    sessionLifetimeMs: chance.pick([90_000, 300_000, 30_000]),
    resetAfterMs: chance.between(60_000, isScarce ? 3_600_000 : 86_400_000),
    replaysResumed: chance.happens(0.3),
    // A tenth of the total, and at least one start of all shards.
    reserve: Math.max(Math.ceil(total / 10), shards),
  });
  const scene: Scene = {
    timeline,
    chance,
    trace,
    truth,
    discord,
    ledger: createMemoryLedger(),
    shards,
    autoShards: chance.happens(0.3),
    rest: "up",
    restBannedUntil: undefined,
    ledgerFails: false,
    poisonWorks: true,
    poisoned(life) {
      if (life === scene.life) restart(scene, "kill", chance.pick([100, 5_000, 60_000]) * chance.random());
      else life.kill();
    },
    slowestHandlerMs: chance.pick([100, 5_000, 30_000]),
    life: undefined,
    lives: 0,
    restart: (how, afterMs) => restart(scene, how, afterMs),
  };
  const faultMs = chance.pick([5, 20, 60]) * 60_000 * chance.random();
  const gapMs = chance.pick([3_000, 20_000, 120_000]);
  const description = `${shards} shards, max_concurrency ${maxConcurrency}, ${Math.round(faultMs / 1000)} s of faults`;
  try {
    await begin(scene);
    await trouble(scene, faultMs, gapMs);
    await recover(scene);
    await peace(scene);
    await farewell(scene);
    return { hash: trace.hash, simulatedMs: timeline.now(), description, broken: undefined };
  } catch (error) {
    const what = error instanceof BrokenRule ? error.message : String(error instanceof Error ? error.stack : error);
    const broken = `seed ${seed} (${description}) at ${timeline.now().toFixed(1)} ms: ${what}`;
    return { hash: trace.hash, simulatedMs: timeline.now(), description, broken: `${broken}\n${trace.tail()}` };
  }
}

async function begin(scene: Scene): Promise<void> {
  scene.discord.patience.excuse(20_000);
  scene.life = await startLife(++scene.lives, scene);
}

function restart(scene: Scene, how: "kill" | "terminate", afterMs: number): void {
  const { life, timeline, trace } = scene;
  if (life === undefined) return;
  const next = (): void => {
    scene.life = undefined;
    timeline.schedule(afterMs, () => {
      begin(scene).catch((error: unknown) => trace.broken(String(error)));
    });
  };
  if (how === "kill") {
    life.kill();
    next();
  } else {
    scene.life = undefined;
    life.terminate(true).then(next, (error: unknown) => trace.broken(String(error)));
  }
}

/** Advances, publishing events on the way, and looks at the bounds at each step. */
async function run(scene: Scene, milliseconds: number): Promise<void> {
  const { timeline, chance, trace } = scene;
  const until = timeline.now() + milliseconds;
  while (timeline.now() < until) {
    const next = Math.min(until, timeline.now() + chance.between(100, 8_000));
    await timeline.run(next, () => trace.check());
    bounds(scene);
    for (let burst = chance.pick([0, 1, 1, 6]); burst > 0; burst--) publish(scene);
    trace.check();
  }
}

/** Nothing grows: timers and sockets are bounded by the shards and by what runs. */
function bounds({ life, shards, trace }: Scene): void {
  if (life === undefined || life.ended) return;
  const timers = life.clock.pending();
  // A shard: its deadline, a flush, a close; the fleet: its queues, its reader, stalls, the checkpoint and its write.
  const most = 8 * shards + 2 * life.handlersRunning + life.membersAsked + 20;
  if (timers > most) trace.broken(`${timers} timers are armed, ${most} are enough for anything`);
  if (life.sockets.size > 8 * shards + 8) trace.broken(`${life.sockets.size} sockets are open for ${shards} shards`);
}

async function trouble(scene: Scene, milliseconds: number, gapMs: number): Promise<void> {
  const { timeline, chance, trace } = scene;
  const names = chance.some(Object.keys(FAULTS), chance.pick([0.1, 0.3, 1]));
  const until = timeline.now() + milliseconds;
  while (timeline.now() < until) {
    await run(scene, chance.random() * 2 * gapMs);
    const name = names[chance.whole(0, names.length - 1)] ?? "resets";
    trace.note(`fault ${name}`);
    FAULTS[name]?.(scene);
  }
}

const isReady = ({ life, shards, discord }: Scene): boolean => {
  let live = 0;
  for (const { phase } of discord.peers) if (phase === "live") live++;
  return live === shards && life !== undefined && life.fleet.status().ready === shards;
};

/** After the last fault: ready within what the rules ask for the IDENTIFYs that were needed, and a little. */
async function recover(scene: Scene): Promise<void> {
  const { timeline, discord, trace, chance } = scene;
  while (scene.life === undefined || scene.life.clock.stalledUntil() > timeline.now()) await run(scene, 1_000);
  heal(scene);
  trace.note("healed");
  const { life } = scene;
  if (life.fatal !== undefined) trace.broken(`fatal ${life.fatal} though Discord never said so`);
  const from = timeline.now();
  let boundMs = Math.max(life.holdUntil - from, 0);
  for (;;) {
    await run(scene, chance.between(500, 3_000));
    if (isReady(scene)) break;
    const perKey = new Map<number, number>();
    for (const { at, shard } of discord.identifiedAt) {
      const key = shard % discord.options.maxConcurrency;
      if (at >= from) perKey.set(key, (perKey.get(key) ?? 0) + 1);
    }
    const turns = Math.max(0, ...perKey.values());
    const { identify, edge, shards } = life.fleet.status();
    const waiting = shards.some(({ state, received }) => state !== "ready" && received === 0);
    const identifyMs = turns > 0 || waiting ? (turns + 1) * 5_000 + IDENTIFY_BACKOFF_MS : 0;
    // The budget comes back when it does, a ban is over when the edge said, and too many starts are held back.
    for (const until of [identify.waitingUntil, edge.until]) {
      if (until !== null) boundMs = Math.max(boundMs, Date.parse(until) - timeline.wall() + timeline.now() - from);
    }
    const allowed = RECOVERY_MS + PAUSE_MS + identifyMs + boundMs;
    if (timeline.now() - from > allowed) {
      const states = shards.filter(({ state }) => state !== "ready");
      const peers = [...discord.peers].map(({ number, phase, session }) => `${number} ${phase} ${session?.shard}`);
      trace.note(`connections: ${peers.join(", ")}`);
      trace.broken(`not ready ${allowed} ms after the last fault: ${JSON.stringify(states.slice(0, 5))}`);
    }
    trace.check();
  }
  trace.note(`recovered`);
}

/** In peace nobody dials, every event arrives, and what handlers still do ends. */
async function peace(scene: Scene): Promise<void> {
  const { timeline, discord, trace, truth, life } = scene;
  if (life === undefined) return;
  const { dials } = discord;
  const identified = discord.identifiedAt.length;
  await run(scene, 100_000);
  if (discord.dials !== dials) trace.broken(`${discord.dials - dials} dials in peace`);
  if (discord.identifiedAt.length !== identified) trace.broken("an IDENTIFY in peace");
  for (const { session } of discord.peers) {
    const { wished } = life;
    if (wished !== undefined && session?.presence !== wished) trace.broken(`${session?.id} does not show ${wished}`);
  }
  const from = timeline.now();
  await timeline.run(from + 1_000, () => trace.check());
  let isIdle = false;
  void life.idle().then(() => {
    isIdle = true;
  });
  while (!isIdle) {
    await timeline.run(timeline.now() + 10_000, () => trace.check());
    if (timeline.now() - from > LONGEST_BACKLOG_MS) trace.broken(`${life.handlersRunning} handlers never end`);
  }
  const reachable = new Set([...discord.peers].map(({ session }) => session?.id ?? ""));
  truth.settled(reachable, life);
  trace.check();
}

/** It ends as it is told to: with its sessions kept, ended, or because Discord refuses the bot for good. */
async function farewell(scene: Scene): Promise<void> {
  const { timeline, discord, trace, chance, life } = scene;
  if (life === undefined) return;
  const how = chance.pick(["keep", "end", "refused"]);
  const sessions = [...discord.peers].flatMap(({ session }) => session ?? []);
  if (how === "refused") {
    const [peer] = chance.some([...discord.peers], 0);
    peer?.end(chance.pick([4004, 4010, 4011, 4012, 4013, 4014]));
    await timeline.run(timeline.now() + 1_000, () => trace.check());
    discord.refusedForGood = true;
    await timeline.run(timeline.now() + 600_000, () => trace.check());
    if (life.fatal === undefined) trace.broken("a fatal close code was not taken as one");
  } else {
    life.terminate(how === "keep").catch((error: unknown) => trace.broken(String(error)));
    await timeline.run(timeline.now() + 25_000, () => trace.check());
    if (!life.ended) trace.broken("the process does not end");
    const wrong = sessions.filter(({ alive }) => alive !== (how === "keep")).length;
    if (wrong > 0) trace.broken(`${wrong} sessions are ${how === "keep" ? "ended" : "left"} by an orderly end`);
  }
  if (discord.peers.size > 0) trace.broken(`${discord.peers.size} connections are left behind`);
  trace.check();
}
