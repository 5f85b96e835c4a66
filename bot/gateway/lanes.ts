// Events that wait for a handler, a lane for each key: one at a time in a lane, lanes side by side (pure).

import { Chain, type Link } from "./chain.ts";

/** Whatever waits; two with one key never run at the same time. */
export interface Keyed {
  readonly key: string;
}

/** Who waits, who may start next, who has to go. Its size is bounded by the caller, who sheds. */
export interface Lanes<Job extends Keyed> {
  /** How many wait. */
  readonly waiting: number;
  /** In how many lanes a job waits or runs. */
  readonly lanes: number;
  /** Puts a job at the end of its lane. */
  add(job: Job): void;
  /** Whether a job of this key need not wait, since nothing of its key waits or runs. */
  isFree(key: string): boolean;
  /** Closes the lane of a key that is free until `release`: a job of it runs. */
  begin(key: string): void;
  /**
   * Takes the job that has waited longest among the lanes in which none runs; its lane is closed until `release`.
   * @param may which of them may go; by default all
   */
  next(may?: (job: Job) => boolean): Job | undefined;
  /** The running job of a lane is over. */
  release(key: string): void;
  /** The job that has waited longest of all, left where it is. */
  oldest(): Job | undefined;
  /** The longest lane's oldest job, left where it is. */
  crowded(): Job | undefined;
  /** Removes a job that `oldest` or `crowded` named. */
  remove(job: Job): void;
}

// Keys come back: as many lanes are kept idle as a busy bot has channels under way, at some 150 bytes each.
const MOST_IDLE = 4_096;

interface Entry<Job> {
  readonly job: Job;
  readonly order: number;
  /** In the chain of all that waits. */
  readonly place: Link<Job>;
}

interface Lane<Job> {
  readonly key: string;
  readonly entries: Entry<Job>[];
  running: boolean;
  /** Among the lanes of its length, while something waits. */
  place: Link<Lane<Job>> | undefined;
}

export function createLanes<Job extends Keyed>(): Lanes<Job> {
  const lanes = new Map<string, Lane<Job>>();
  // By arrival.
  const waiting = new Chain<Job>();
  // Lanes whose first job may start, by that job's arrival.
  const startable: Lane<Job>[] = [];
  // byLength[n] holds the lanes with n jobs waiting; a lane's length changes by one, so the longest is always at hand.
  const byLength: Chain<Lane<Job>>[] = [];
  let longest = 0;
  let arrivals = 0;
  let idle = 0;

  const laneOf = (key: string): Lane<Job> => {
    const known = lanes.get(key);
    if (known !== undefined) {
      if (isIdle(known)) idle--;
      return known;
    }
    const lane: Lane<Job> = { key, entries: [], running: false, place: undefined };
    lanes.set(key, lane);
    return lane;
  };

  const rest = (lane: Lane<Job>): void => {
    if (!isIdle(lane) || ++idle <= MOST_IDLE) return;
    for (const [key, each] of lanes) if (isIdle(each)) lanes.delete(key);
    idle = 0;
  };

  const headOf = (lane: Lane<Job> | undefined): number => lane?.entries[0]?.order ?? Number.POSITIVE_INFINITY;

  const makeStartable = (lane: Lane<Job>): void => {
    if (lane.running || lane.entries.length === 0) return;
    let low = 0;
    let high = startable.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (headOf(startable[middle]) < headOf(lane)) low = middle + 1;
      else high = middle;
    }
    startable.splice(low, 0, lane);
  };

  const resize = (lane: Lane<Job>, before: number): void => {
    const length = lane.entries.length;
    if (lane.place !== undefined) byLength[before]?.remove(lane.place);
    lane.place = undefined;
    if (length > 0) {
      let lanesAsLong = byLength[length];
      if (lanesAsLong === undefined) {
        lanesAsLong = new Chain();
        byLength[length] = lanesAsLong;
      }
      lane.place = lanesAsLong.add(lane);
    }
    if (length > longest) longest = length;
    else if (before === longest && byLength[before]?.size === 0) {
      longest = length;
      byLength.length = longest + 1;
    }
  };

  const take = (lane: Lane<Job>): Job | undefined => {
    const entry = lane.entries.shift();
    if (entry === undefined) return undefined;
    waiting.remove(entry.place);
    resize(lane, lane.entries.length + 1);
    return entry.job;
  };

  return {
    get waiting() {
      return waiting.size;
    },
    get lanes() {
      return lanes.size - idle;
    },
    add(job) {
      const lane = laneOf(job.key);
      lane.entries.push({ job, order: arrivals++, place: waiting.add(job) });
      if (lane.entries.length === 1) makeStartable(lane);
      resize(lane, lane.entries.length - 1);
    },
    isFree(key) {
      const lane = lanes.get(key);
      return lane === undefined || isIdle(lane);
    },
    begin(key) {
      laneOf(key).running = true;
    },
    next(may) {
      const place = may === undefined ? 0 : startable.findIndex(({ entries: [first] }) => first && may(first.job));
      const [lane] = place === 0 ? [startable.shift()] : place > 0 ? startable.splice(place, 1) : [];
      if (lane === undefined) return undefined;
      lane.running = true;
      return take(lane);
    },
    release(key) {
      const lane = lanes.get(key);
      if (lane === undefined || !lane.running) return;
      lane.running = false;
      makeStartable(lane);
      rest(lane);
    },
    oldest() {
      return waiting.first;
    },
    crowded() {
      return byLength[longest]?.first?.entries[0]?.job;
    },
    remove(job) {
      const lane = lanes.get(job.key);
      if (lane === undefined || lane.entries[0]?.job !== job) return;
      const place = startable.indexOf(lane);
      if (place >= 0) startable.splice(place, 1);
      take(lane);
      makeStartable(lane);
      rest(lane);
    },
  };
}

/** Nothing of its key waits or runs. */
const isIdle = ({ running, entries }: Lane<unknown>): boolean => !running && entries.length === 0;
