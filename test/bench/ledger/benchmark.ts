// `npm run bench -- ledger`: what the table costs a month, from the calls that tasks make: the real leases and checkpoints in virtual time.

import { createHash } from "node:crypto";
import { createCheckpoint } from "../../../bot/checkpoint.ts";
import type { Dispatcher } from "../../../bot/gateway/dispatch.ts";
import type { Fleet } from "../../../bot/gateway/fleet.ts";
import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import { LOOK_MS } from "../../../bot/runtime/resharding.ts";
import { createSharing } from "../../../bot/sharing.ts";
import { HOURS_A_MONTH, LEDGER_USD, PRICES_OF } from "../../../infra/prices.ts";
import { recordingTelemetry } from "../../bot/telemetry/recordingTelemetry.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { createMeter, type Meter } from "./meter.ts";

const TASKS = [1, 10, 100] as const;
const SHARDS = [1, 16, 64, 1_000] as const;
// Every shard has new events before every checkpoint: the most that a checkpoint can be.
const EVENT_EVERY_MS = 1_000;
const SETTLE_MS = 120_000;
const WINDOW_MS = 60_000;
const DEPLOYS_A_MONTH = 30;
const MILLION = 1_000_000;

export async function ledgerBenchmark(progress: (line: string) => void): Promise<string> {
  const rows = [
    `| shards | ${TASKS.map((tasks) => (tasks === 1 ? "1 task" : `${tasks} tasks`)).join(" | ")} |`,
    `|---:|${TASKS.map(() => "---:|").join("")}`,
  ];
  for (const shards of SHARDS) {
    const cells: string[] = [];
    for (const tasks of TASKS) {
      // More tasks than shards only wait.
      const cost = tasks > shards ? undefined : await monthly(tasks, shards);
      cells.push(cost === undefined ? "-" : `$${cost.toFixed(2)}`);
      progress(`${shards} shards, ${tasks} tasks: ${cells.at(-1)}`);
    }
    rows.push(`| ${shards} | ${cells.join(" | ")} |`);
  }
  const { region, day } = PRICES_OF;
  return `${rows.join("\n")}\n\nOn demand in ${region}, list prices of ${day}; ${DEPLOYS_A_MONTH} deploys a month included.\n`;
}

async function monthly(tasks: number, shards: number): Promise<number> {
  const clock = virtualClock();
  const meter = createMeter(createMemoryItems());
  const start = (): Promise<Task> => startTask(clock, meter, tasks, shards);
  const running: Task[] = [];
  for (let count = 0; count < tasks; count++) running.push(await start());
  await clock.advance(SETTLE_MS);
  const held = running.reduce((sum, { held }) => sum + held(), 0);
  if (held !== shards) throw new Error(`${held} of ${shards} shards are held after ${SETTLE_MS} ms`);

  const units = async (run: () => Promise<void>): Promise<number> => {
    const { writes, reads } = meter;
    await run();
    return (
      ((meter.writes - writes) * LEDGER_USD.millionWrites + (meter.reads - reads) * LEDGER_USD.millionReads) / MILLION
    );
  };
  const quiet = await units(() => clock.advance(WINDOW_MS));
  // One task is replaced; the rest of a rollout is as many times the same.
  const deploy = await units(async () => {
    const next = await start();
    running.push(next);
    await clock.advance(WINDOW_MS / 2);
    await running[0]?.leave();
    await clock.advance(WINDOW_MS / 2);
  });
  for (const task of running) task.stop();
  const windows = (HOURS_A_MONTH * 3_600_000) / WINDOW_MS;
  return quiet * windows + Math.max(0, deploy - quiet) * tasks * DEPLOYS_A_MONTH;
}

interface Task {
  held(): number;
  leave(): Promise<void>;
  stop(): void;
}

let started = 0;
const hex = (text: string): string => createHash("sha256").update(text).digest("hex");

async function startTask(clock: VirtualClock, meter: Meter, tasks: number, shards: number): Promise<Task> {
  const id = hex(`task ${started++}`).slice(0, 36);
  const ledger = createItemLedger(meter.items, id);
  const taken = new Map<number, string>();
  const session = (shard: number, sessionId: string): StoredSession => ({
    shard,
    shardCount: shards,
    sessionId,
    resumeGatewayUrl: "wss://gateway-us-east1-c.discord.gg",
    sequence: Math.floor((clock.now() + shard * 7) / EVENT_EVERY_MS),
    intents: 33_281,
    tokenHash: hex("token").slice(0, 16),
    writtenAt: clock.wall(),
  });
  const fleet: Pick<Fleet, "sessions" | "take" | "giveUp"> = {
    sessions: () => [...taken].map(([shard, sessionId]) => session(shard, sessionId)),
    take: (shard, _count, stored) => void taken.set(shard, stored?.sessionId ?? hex(`${id} ${shard}`).slice(0, 32)),
    async giveUp(given) {
      return given.flatMap((shard) => {
        const sessionId = taken.get(shard);
        taken.delete(shard);
        return sessionId === undefined ? [] : [session(shard, sessionId)];
      });
    },
  };
  const dispatcher: Pick<Dispatcher, "take" | "restore" | "release" | "lose" | "running" | "goOn"> = {
    take() {},
    restore() {},
    release() {},
    lose() {},
    running: () => [],
    goOn() {},
  };
  const telemetry = recordingTelemetry();
  const sharing = createSharing({
    clock,
    telemetry,
    ledger,
    shared: { items: meter.items, task: id },
    // Only what leases use of them.
    dispatcher: dispatcher as Dispatcher,
    fleet: () => fleet as Fleet,
    checkpoint: () => checkpoint,
    tasks,
    loss: "hold",
    configured: shards,
    recommended: async () => shards,
    requests: {
      perSecond: 50,
      address: () => "203.0.113.7",
      own: () => ({ demand: 1, invalid: 0, ban: undefined }),
      heed() {},
    },
  });
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions: sharing.sessions });
  const over = new AbortController();
  const look = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await ledger.shardPlans.read();
      await clock.sleep(LOOK_MS, over.signal).catch(() => {});
    }
  };
  await sharing.join();
  sharing.start();
  checkpoint.start();
  void look();
  const stop = (): void => {
    over.abort(new Error("the task stops"));
    checkpoint.stop();
    void sharing.end();
  };
  return {
    held: () => taken.size,
    async leave() {
      over.abort(new Error("the task leaves"));
      checkpoint.stop();
      await sharing.leave(AbortSignal.abort());
      await sharing.end();
    },
    stop,
  };
}
