// Events that cross a hand-over: what the one who gives a shard away tells, and what the one who takes it waits for (pure).

import type { EventId, Task } from "./leaseRecords.ts";

/** finished: its handler has ended, drop the event. run: it never will, start it. */
export type Outcome = "finished" | "run";

/** Shards that this task has given away. */
export interface GivenAway {
  /** @param running the sequences whose handlers run at this moment. */
  give(shard: number, running: readonly number[]): void;
  /** The shard is this task's again. */
  takeBack(shard: number): void;
  /** @param running the sequences of a shard whose handlers run now. */
  report(running: (shard: number) => readonly number[]): {
    readonly running: readonly EventId[];
    readonly finished: readonly EventId[];
  };
}

export function givenAway(): GivenAway {
  // As many as there are shards, each with at most as many events as handlers may run at once.
  const given = new Map<number, readonly number[]>();
  return {
    give: (shard, running) => void given.set(shard, running),
    takeBack: (shard) => void given.delete(shard),
    report(running) {
      const all = [...given].flatMap(([shard, sequences]) => {
        const still = new Set(running(shard));
        return sequences.map((sequence) => ({ event: [shard, sequence] as const, runs: still.has(sequence) }));
      });
      return {
        running: all.filter(({ runs }) => runs).map(({ event }) => event),
        finished: all.filter(({ runs }) => !runs).map(({ event }) => event),
      };
    },
  };
}

/** Events that other tasks' handlers still run. */
export interface Predecessors {
  /** What tasks say now; settles what that decides. */
  tasksRead(tasks: readonly Task[]): void;
  /**
   * What a task said of a shard when its lease was taken from it. `cutOff`: its drain ended before these did. `died`: it
   * went without a word.
   */
  of(
    task: string | null,
    shard: number,
  ): {
    readonly finished: readonly number[];
    readonly running: readonly number[];
    readonly cutOff: readonly number[];
    readonly died: boolean;
  };
  /** Settles when the task says that the event is finished, or is no more. */
  outcome(task: string, event: EventId): Promise<Outcome>;
  /** Takes note of what is waited for now; what still is when the returned function is called counts as `run`. */
  patience(): () => void;
  readonly waiting: number;
}

// Tasks that follow each other within one handler's run; more of them are no deploys any more.
const LONGEST_CHAIN = 8;

/** @param self this task, for which nobody waits here. */
export function predecessors(self: string): Predecessors {
  let known = new Map<string, Task>();
  const waits = new Set<{ task: string; event: EventId; settle: (outcome: Outcome) => void }>();

  const outcomeOf = (task: string, event: EventId, chain = LONGEST_CHAIN): Outcome | undefined => {
    const [shard, sequence] = event;
    const record = known.get(task)?.record;
    const among = (events: readonly EventId[]): boolean => events.some(([s, q]) => s === shard && q === sequence);
    if (record === undefined) return "run";
    if (among(record.finished)) return "finished";
    // Who has not begun it itself says who had: that one may outlive it.
    const before = record.awaits?.find(([s, q]) => s === shard && q === sequence)?.[2];
    if (before !== undefined && before !== self && chain > 0) {
      const outcome = outcomeOf(before, event, chain - 1);
      if (outcome !== "run") return outcome;
    }
    // It has never met the event, and only tells whom to ask.
    if (before !== undefined && !among(record.running)) return "run";
    if (record.state !== "active" && record.state !== "draining") return "run";
    // Whoever lives and speaks no more of an event that it had begun has the shard again, and sees to it itself.
    return among(record.running) ? undefined : "finished";
  };

  return {
    tasksRead(tasks) {
      known = new Map(tasks.map((task) => [task.id, task]));
      for (const wait of waits) {
        const outcome = outcomeOf(wait.task, wait.event);
        if (outcome === undefined) continue;
        waits.delete(wait);
        wait.settle(outcome);
      }
    },
    of(task, shard) {
      const record = task === null ? undefined : known.get(task)?.record;
      const mine = (events: readonly EventId[] = []): number[] =>
        events.filter(([other]) => other === shard).map(([, sequence]) => sequence);
      const awaited = (record?.awaits ?? []).map(([of, sequence]): EventId => [of, sequence]);
      const begun = [...new Set([...mine(record?.running), ...mine(awaited)])].map((sequence) => {
        return { sequence, outcome: outcomeOf(task ?? "", [shard, sequence]) };
      });
      const those = (wanted: Outcome | undefined): number[] =>
        begun.filter(({ outcome }) => outcome === wanted).map(({ sequence }) => sequence);
      return {
        finished: [...mine(record?.finished), ...those("finished")],
        running: those(undefined),
        cutOff: record?.state === "gone" ? those("run") : [],
        died: record?.state === "dead",
      };
    },
    outcome: (task, event) => new Promise((settle) => waits.add({ task, event, settle })),
    patience() {
      const asked = [...waits];
      return () => {
        for (const wait of asked) if (waits.delete(wait)) wait.settle("run");
      };
    },
    get waiting() {
      return waits.size;
    },
  };
}
