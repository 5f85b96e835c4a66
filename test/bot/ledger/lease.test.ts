// Who runs which shard: the pure table of leases, and the one rule of what crosses a hand-over.

import { describe, expect, it } from "vitest";
import { elapsedMeter } from "../../../bot/ledger/elapsed.ts";
import { givenAway, predecessors } from "../../../bot/ledger/handover.ts";
import { leaseTable } from "../../../bot/ledger/lease.ts";
import type { ShardLease, Task, TaskRecord } from "../../../bot/ledger/leaseRecords.ts";

const task = (id: string, rank: number, given: Partial<TaskRecord> = {}, version = 1): Task => ({
  id,
  version,
  record: {
    rank,
    state: "active",
    moves: 0,
    asks: 0,
    address: null,
    demand: 0,
    invalid: 0,
    running: [],
    finished: [],
    ...given,
  },
});

const owned = (shard: number, owner: string | null, from: string | null = null): ShardLease => ({
  shard,
  shardCount: 8,
  fence: 1,
  owner,
  // The rank of `other` where a test has one.
  term: 1,
  from,
});

/** A table of task `me` that has just read these. */
function table(tasks: readonly Task[], leases: readonly ShardLease[], desired = 2, count = 8) {
  const made = leaseTable({ id: "me", tasks: desired });
  made.tasksRead(tasks, 0, 0);
  made.shardsRead(leases, count, 0);
  return made;
}

describe("shares", () => {
  it.each([
    ["alone, all of them", [task("me", 1)], [], 1, 8],
    ["one of two, half of them", [task("me", 1), task("other", 2)], [], 2, 4],
    ["beyond the number of tasks, none", [task("other", 1), task("me", 2)], [], 1, 0],
    ["of a draining task, all of them", [task("other", 1, { state: "draining" }), task("me", 2)], ["other"], 1, 8],
    ["of a dead task, all of them", [task("other", 1, { state: "dead" }), task("me", 2)], ["other"], 1, 8],
    ["of a living task, none", [task("other", 1), task("me", 2)], ["other"], 2, 0],
    ["of a task that died and joined again, all of them", [task("me", 2), task("other", 3)], ["other"], 1, 8],
    ["not held and yet its own, as after a lost answer", [task("me", 2)], ["me"], 1, 8],
  ] as const)("%s", (_what, tasks, owners, desired, claims) => {
    const leases = owners.flatMap((owner) => Array.from({ length: 8 }, (_, shard) => owned(shard, owner)));
    expect(table(tasks, leases, desired).step().claim).toHaveLength(claims);
  });

  it.each([
    ["has joined since the tasks were read", []],
    ["has been dead and joined again since the tasks were read", [task("other", 0, { state: "dead" })]],
  ] as const)("of a task that %s, none before another look", (_what, others) => {
    const leases = Array.from({ length: 8 }, (_, shard) => owned(shard, "other"));
    const made = table([...others, task("me", 2)], leases);
    expect(made.step().claim).toEqual([]);
    made.tasksRead([...others, task("me", 2)], 150, 160);
    expect(made.step().claim).toHaveLength(8);
  });

  it("asks for what others hold beyond theirs, and takes it only once it is free", () => {
    const all = Array.from({ length: 8 }, (_, shard) => owned(shard, "other"));
    expect(table([task("other", 1), task("me", 2)], all).step()).toMatchObject({ asks: 4, claim: [], hurry: true });
    const four = all.map((lease) => (lease.shard < 4 ? lease : owned(lease.shard, null, "other")));
    const { claim, asks } = table([task("other", 1), task("me", 2)], four).step();
    expect(asks).toBe(0);
    expect(claim.map(({ shard }) => shard).sort()).toEqual([4, 5, 6, 7]);
    expect(claim.every(({ from, expected }) => from === "other" && expected === 1)).toBe(true);
  });

  it.each([
    ["nobody asks", 0, []],
    ["somebody asks for some", 2, [6, 7]],
    ["somebody asks for more than its share", 7, [4, 5, 6, 7]],
  ])("gives away, when %s", (_what, asks, released) => {
    const made = table([task("me", 1), task("other", 2, { asks })], []);
    for (let shard = 0; shard < 8; shard++) made.taken(shard, 1);
    expect(made.step().release).toEqual(released);
  });

  it("gives away none whose IDENTIFY is under way, and looks again soon", () => {
    const made = table([task("me", 1), task("other", 2, { asks: 4 })], []);
    for (let shard = 0; shard < 8; shard++) made.taken(shard, 1);
    expect(made.step(new Set([7, 5]))).toMatchObject({ release: [2, 3, 4, 6], hurry: false });
    expect(made.step(new Set([2, 3, 4, 5, 6, 7]))).toMatchObject({ release: [0, 1], hurry: true });
  });

  it("frees what is its own in the ledger alone, and what it does not want itself", () => {
    const all = Array.from({ length: 8 }, (_, shard) => owned(shard, shard < 5 ? "me" : "other"));
    const made = table([task("other", 1), task("me", 2)], all);
    for (const shard of [0, 1, 2, 3]) made.taken(shard, 1);
    expect(made.step()).toMatchObject({ claim: [], stray: [4] });
  });

  it("gives away nothing to a task that only waits", () => {
    const made = table([task("me", 1), task("other", 2, { asks: 8 })], [], 1);
    for (let shard = 0; shard < 8; shard++) made.taken(shard, 1);
    expect(made.step().release).toEqual([]);
  });

  it("reads the shards again when one of them has moved, and only then", () => {
    const made = table([task("me", 1), task("other", 2)], []);
    made.tasksRead([task("me", 1, {}, 2), task("other", 2, {}, 2)], 3_000, 3_000);
    expect(made.step().needsShards).toBe(false);
    made.tasksRead([task("me", 1, {}, 3), task("other", 2, { moves: 1 }, 3)], 6_000, 6_000);
    expect(made.step()).toMatchObject({ needsShards: true, claim: [] });
  });
});

describe("who is dead", () => {
  /** Looks every second; the other's item moves at the given seconds. */
  const watch = (moves: readonly number[], looks: readonly number[]) => {
    const made = table([task("me", 1), task("other", 2)], []);
    let version = 1;
    for (const second of looks) {
      version += moves.filter((move) => move === second).length;
      made.tasksRead([task("me", 1), task("other", 2, {}, version)], second * 1_000, second * 1_000);
    }
    return made.step().bury.map(({ id }) => id);
  };
  const everySecond = (until: number) => Array.from({ length: until }, (_, index) => index + 1);

  it.each([
    ["unmoved for a whole lease", [], everySecond(10), ["other"]],
    ["unmoved for less", [], everySecond(9), []],
    ["moved in time", [9], everySecond(18), []],
    ["moved, and then unmoved for a whole lease", [5], everySecond(15), ["other"]],
    ["unmoved, but nobody looked in between", [], [1, 2, 20], []],
    [
      "unmoved since somebody looks again",
      [],
      [1, 2, 20, ...everySecond(30).filter((second) => second > 20)],
      ["other"],
    ],
  ])("%s", (_what, moves, looks, dead) => {
    expect(watch(moves, looks)).toEqual(dead);
  });

  it("never buries itself or a task that has ended, and clears that one later", () => {
    const made = table([task("me", 1), task("gone", 2, { state: "gone" })], []);
    const tasks = [task("me", 1), task("gone", 2, { state: "gone" })];
    for (let at = 3_000; at < 600_000; at += 3_000) made.tasksRead(tasks, at, at);
    expect(made.step()).toMatchObject({ bury: [], clear: [] });
    made.tasksRead(tasks, 600_000, 600_000);
    expect(made.step()).toMatchObject({ bury: [], clear: [{ id: "gone" }] });
  });
});

describe("elapsed time", () => {
  it.each([
    ["both clocks go", 1_000, 1_000, 1_000],
    ["the machine was suspended", 0, 60_000, 60_000],
    ["the wall clock was set back", 1_000, -60_000, 1_000],
    ["the wall clock was set ahead", 1_000, 60_000, 60_000],
  ])("%s", (_what, monotonic, wall, elapsed) => {
    let [now, at] = [5, 1_000_000];
    const meter = elapsedMeter({ now: () => now, wall: () => at });
    now += monotonic;
    at += wall;
    expect(meter()).toBe(elapsed);
    now += 7;
    at += 7;
    expect(meter()).toBe(elapsed + 7);
  });
});

describe("events that cross a hand-over", () => {
  it("tells which of those that ran then still run", () => {
    const given = givenAway();
    given.give(3, [10, 12]);
    given.give(4, [7]);
    expect(given.report((shard) => (shard === 3 ? [12] : []))).toEqual({
      running: [[3, 12]],
      finished: [
        [3, 10],
        [4, 7],
      ],
    });
    given.takeBack(3);
    expect(given.report(() => [12])).toEqual({ running: [], finished: [[4, 7]] });
  });

  it.each([
    ["it says so", [task("old", 1, { state: "draining", finished: [[0, 5]] })], "finished"],
    ["its drain has ended before", [task("old", 1, { state: "gone", running: [[0, 5]] })], "run"],
    ["it is dead", [task("old", 1, { state: "dead", running: [[0, 5]] })], "run"],
    ["its item is gone", [], "run"],
    ["it speaks of others only, as when it has the shard again", [task("old", 1, { running: [[0, 6]] })], "finished"],
  ] as const)("waits for the predecessor until %s", async (_what, tasks, outcome) => {
    const before = predecessors("me");
    before.tasksRead([task("old", 1, { state: "draining", running: [[0, 5]] })]);
    expect(before.of("old", 0)).toEqual({ running: [5], finished: [], cutOff: [], died: false });
    const settled = before.outcome("old", [0, 5]);
    before.tasksRead([task("old", 1, { state: "draining", running: [[0, 5]] }, 2)]);
    expect(before.waiting).toBe(1);
    before.tasksRead(tasks);
    expect(before.waiting).toBe(0);
    expect(await settled).toBe(outcome);
  });

  const middle = (state: TaskRecord["state"]): Task =>
    task("middle", 2, { state, running: [[0, 5]], awaits: [[0, 5, "old"]] });

  it.each([
    [
      "that has ended, until the task that runs the event is through",
      "gone",
      [task("old", 1, { state: "gone", finished: [[0, 5]] })],
      "finished",
    ],
    [
      "that has ended, until the task that ran the event has ended too",
      "gone",
      [task("old", 1, { state: "gone", running: [[0, 5]] })],
      "run",
    ],
    [
      "that lives, and runs the event itself by now",
      "draining",
      [task("old", 1, { state: "dead", running: [[0, 5]] })],
      undefined,
    ],
  ] as const)("waits across a task %s", async (_what, state, others, outcome) => {
    const before = predecessors("me");
    before.tasksRead([task("old", 1, { state: "draining", running: [[0, 5]] }), middle(state)]);
    expect(before.of("middle", 0)).toEqual({ running: [5], finished: [], cutOff: [], died: false });
    const settled = before.outcome("middle", [0, 5]);
    before.tasksRead([...others, middle(state)]);
    expect(before.waiting).toBe(outcome === undefined ? 1 : 0);
    if (outcome !== undefined) expect(await settled).toBe(outcome);
  });

  it.each([
    ["runs it", { running: [[0, 5]] }, { running: [5], finished: [] }],
    ["has finished it", { finished: [[0, 5]] }, { running: [], finished: [5] }],
    ["has ended", { state: "gone", running: [[0, 5]] }, { running: [], finished: [] }],
  ] as const)("asks the task before one that never met the event: it %s", (_what, old, known) => {
    const before = predecessors("me");
    before.tasksRead([task("old", 1, old), task("middle", 2, { awaits: [[0, 5, "old"]] })]);
    expect(before.of("middle", 0)).toMatchObject(known);
  });

  it("waits for nobody that waits for itself", () => {
    const before = predecessors("old");
    before.tasksRead([task("old", 1), middle("gone")]);
    expect(before.of("middle", 0)).toEqual({ running: [], finished: [], cutOff: [5], died: false });
  });
});
