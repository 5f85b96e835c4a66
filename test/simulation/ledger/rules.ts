// What must hold of several tasks, and what a crash, a sleep or a partition excuses: the judge of a history.

import { eventIdentity } from "../../../bot/ledger/eventClaims.ts";
import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import { leaseFrom, taskFrom } from "../../../bot/ledger/leaseRecords.ts";
import type { VirtualClock } from "../../virtualClock.ts";
import type { Trace } from "../gateway/trace.ts";
import type { GatewaySession } from "./discord.ts";
import { LIMIT, type Run, type SimulatedTask } from "./task.ts";

/** A crash may repeat what was handled after the last checkpoint, and a checkpoint takes a moment to arrive. */
const CHECKPOINT_MS = 5_000 + 1_000;
/** How long after a cut both sides may still think that they own a shard: until the next beat is answered. */
const AFTER_CUT_MS = 12_000;
/** A new session is written down at once, which takes a ledger in order so long at most. */
const SAVED_MS = 2_000;

interface Interruption {
  readonly task: SimulatedTask;
  /** asleep: it must not act once it wakes. away: the ledger is out of its reach, or it is killed. */
  readonly kind: "asleep" | "away";
  readonly from: number;
  readonly until: number;
}

interface Started {
  readonly run: Run;
  readonly startedAt: number;
  endedAt: number | undefined;
}

export interface Judge {
  handled(what: "starts" | "ends", run: Run): void;
  /** An event is on its way to whoever runs the guild's shards. */
  said(event: string): void;
  /** A task skips an event for good, since processes died on it. */
  poisoned(shard: number, sequence: number): void;
  taken(task: SimulatedTask, shard: number): void;
  interrupted(task: SimulatedTask, kind: Interruption["kind"], forMs: number): void;
  /** What tasks may send together, at this moment. */
  addUp(tasks: readonly SimulatedTask[]): void;
  /** Events that no handler has finished yet. */
  unfinished(): number;
  /** Once all is quiet. @param before how many shards there were before the last change of their number */
  sum(sessions: readonly GatewaySession[], before: number | undefined): Promise<void>;
  readonly events: number;
  /** Handlers that started while their task, out of the ledger's reach, did not own the shard any more. */
  readonly overlaps: number;
  /** Events that a process of an old set had claimed and not finished when it ended: nobody begins that set again. */
  readonly leftBehind: number;
}

export interface JudgeParts {
  readonly world: VirtualClock;
  readonly truth: Items;
  readonly trace: Trace;
  /** Whether two sets of shards claim what they handle. */
  isClaiming(): boolean;
}

export function createJudge({ world, truth, trace, isClaiming }: JudgeParts): Judge {
  const { values } = createItemLedger(truth, "judge");
  const said: string[] = [];
  const runs = new Map<string, Started[]>();
  const poison = new Set<string>();
  const taken: { readonly task: SimulatedTask; readonly shard: number; readonly at: number }[] = [];
  const interruptions: Interruption[] = [];
  const overlapped = new Map<SimulatedTask, number>();
  let overlaps = 0;
  let leftBehind = 0;

  const during = (task: SimulatedTask, at: number, kind?: Interruption["kind"]): boolean =>
    interruptions.some(
      (one) =>
        one.task === task &&
        (kind === undefined || one.kind === kind) &&
        one.from - CHECKPOINT_MS <= at &&
        at <= one.until + AFTER_CUT_MS,
    );

  /** Whether a task owns the shard, or has said that it sees the event through though the shard is another's. */
  const owns = async ({ task, owner, shard, shardCount, sequence }: Run): Promise<boolean> => {
    const items = await truth.list("task");
    const record = items.flatMap((item) => (item.id === owner ? (taskFrom(item)?.record ?? []) : []))[0];
    if (record?.running.some(([of, event]) => of === shard && event === sequence)) return true;
    const item = await truth.get("shard", `${shardCount}/${shard}`);
    // Shards of a set that another follows are nobody else's any more, also while it finishes.
    const isLast = record?.state === "draining" && shardCount !== task.leading().shardCount;
    return (record?.state === "active" || isLast) && item !== undefined && leaseFrom(item)?.owner === owner;
  };

  const look = async (run: Run): Promise<void> => {
    const at = world.now();
    // A claim may be answered after the shard was lost; its handler starts all the same.
    if ((await owns(run)) || run.task.state !== "runs" || isClaiming()) return;
    if (during(run.task, at, "away")) {
      overlaps++;
      overlapped.set(run.task, at);
    } else trace.broken(`${run.owner} starts ${run.event} of shard ${run.shard}, which is not its own`);
  };

  /** The set of shards that has claimed the event. */
  const claimant = (event: string): Promise<string | undefined> =>
    values.read(`event ${eventIdentity("MESSAGE_CREATE", { id: event })}`, world.wall());

  /** Tasks that had a shard in that time. */
  const holders = (shard: number, from: number, until: number): readonly SimulatedTask[] => {
    const takers = taken.filter((one) => one.shard === shard && one.at <= until);
    const first = takers.findLastIndex(({ at }) => at <= from);
    return takers.slice(Math.max(0, first)).map(({ task }) => task);
  };

  /** What crosses an interruption is handled at least once; the bot module's claims catch the second time. */
  const isExcused = (all: readonly Started[]): boolean => {
    const from = Math.min(...all.map(({ startedAt }) => startedAt));
    return all.some(({ run: { task, shard } }) =>
      [task, ...holders(shard, from, world.now())].some((one) =>
        interruptions.some(
          ({ task: of, from: cutAt, until }) =>
            of === one && cutAt - CHECKPOINT_MS <= world.now() && from <= until + AFTER_CUT_MS,
        ),
      ),
    );
  };

  /** Whoever ran it was killed, or taken for dead, meanwhile. */
  const isFatal = ({ run, startedAt, endedAt }: Started): boolean =>
    interruptions.some(
      ({ task, from, until }) =>
        task === run.task && startedAt <= until + AFTER_CUT_MS && from - CHECKPOINT_MS <= (endedAt ?? world.now()),
    );

  /** An IDENTIFY where a RESUME would have done: the session before was READY, and written down in peace. */
  const isNeedless = ({ readyAt, identifiedAt, machine }: GatewaySession): boolean =>
    readyAt !== undefined &&
    !interruptions.some(
      ({ task, from, until }) => task.machine === machine && from <= readyAt + SAVED_MS && identifiedAt <= until,
    );

  const isDone = (event: string): boolean =>
    poison.has(event) || (runs.get(event)?.some(({ endedAt }) => endedAt !== undefined) ?? false);

  return {
    handled(what, run) {
      const before = runs.get(run.event) ?? [];
      if (what === "starts") {
        runs.set(run.event, [...before, { run, startedAt: world.now(), endedAt: undefined }]);
        void look(run);
        return;
      }
      const mine = before.find((one) => one.run === run);
      if (mine !== undefined) mine.endedAt = world.now();
      const ends = before.filter(({ endedAt }) => endedAt !== undefined);
      // An interruption that excuses it is known by the time of the second end.
      if (ends.length > 1 && !isExcused(before)) {
        trace.broken(`${run.event} is handled ${ends.length} times: by ${ends.map((one) => one.run.owner).join(", ")}`);
      }
    },
    poisoned(shard, sequence) {
      // A death counts from when the start is written down, which the handler may not live to see.
      const found = [...runs].findLast(([, all]) =>
        all.some((one) => one.run.shard === shard && one.run.sequence === sequence && isFatal(one)),
      );
      if (found === undefined) trace.broken(`${sequence} of shard ${shard} is poison, and nobody died on it`);
      else poison.add(found[0]);
    },
    taken: (task, shard) => void taken.push({ task, shard, at: world.now() }),
    said: (event) => void said.push(event),
    interrupted(task, kind, forMs) {
      interruptions.push({ task, kind, from: world.now(), until: world.now() + forMs });
    },
    addUp(tasks) {
      const alive = tasks.filter((task) => task.state !== "over" && task.perSecond !== undefined);
      // One that sleeps or is cut off keeps its share, and is taken for dead meanwhile.
      if (alive.some((task) => during(task, world.now()))) return;
      // Whoever has just come takes one a second before it is dealt in.
      const most = LIMIT + alive.filter(({ perSecond }) => perSecond === 1).length;
      const sum = alive.reduce((all, { perSecond }) => all + (perSecond ?? 0), 0);
      if (sum > most) trace.broken(`${alive.map((task) => `${task.id} ${task.perSecond}`).join(", ")} a second`);
    },
    unfinished: () => said.filter((event) => !isDone(event)).length,
    async sum(sessions, before) {
      for (const event of said) {
        if (isDone(event)) continue;
        if (before !== undefined && (await claimant(event)) === String(before)) leftBehind++;
        else trace.broken(`${event} is lost`);
      }
      for (const [task, at] of overlapped) {
        const isCounted = (task.telemetry.counts.get("LeasesLost") ?? 0) > 0 || task.state === "over";
        if (!isCounted) trace.broken(`${task.id} ran another's shard at ${at} ms and never told`);
      }
      const places = Map.groupBy(sessions, ({ shard, shardCount }) => `${shard} of ${shardCount}`);
      for (const [place, all] of places) {
        if (all.slice(0, -1).some(isNeedless)) trace.broken(`${place} identified ${all.length} times`);
      }
    },
    get events() {
      return said.length;
    },
    get overlaps() {
      return overlaps;
    },
    get leftBehind() {
      return leftBehind;
    },
  };
}
