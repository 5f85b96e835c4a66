// One process of the bot on a simulated machine: its real sets of shards, leases and resharding, put together as runtime.ts does.

import type { BotDefinition } from "../../../bot/defineBot.ts";
import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import type { Ledger } from "../../../bot/ledger/ledger.ts";
import { untilReachable } from "../../../bot/preflight.ts";
import type { Api } from "../../../bot/runtime/api.ts";
import { createLifecycle } from "../../../bot/runtime/lifecycle.ts";
import { createRequestShares } from "../../../bot/runtime/requestShares.ts";
import { createResharding } from "../../../bot/runtime/resharding.ts";
import { createShardSet, type ShardSet } from "../../../bot/runtime/shardSet.ts";
import { type Environment, parseEnvironment } from "../../../shared/environment.ts";
import { recordingTelemetry } from "../../bot/telemetry/recordingTelemetry.ts";
import type { VirtualClock } from "../../virtualClock.ts";
import type { Trace } from "../gateway/trace.ts";
import type { Discord } from "./discord.ts";
import { createMachine, type Machine } from "./machine.ts";
import { createNetwork, type Network } from "./network.ts";

export interface TaskOptions {
  readonly id: string;
  readonly world: VirtualClock;
  readonly truth: Items;
  readonly discord: Discord;
  readonly random: () => number;
  readonly trace: Trace;
  readonly tasks: number;
  readonly shards: number;
  readonly loss: "hold" | "stop";
  /** How far its wall clock may be off, ms. */
  readonly skewMs: number;
  poisoned(shard: number, sequence: number): void;
  taken(task: SimulatedTask, shard: number): void;
  handled(what: "starts" | "ends", run: Run): void;
}

/** One handler's run. */
export interface Run {
  readonly task: SimulatedTask;
  /** Of the set's task item. */
  readonly owner: string;
  readonly event: string;
  readonly shard: number;
  readonly shardCount: number;
  readonly sequence: number;
}

export interface SimulatedTask {
  readonly id: string;
  readonly machine: Machine;
  readonly network: Network;
  readonly telemetry: ReturnType<typeof recordingTelemetry>;
  readonly state: "runs" | "draining" | "over";
  /** The set that leads: how many shards it has in all, and how many of them are here and ready. */
  leading(): { readonly shardCount: number | undefined; readonly ready: number };
  /** Requests a second that it sends at most; undefined before it has joined. */
  readonly perSecond: number | undefined;
  run(): Promise<void>;
  /** SIGTERM: hands on, lets handlers finish for so long, ends. */
  stop(drainMs: number): Promise<void>;
  /** SIGKILL, or the machine is no more. */
  kill(): void;
}

/** What all tasks together may send a second. */
export const LIMIT = 50;
const SLOW_SHARE = 0.1;
const SLOWEST_MS = 8_000;

export function createTask(options: TaskOptions): SimulatedTask {
  const { id, world, discord, random, trace } = options;
  // Clocks of machines that keep time by NTP: parts of a thousand; and what somebody set by hand.
  const machine = createMachine(world, 1 + (random() - 0.5) * 0.01, (random() - 0.5) * 2 * options.skewMs);
  const { clock } = machine;
  const network = createNetwork(world, machine, options.truth, random);
  const ledger = createItemLedger(network.items, id);
  const recorded = recordingTelemetry();
  const telemetry = {
    ...recorded,
    event(name: string, fields: object) {
      // A stack names files, which lie elsewhere on another machine.
      trace.note(`${id} ${name} ${name === "handler.failed" ? "" : JSON.stringify(fields)}`);
      recorded.event(name as Parameters<typeof recorded.event>[0], fields as Parameters<typeof recorded.event>[1]);
      if (name === "dispatch.poison")
        options.poisoned(Number(Reflect.get(fields, "shard")), Number(Reflect.get(fields, "seq")));
      if (name === "lease.taken") options.taken(task, Number(Reflect.get(fields, "shard")));
      if (name === "dispatch.shed") trace.broken(`${id} sheds an event`);
    },
    start() {},
    stop() {},
    totals: () => {
      throw new Error("nobody asks for totals");
    },
  };
  const lifecycle = createLifecycle({ clock, telemetry });
  const environment = settings(options);
  let state: SimulatedTask["state"] = "runs";
  let perSecond: number | undefined;
  // Comes and goes within a minute, in each task at other times.
  const ahead = Number(/\d+/.exec(id)?.[0]) * 17_000;
  const demandAt = (now: number): number => 40 + 40 * Math.sin((now + ahead) / 9_000);

  const requestShares = createRequestShares({
    perSecond: LIMIT,
    address: () => null,
    own: () => ({ demand: demandAt(clock.now()), invalid: 0, ban: undefined }),
    heed(neighbours) {
      perSecond = neighbours.perSecond;
    },
    over() {
      perSecond = undefined;
    },
  });
  // Only what sets of shards ask of REST.
  const api: Partial<Api> = {
    bannedUntil: () => undefined,
    async askGateway(signal) {
      await clock.sleep(20 + random() * 300, signal);
      return discord.gatewayBot();
    },
    recommendedShards: async () => options.shards,
  };

  const definition: BotDefinition = { intents: [] };
  const sets: ShardSet[] = [];
  let leading = 0;

  const handler =
    (owner: string, set: () => ShardSet | undefined) =>
    async (data: unknown, { shard, sequence, signal }: { shard: number; sequence: number; signal: AbortSignal }) => {
      const shardCount = set()?.sharing?.shardCount() ?? 0;
      const event = String(Reflect.get(Object(data), "id"));
      const run: Run = { task, owner, event, shard, shardCount, sequence };
      trace.note(`${owner} starts ${event} (${shard} of ${shardCount}, ${sequence})`);
      options.handled("starts", run);
      await clock.sleep(random() < SLOW_SHARE ? random() * SLOWEST_MS : 20 + random() * 200, signal);
      trace.note(`${owner} ends ${event}`);
      options.handled("ends", run);
    };

  const makeSet = (beside: number | undefined): ShardSet => {
    const number = sets.length;
    const owner = beside === undefined ? id : `${id}+${number}`;
    const own: Ledger = beside === undefined ? ledger : createItemLedger(network.items, owner);
    const handle = handler(owner, () => sets[number]);
    const set = createShardSet({
      environment: beside === undefined ? environment : { ...environment, SHARD_COUNT: beside },
      definition,
      intents: 0,
      clock,
      random,
      telemetry,
      ledger: own,
      beside,
      leads: () => leading === number,
      api: api as Api,
      requestShares,
      openTunnel: undefined,
      connect: discord.connectFrom(machine),
      handlerOf: (type) => (type === "MESSAGE_CREATE" ? handle : undefined),
      onDispatch() {},
      onEdge() {},
      onFewerIntents() {},
      onNoShard: (problem) => trace.broken(problem),
      onRefusal: ({ fix }) => trace.broken(fix),
    });
    sets.push(set);
    return set;
  };

  const first = makeSet(undefined);
  const leader = (): ShardSet => sets[leading] ?? first;

  const resharding = createResharding({
    clock,
    telemetry,
    ledger,
    lifecycle,
    leading: leader,
    make(count) {
      const number = sets.length;
      return {
        set: makeSet(count),
        lead() {
          leading = number;
        },
      };
    },
  });

  const setOut = async (): Promise<void> => {
    lifecycle.enter({ phase: "running" });
    const fleet = first.shards.open([], undefined, 0);
    await untilReachable({ clock, telemetry, signal: lifecycle.over }, async () => first.sharing?.join());
    if (!lifecycle.over.aborted) await resharding.start();
    if (lifecycle.over.aborted) return first.sharing?.end();
    fleet.start();
    first.sharing?.start();
    first.checkpoint.start();
  };

  const task: SimulatedTask = {
    id,
    machine,
    network,
    telemetry: recorded,
    leading() {
      const { sharing, shards } = leader();
      return { shardCount: sharing?.shardCount(), ready: shards.fleet()?.status().ready ?? 0 };
    },
    get perSecond() {
      return perSecond;
    },
    get state() {
      return state;
    },
    async run() {
      try {
        await setOut();
      } catch (error) {
        // Whoever ended it has also ended what it waited for.
        if (!lifecycle.over.aborted) throw error;
      }
    },
    async stop(drainMs) {
      await machine.awake();
      if (state !== "runs") return;
      state = "draining";
      trace.note(`${id} is told to end`);
      lifecycle.enter({ phase: "ending" });
      const { shards, dispatcher, sharing, checkpoint } = leader();
      checkpoint.stop();
      dispatcher.stopStarting();
      const late = new AbortController();
      const cancel = clock.schedule(drainMs, () => late.abort(new Error("drained")));
      void sharing?.leave(late.signal);
      const aside = resharding.stop(true, late.signal);
      await shards.fleet()?.stop({ keepSessions: true });
      await dispatcher.drained(late.signal).catch(() => {});
      lifecycle.release();
      await Promise.all([checkpoint.insist(late.signal).then(() => sharing?.end(late.signal)), aside]);
      cancel();
      trace.note(`${id} has ended`);
      state = "over";
      machine.kill();
      discord.died(machine);
    },
    kill() {
      trace.note(`${id} is killed`);
      state = "over";
      machine.kill();
      discord.died(machine);
    },
  };
  return task;
}

function settings({ tasks, loss }: TaskOptions): Environment {
  const parsed = parseEnvironment({
    DISCORD_TOKEN: "simulated",
    LEDGER: "dynamodb:simulated",
    GATEWAY_COMPRESSION: "none",
    // A number of its own would be this task's say in how many there are, once it is alone.
    SHARD_COUNT: "auto",
    TASKS: String(tasks),
    LEDGER_LOSS: loss,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.environment;
}
