// One task of the bot: the real leases, dispatcher and checkpoint on a simulated machine, with a fleet that only replays.

import { createCheckpoint } from "../../../bot/checkpoint.ts";
import type { Clock } from "../../../bot/clock.ts";
import { createDispatcher } from "../../../bot/gateway/dispatch.ts";
import type { Fleet } from "../../../bot/gateway/fleet.ts";
import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { createSharing } from "../../../bot/sharing.ts";
import { recordingTelemetry } from "../../bot/telemetry/recordingTelemetry.ts";
import type { Listener, SmallDiscord } from "./discord.ts";
import { createMachine, type Machine } from "./machine.ts";
import { createNetwork, type Network } from "./network.ts";

export interface TaskOptions {
  readonly id: string;
  readonly world: Clock;
  readonly truth: Items;
  readonly discord: SmallDiscord;
  readonly random: () => number;
  readonly tasks: number;
  readonly shards: number;
  readonly loss: "hold" | "stop";
  /** A handler starts, or ends. */
  handler(what: "starts" | "ends", task: SimulatedTask, event: string, shard: number): void;
}

export interface SimulatedTask {
  readonly id: string;
  readonly machine: Machine;
  readonly network: Network;
  readonly telemetry: ReturnType<typeof recordingTelemetry>;
  /** Shards whose connection it holds or wants. */
  readonly shards: ReadonlyMap<number, unknown>;
  run(): Promise<void>;
  /** Requests a second that it sends at most; undefined before it has joined. */
  readonly perSecond: number | undefined;
  /** As on SIGTERM: hands on, lets handlers finish for so long, ends. */
  stop(drainMs: number): Promise<void>;
  kill(): void;
  state: "runs" | "draining" | "over";
}

interface Attached {
  sessionId: string;
  /** The last dispatch received. */
  received: number;
  listener: Listener | undefined;
}

// How long a dial takes until RESUME or IDENTIFY is through, and until a lost connection is dialled again, ms.
const DIAL_MS = 60;
const REDIAL_MS = 1_000;
/** What all tasks together may send a second. */
export const LIMIT = 50;

export function createTask(options: TaskOptions): SimulatedTask {
  const { id, world, discord, random } = options;
  // Clocks of machines that keep time by NTP: parts of a thousand, and hours where somebody set them by hand.
  const machine = createMachine(world, 1 + (random() - 0.5) * 0.01, (random() - 0.5) * 7_200_000);
  const { clock } = machine;
  const network = createNetwork(world, machine, options.truth, random);
  const ledger = createItemLedger(network.items, id);
  const telemetry = recordingTelemetry();
  const shards = new Map<number, Attached>();
  let state: SimulatedTask["state"] = "runs";
  let perSecond: number | undefined;
  // Comes and goes within a minute, in each task at other times.
  const ahead = Number(/\d+/.exec(id)?.[0]) * 17_000;
  const demandAt = (now: number): number => 40 + 40 * Math.sin((now + ahead) / 9_000);

  const dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: (type) =>
      type !== "MESSAGE_CREATE"
        ? undefined
        : async (_data, { shard, sequence, signal }) => {
            const event = `${shards.get(shard)?.sessionId ?? lastSession.get(shard)}/${sequence}`;
            options.handler("starts", task, event, shard);
            await clock.sleep(random() < 0.05 ? 4_000 : 20 + random() * 200, signal);
            options.handler("ends", task, event, shard);
          },
    key: (_type, _data, shard) => `${shard}.${Math.floor(random() * 3)}`,
    waitDeadlineMs: 300_000,
    runDeadlineMs: 900_000,
    mayStart: () => sharing.mayAct(),
    settled: () => sharing.settled(),
  });
  const lastSession = new Map<number, string>();

  const connect = (shard: number, attached: Attached, delayMs: number): void => {
    clock.schedule(delayMs, () => {
      if (shards.get(shard) !== attached || state === "over") return;
      const listener: Listener = {
        event(sequence, type) {
          // What arrives at a machine that is suspended waits in its socket.
          void machine.awake().then(() => {
            if (attached.listener !== listener || shards.get(shard) !== attached) return;
            attached.received = sequence;
            dispatcher.dispatch(shard, sequence, type, {});
          });
        },
        superseded() {
          void machine.awake().then(() => {
            if (attached.listener === listener) connect(shard, attached, REDIAL_MS * (1 + random()));
          });
        },
      };
      attached.listener = listener;
      if (attached.sessionId !== "" && discord.resume(shard, attached.sessionId, attached.received, listener)) return;
      attached.received = 0;
      dispatcher.onSession(shard, "dropped", 0);
      attached.sessionId = discord.identify(shard, listener);
      lastSession.set(shard, attached.sessionId);
    });
  };

  const close = (shard: number): Attached | undefined => {
    const attached = shards.get(shard);
    shards.delete(shard);
    if (attached?.listener !== undefined) discord.leave(shard, attached.listener);
    return attached;
  };

  const stored = (shard: number, { sessionId, received }: Attached): StoredSession[] => {
    if (sessionId === "") return [];
    const position = dispatcher.position(shard);
    const { finished = received, finishedAbove = [], unfinished = [] } = position ?? {};
    return [
      {
        shard,
        shardCount: options.shards,
        sessionId,
        resumeGatewayUrl: "wss://simulated",
        sequence: finished,
        finishedAbove,
        unfinished,
        intents: 0,
        tokenHash: "simulated",
        writtenAt: clock.wall(),
      },
    ];
  };

  const fleet = {
    status: () => ({
      shards: [...shards].map(([shard, { sessionId }]) => ({ shard, state: sessionId === "" ? "identifying" : "ready" })),
    }),
    sessions: () => [...shards].flatMap(([shard, attached]) => stored(shard, attached)),
    take(shard: number, _count: number, session: StoredSession | undefined) {
      const attached = { sessionId: session?.sessionId ?? "", received: session?.sequence ?? 0, listener: undefined };
      shards.set(shard, attached);
      lastSession.set(shard, attached.sessionId);
      connect(shard, attached, DIAL_MS);
    },
    async giveUp(ids: readonly number[]) {
      return ids.flatMap((shard) => {
        const attached = close(shard);
        return attached === undefined ? [] : stored(shard, attached);
      });
    },
  };

  const sharing = createSharing({
    clock,
    telemetry,
    ledger,
    shared: { items: network.items, task: id },
    dispatcher,
    checkpoint: () => checkpoint,
    // Only what leases use of a fleet.
    fleet: () => fleet as unknown as Fleet,
    tasks: options.tasks,
    loss: options.loss,
    configured: options.shards,
    recommended: async () => options.shards,
    requests: {
      perSecond: LIMIT,
      address: () => null,
      own: () => ({ demand: demandAt(clock.now()), invalid: 0, ban: undefined }),
      heed(neighbours) {
        perSecond = neighbours.perSecond;
      },
    },
  });
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions: sharing.sessions });

  const task: SimulatedTask = {
    id,
    machine,
    network,
    telemetry,
    shards,
    get perSecond() {
      return perSecond;
    },
    get state() {
      return state;
    },
    set state(next) {
      state = next;
    },
    async run() {
      for (;;) {
        try {
          await sharing.join();
          break;
        } catch {
          await clock.sleep(2_000);
        }
      }
      if (state !== "runs") return;
      sharing.start();
      checkpoint.start();
    },
    async stop(drainMs) {
      await machine.awake();
      if (state !== "runs") return;
      state = "draining";
      checkpoint.stop();
      dispatcher.stopStarting();
      void sharing.leave();
      const late = new AbortController();
      const cancel = clock.schedule(drainMs, () => late.abort(new Error("drained")));
      for (const [shard, attached] of shards) {
        if (attached.listener !== undefined) discord.leave(shard, attached.listener);
        attached.listener = undefined;
      }
      await dispatcher.drained(late.signal).catch(() => {});
      cancel();
      await checkpoint.write();
      await sharing.end();
      state = "over";
    },
    kill() {
      state = "over";
      for (const shard of [...shards.keys()]) close(shard);
      machine.kill();
    },
  };
  return task;
}
