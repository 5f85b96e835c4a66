// Who runs which shard: from what a task reads of the others, what it may take, must give and calls dead (pure).

import type { ShardLease, Task } from "./leaseRecords.ts";

/** Each task moves its own item so often. */
export const BEAT_MS = 3_000;
/**
 * A task whose item has not moved for so long, while somebody watched, is dead. Three beats may be lost; the figures
 * are those of AWS's own lock client (10 s) and well within the time that Discord keeps a session.
 */
export const LEASE_MS = 10_000;
/** A holder trusts its last beat for less, since the two clocks may drift and a beat travels. */
export const SURE_MS = LEASE_MS - 1_000;
/** Nobody asks any more what a task left that ended so long ago; Discord has given its sessions up. */
export const CLEAR_MS = 600_000;
/** Whoever has not looked for so long has watched nothing. */
const WATCHING_MS = 2 * BEAT_MS;
/** Shards are read when somebody says that they moved, and so often in any case. */
const READ_ANYWAY_MS = 60_000;

export interface LeaseOptions {
  /** This task. */
  readonly id: string;
  /** Tasks that share the shards; whoever comes later waits until one of them leaves. */
  readonly tasks: number;
}

export interface Claim {
  readonly shard: number;
  /** The fence that is replaced; undefined: the shard has no item yet. */
  readonly expected: number | undefined;
  /** Whose it was. */
  readonly from: string | null;
}

export interface LeaseStep {
  /** Unmoved for a whole lease: to be declared dead, if they still have not moved. */
  readonly bury: readonly Task[];
  /** Ended long ago: what they left may go. */
  readonly clear: readonly Task[];
  readonly claim: readonly Claim[];
  /** To be given away, since others ask. */
  readonly release: readonly number[];
  /** This task's by the ledger alone, as when giving it away failed half-way: to be freed, or nobody could take it. */
  readonly stray: readonly number[];
  /** What this task wants of others. */
  readonly asks: number;
  /** Shards must be read before anything is claimed. */
  readonly needsShards: boolean;
  /** Something may be free any moment: look often. */
  readonly hurry: boolean;
}

export interface LeaseTable {
  /**
   * The items of all tasks. Times are of a clock that stands still while the machine does.
   * @param set how many shards this task's set has; undefined: not known yet
   */
  tasksRead(tasks: readonly Task[], sentAt: number, answeredAt: number, set?: number): void;
  /** The items of all shards, read after the tasks last read. */
  shardsRead(leases: readonly ShardLease[], shardCount: number, now: number): void;
  /** This task's claim was written under that fence. */
  taken(shard: number, fence: number): void;
  /** Another claim came first. */
  missed(): void;
  /** This task no longer owns it. */
  given(shard: number): void;
  /** The fence of each shard that this task owns. */
  readonly held: ReadonlyMap<number, number>;
  /** Tasks that run shards of this set or would, in order: the first `tasks` of those that are active. */
  working(): readonly Task[];
  /**
   * @param identifying shards whose IDENTIFY is under way: given away now, each would cost its next owner another
   */
  step(identifying?: ReadonlySet<number>): LeaseStep;
}

/** Whether a task shares the shards of a set; who does not say so is of an older version, or new, and may. */
export const isOfSet = ({ set }: Task["record"], count: number | undefined): boolean =>
  set === undefined || count === undefined || set.count === count;

interface Sight {
  version: number;
  since: number;
}

export function leaseTable({ id, tasks: desired }: LeaseOptions): LeaseTable {
  const held = new Map<number, number>();
  // As many as there are task items.
  const sights = new Map<string, Sight>();
  let tasks: readonly Task[] = [];
  let set: number | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let leases: ReadonlyMap<number, ShardLease> = new Map();
  let shardCount = 0;
  let shardsReadAt = Number.NEGATIVE_INFINITY;
  let picture = "";
  let pictureOfShards: string | undefined;

  const lives = ({ record }: Task): boolean => record.state === "active" || record.state === "draining";
  const unmovedFor = (task: Task): number => lookedAt - (sights.get(task.id)?.since ?? lookedAt);

  const working = (): readonly Task[] =>
    tasks
      .filter(({ record }) => record.state === "active" && isOfSet(record, set))
      .sort((one, other) => one.record.rank - other.record.rank || (one.id < other.id ? -1 : 1))
      .slice(0, desired);

  const share = (place: number, sharers: number): number =>
    place < 0 ? 0 : Math.floor(shardCount / sharers) + (place < shardCount % sharers ? 1 : 0);

  const freeShards = (): Claim[] => {
    const known = new Map(tasks.map((task) => [task.id, task.record]));
    /** Whether who took a shard, being in that term, may have it still. */
    const may = (owner: string, term: number): boolean => {
      const record = known.get(owner);
      if (record !== undefined && record.rank >= term) return record.state === "active" && record.rank === term;
      // It has joined since the tasks were read, or was cleared away long ago: the next look tells.
      return lookedAt <= shardsReadAt;
    };
    const free: Claim[] = [];
    for (let shard = 0; shard < shardCount; shard++) {
      const lease = leases.get(shard);
      // What is this task's own and not held is a claim whose answer was lost, or was let go without a word.
      const { owner = null, term = 0 } = lease ?? {};
      const taken = owner !== null && owner !== id && may(owner, term);
      if (taken || held.has(shard)) continue;
      free.push({ shard, expected: lease?.fence, from: lease?.owner ?? lease?.from ?? null });
    }
    return free;
  };

  return {
    held,
    working,
    tasksRead(read, sentAt, answeredAt, count) {
      set = count;
      const blind = sentAt - lookedAt > WATCHING_MS;
      lookedAt = sentAt;
      tasks = read;
      const known = new Set(read.map((task) => task.id));
      for (const gone of sights.keys()) if (!known.has(gone)) sights.delete(gone);
      for (const { id: task, version } of read) {
        const sight = sights.get(task);
        if (blind || sight?.version !== version) sights.set(task, { version, since: answeredAt });
      }
      picture = JSON.stringify(read.map(({ id: task, record }) => [task, record.state, record.moves]));
    },
    shardsRead(read, count, now) {
      shardCount = count;
      leases = new Map(read.filter((lease) => lease.shardCount === count).map((lease) => [lease.shard, lease]));
      shardsReadAt = now;
      pictureOfShards = picture;
    },
    taken(shard, fence) {
      held.set(shard, fence);
      leases = new Map(leases).set(shard, { shard, shardCount, fence, owner: id, term: 0, from: null });
    },
    missed() {
      pictureOfShards = undefined;
    },
    given(shard) {
      held.delete(shard);
      pictureOfShards = undefined;
    },
    step(identifying = new Set()) {
      const others = tasks.filter((task) => task.id !== id);
      const bury = others.filter((task) => lives(task) && unmovedFor(task) >= LEASE_MS);
      const clear = others.filter((task) => !lives(task) && unmovedFor(task) >= CLEAR_MS);
      const sharers = working();
      const place = sharers.findIndex((task) => task.id === id);
      const mine = share(place, sharers.length);
      const needsShards = pictureOfShards !== picture || lookedAt - shardsReadAt >= READ_ANYWAY_MS;
      if (needsShards)
        return { bury, clear, claim: [], release: [], stray: [], asks: 0, needsShards, hurry: place < 0 };
      const missing = Math.max(0, mine - held.size);
      const free = freeShards();
      // Each begins at a place of its own, so that they seldom reach for the same ones.
      const from = Math.floor((free.length * Math.max(0, place)) / Math.max(1, sharers.length));
      const claim = [...free.slice(from), ...free.slice(0, from)].slice(0, missing);
      const wanted = sharers.reduce((sum, task) => sum + (task.id === id ? 0 : task.record.asks), 0);
      const surplus = Math.max(0, Math.min(held.size - mine, wanted));
      const movable = [...held.keys()].filter((shard) => !identifying.has(shard)).sort((one, other) => one - other);
      const release = surplus === 0 ? [] : movable.slice(-surplus);
      const stray = free
        .map(({ shard }) => shard)
        .filter((shard) => leases.get(shard)?.owner === id && !claim.some((one) => one.shard === shard));
      const asks = missing - claim.length;
      const hurry = place < 0 || missing > 0 || release.length < surplus;
      return { bury, clear, claim, release, stray, asks, needsShards, hurry };
    },
  };
}
