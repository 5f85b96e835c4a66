// Drills on tasks that follow each other or run side by side: real processes that share the emulated table.

import path from "node:path";
import { reshard } from "../../handover/reshardCommand.ts";
import { tally } from "../../handover/tally.ts";
import { type Drill, type Exception, identifies, MINUTE_MS } from "../drill.ts";
import type { RehearsedBot, World } from "../world.ts";

const LEDGER = "dynamodb:rehearsal";
const ROLLING_TASKS = 4;
const ROLLING_SHARDS = 8;
const EVENT_EVERY_MS = 200;
// What a process needs to start and to find its place on a busy machine, ms of the clock.
const STEP_MS = 5 * MINUTE_MS;
// Checkpoints are 5 s apart, and one takes a moment to arrive.
const SINCE_CHECKPOINT_MS = 7_000;
// Slow enough for a lease of 10 s to outlast a busy machine's pauses.
const DEPLOY_RATE = 4;
const ROLLING_RATE = 2;

const onTable =
  (...more: readonly Exception[]) =>
  (): readonly Exception[] => [
    { name: "LEDGER", value: LEDGER, why: "tasks hand their sessions on through a table" },
    {
      name: "BOT_MODULE",
      value: path.resolve(import.meta.dirname, "../../handover/counting.ts"),
      why: "the bundled one's claims would hide an event that is handled twice",
    },
    ...more,
  ];

const handlersOf = (lines: readonly Readonly<Record<string, unknown>>[]) =>
  lines.flatMap(({ id, at }) => (typeof id === "string" && typeof at === "number" ? [{ id, at }] : []));

const count = ({ sent, lines }: World) => tally(sent, handlersOf(lines));

/** @param shards that were identified before the fault */
const told =
  (shards: number) =>
  (world: World): string => {
    const { sent, handled, lost, doubled, longestGapMs } = count(world);
    return [
      `${sent} events sent, ${handled} handled, ${lost.length} lost, ${doubled.length} doubled`,
      `${world.discord.counts.identifies - shards} IDENTIFYs spent`,
      `longest gap ${(longestGapMs / 1_000).toFixed(1)} s`,
    ].join(", ");
  };

const nothingLost = (world: World): readonly string[] => {
  const { sent, lost } = count(world);
  return lost.length === 0 ? [] : [`${lost.length} of ${sent} events were lost`];
};

const nothingDoubled = (world: World): readonly string[] => {
  const { sent, doubled } = count(world);
  return doubled.length === 0 ? [] : [`${doubled.length} of ${sent} events were handled twice`];
};

const eachOnce =
  (most: number) =>
  (world: World): readonly string[] => [...identifies(most)(world), ...nothingLost(world), ...nothingDoubled(world)];

/** A crash may repeat what was handled after the last checkpoint, and nothing before it. */
const repeatsOnlyTheEnd = (world: World): readonly string[] => {
  const ends = handlersOf(world.bots[0]?.lines ?? []);
  const diedAt = Math.max(...ends.map(({ at }) => at));
  const { doubled } = count(world);
  const old = doubled.filter((id) => ends.some((end) => end.id === id && end.at < diedAt - SINCE_CHECKPOINT_MS));
  return old.length === 0 ? [] : [`${old.length} events were repeated that the last checkpoint has as finished`];
};

const said = (bot: RehearsedBot, event: string): number => bot.lines.filter((line) => line["event"] === event).length;
const held = (bot: RehearsedBot): number => said(bot, "lease.taken") - said(bot, "lease.released");

/** As the rollout `handoff` replaces a task: the next one starts and waits, the old one gets its SIGTERM. */
async function handOver(world: World, old: RehearsedBot): Promise<void> {
  await world.start();
  const next = world.bot();
  await world.until("the next task waited for its turn", () => said(next, "bot.waiting") > 0, STEP_MS);
  await world.retire(old);
}

const busy = async (world: World): Promise<void> => {
  world.hurry(EVENT_EVERY_MS);
  await world.pass(10_000);
};

export const DEPLOY_DRILLS: readonly Drill[] = [
  {
    name: "deploy, handed over",
    fault: "the next task waits, SIGTERM in the middle of traffic, and the sessions change hands",
    names: [
      { event: "bot.waiting", fields: { ahead: 1 } },
      { event: "bot.draining", fields: { signal: "SIGTERM", keepSessions: "yes" } },
      { event: "lease.taken", fields: { shard: 0, fence: 2 } },
      { event: "session.resumed", fields: { shard: 0 } },
    ],
    always: true,
    mostRate: DEPLOY_RATE,
    quietMs: 0,
    exceptions: onTable(),
    async inflict(world) {
      await busy(world);
      await handOver(world, world.bot());
    },
    lastsMs: 15_000,
    lift: (world) => world.hush(),
    verify: eachOnce(1),
    tell: told(1),
  },
  {
    name: "crash",
    fault: "SIGKILL in the middle of traffic, then the next task",
    names: [
      { event: "task.dead", fields: {} },
      { event: "session.resumed", fields: { shard: 0 } },
    ],
    mostRate: DEPLOY_RATE,
    quietMs: 0,
    exceptions: onTable(),
    async inflict(world) {
      await busy(world);
      await world.kill(world.bot());
      await world.start();
    },
    lastsMs: 40_000,
    lift: (world) => world.hush(),
    verify: (world) => [...identifies(1)(world), ...nothingLost(world), ...repeatsOnlyTheEnd(world)],
    tell: told(1),
  },
  {
    name: "Spot notice",
    fault: "Fargate Spot takes the task: SIGTERM first, and the next task only then",
    names: [
      { event: "bot.draining", fields: { signal: "SIGTERM", keepSessions: "yes" } },
      { event: "session.resumed", fields: { shard: 0 } },
    ],
    mostRate: DEPLOY_RATE,
    quietMs: 0,
    exceptions: onTable(),
    async inflict(world) {
      await busy(world);
      await Promise.all([world.retire(world.bot()), world.start()]);
    },
    lastsMs: 15_000,
    lift: (world) => world.hush(),
    verify: eachOnce(1),
    tell: told(1),
  },
  {
    name: "rolling deploy of four tasks",
    fault: "four tasks share eight shards, and each is replaced in its turn",
    names: [{ event: "bot.waiting", fields: { ahead: ROLLING_TASKS } }],
    mostRate: ROLLING_RATE,
    quietMs: 0,
    discord: { guilds: ROLLING_SHARDS, shards: ROLLING_SHARDS, maxConcurrency: ROLLING_SHARDS },
    exceptions: onTable({ name: "TASKS", value: String(ROLLING_TASKS), why: "so many tasks are declared here" }),
    async inflict(world) {
      const even = (): boolean =>
        world.bots.slice(-ROLLING_TASKS).every((bot) => held(bot) === ROLLING_SHARDS / ROLLING_TASKS);
      world.hurry(EVENT_EVERY_MS);
      while (world.bots.length < ROLLING_TASKS) await world.start();
      await world.until("the tasks had even shares", even, STEP_MS);
      for (const old of world.bots.slice(0, ROLLING_TASKS)) {
        await handOver(world, old);
        await world.until("the shards were handed on", even, STEP_MS);
      }
    },
    lastsMs: 15_000,
    lift: (world) => world.hush(),
    verify: eachOnce(ROLLING_SHARDS),
    tell: told(ROLLING_SHARDS),
  },
  {
    name: "reshard",
    fault: "npm run reshard: two shards become three beside each other, in the middle of traffic",
    names: [{ event: "reshard.step", fields: { from: 2, to: 3, step: "done" } }],
    mostRate: DEPLOY_RATE,
    quietMs: 0,
    discord: { guilds: 6, shards: 2, maxConcurrency: 4 },
    exceptions: onTable(),
    async inflict(world) {
      await busy(world);
      const { printed, exitCode } = await reshard({ ...world.tables?.environment, LEDGER }, "--to", "3", "--apply");
      if (exitCode !== 0) throw new Error(`npm run reshard ended with ${exitCode}: ${printed}`);
    },
    lastsMs: 15_000,
    lift: (world) => world.hush(),
    verify: eachOnce(5),
    tell: told(2),
  },
  {
    name: "ledger outage",
    fault: "the table is out of reach for minutes, and the task holds on to its shards",
    alarm: "LedgerUnreachable",
    names: [{ event: "ledger.unreachable", fields: { error: /the table rehearsal is un(read|writ)able/ } }],
    quietMs: 0,
    exceptions: onTable(),
    inflict(world) {
      world.hurry(1_000);
      world.tables?.cut();
    },
    async lift(world) {
      await world.tables?.back();
      await world.pass(10_000);
      world.hush();
    },
    verify: eachOnce(1),
    tell: told(1),
  },
];
