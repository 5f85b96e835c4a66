// Which call goes next: calls by resource, routes by bucket, buckets in turn, the urgent first.
//
// A lane is one bucket of one top-level resource with the calls that wait for it. Lanes that may send stand in rings,
// one per priority, and take turns, so that a thousand calls in one channel delay no other. Calls that change the same
// resource form a chain and go one after the other; everything else in a lane flies together as far as the bucket lets it.

import { Bucket } from "./bucket.ts";
import { Grouping } from "./grouping.ts";
import { Agenda, Entry, PRIORITIES, type Priority, PriorityQueue, unlink } from "./queue.ts";
import type { Route } from "./route.ts";
import type { LimitHeaders } from "./verdict.ts";

/** Calls of one resource that may wait; more are refused, since the last would wait for hours. */
const MOST_WAITING_IN_LINE = 10_000;
/** Calls that may wait in all: each holds its body in memory. */
const MOST_WAITING = 50_000;
/** A lane that nobody used for this long is forgotten: one probe finds out again. */
const IDLE_MS = 60_000;

class Lane<Job> {
  readonly group: string;
  readonly major: string;
  readonly bucket = new Bucket();
  queue: PriorityQueue<Job> | undefined;
  ring: Set<Lane<Job>> | undefined;
  wakesAt: number | undefined;
  /** In whole milliseconds, which take less memory than fractions: there may be a lane for each of 100,000 channels. */
  usedAt = 0;
  /** Kinds of request that a hidden sub-limit holds, with the end of the hold. */
  heldKinds: Map<string, number> | undefined;

  constructor(group: string, major: string) {
    this.group = group;
    this.major = major;
  }
}

interface Chain<Job> {
  readonly first: Entry<Job>;
  waiting: PriorityQueue<Job> | undefined;
}

interface Rings<Job> {
  readonly exempt: Set<Lane<Job>>;
  readonly governed: Set<Lane<Job>>;
}

/** All times are monotonic milliseconds. */
export class Scheduler<Job> {
  /** By group, then by top-level resource. */
  readonly #groups = new Map<string, Map<string, Lane<Job>>>();
  #laneCount = 0;
  readonly #chains = new Map<string, Chain<Job>>();
  readonly #rings: Readonly<Record<Priority, Rings<Job>>> = {
    interaction: { exempt: new Set(), governed: new Set() },
    user: { exempt: new Set(), governed: new Set() },
    background: { exempt: new Set(), governed: new Set() },
  };
  readonly #agenda = new Agenda<Lane<Job> | Entry<Job>>();
  /** Where each entry was sent from, or is held for. */
  readonly #sent = new Map<Entry<Job>, Lane<Job>>();
  readonly #waiting = new Set<Entry<Job>>();
  readonly #grouping = new Grouping();
  /** Lanes whose route turned out to belong to another lane. */
  readonly #moved = new WeakMap<Lane<Job>, Lane<Job>>();
  #sequence = 0;

  get waiting(): number {
    return this.#waiting.size;
  }

  get lanes(): number {
    return this.#laneCount;
  }

  /** Every call that waits for its turn. */
  entries(): Entry<Job>[] {
    return [...this.#waiting];
  }

  /** Whether one more call of this route may wait. */
  hasRoom(route: Route): boolean {
    if (this.#waiting.size >= MOST_WAITING) return false;
    const chain = route.order === undefined ? undefined : this.#chains.get(route.order);
    if ((chain?.waiting?.length ?? 0) >= MOST_WAITING_IN_LINE) return false;
    return (this.#peek(route)?.queue?.length ?? 0) < MOST_WAITING_IN_LINE;
  }

  /** A lower bound, in milliseconds, of what a call that joins now would wait. */
  waitAtLeast(route: Route, priority: Priority, now: number): number {
    const lane = this.#peek(route);
    if (lane === undefined) return 0;
    const chain = route.order === undefined ? undefined : this.#chains.get(route.order);
    const ahead = (lane.queue?.ahead(priority) ?? 0) + (chain?.waiting?.ahead(priority) ?? 0);
    return Math.max(lane.bucket.waitAtLeast(now, ahead), this.#heldUntil(lane, route, now) - now);
  }

  /** For how many milliseconds nothing of this kind goes at all, however short the queue. */
  shutFor(route: Route, now: number): number {
    const lane = this.#peek(route);
    if (lane === undefined) return 0;
    return Math.max(lane.bucket.waitAtLeast(now, 0), this.#heldUntil(lane, route, now) - now);
  }

  /** A call joins. */
  add(job: Job, route: Route, priority: Priority, now: number): Entry<Job> {
    const entry = new Entry(job, route, priority, this.#sequence++);
    this.#waiting.add(entry);
    if (route.order !== undefined) {
      const chain = this.#chains.get(route.order);
      if (chain !== undefined) {
        chain.waiting ??= new PriorityQueue();
        chain.waiting.insert(entry);
        return entry;
      }
      this.#chains.set(route.order, { first: entry, waiting: undefined });
    }
    this.#enter(entry, now);
    return entry;
  }

  /**
   * The call that goes next, with its slot taken; undefined when none may.
   * @param governed whether calls under the global limit may go too.
   * @param notBefore when a call that has its turn may go: a time (past ones mean now).
   */
  next(now: number, governed: boolean, notBefore: (job: Job) => number = () => 0): Entry<Job> | undefined {
    this.#wake(now);
    for (const priority of PRIORITIES) {
      const { exempt, governed: others } = this.#rings[priority];
      const entry = this.#take(exempt, now, notBefore) ?? (governed ? this.#take(others, now, notBefore) : undefined);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /** Whether a call could go but for the global limit. */
  get governedReady(): boolean {
    return PRIORITIES.some((priority) => this.#rings[priority].governed.size > 0);
  }

  /** How many could, at least: of a lane without a limit of its own all, of any other one. */
  get governedWaiting(): number {
    let sum = 0;
    for (const priority of PRIORITIES) {
      for (const { bucket, queue } of this.#rings[priority].governed)
        sum += bucket.isUnlimited ? (queue?.length ?? 0) : 1;
    }
    return sum;
  }

  /** When `next` is worth asking again, should nothing else happen. */
  wakesAt(): number | undefined {
    return this.#agenda.due;
  }

  /** A sent call's answer is in, with or without limit headers. */
  answered(entry: Entry<Job>, now: number, limits: LimitHeaders | undefined, success: boolean): void {
    const lane = this.#unsend(entry);
    if (lane === undefined) return;
    if (limits === undefined) {
      if (success) lane.bucket.unlimited();
      else lane.bucket.lost(now);
      this.#place(lane, now);
      return;
    }
    lane.bucket.release();
    const known = this.#grouping.learn(entry.route.key, limits.hash);
    let counted = lane;
    if (known.left !== undefined) {
      const { left } = known;
      for (const other of [...(this.#groups.get(left)?.values() ?? [])]) {
        this.#move(other, entry.route.key, known.group, now);
      }
      counted = this.#laneOf(known.group, lane.major);
    }
    counted.bucket.learn(now, { ...limits, hash: known.hash }, known.route);
    this.#place(counted, now);
    if (counted !== lane) this.#place(lane, now);
  }

  /** A sent call came to nothing that says anything about its bucket. */
  released(entry: Entry<Job>, now: number): void {
    const lane = this.#unsend(entry);
    if (lane === undefined) return;
    lane.bucket.lost(now);
    this.#place(lane, now);
  }

  /** After a 429 about the bucket: it sends nothing before `until`; without numbers it is probed anew then. */
  block(route: Route, until: number, now: number, numbers: boolean): void {
    const lane = this.#lane(route);
    lane.bucket.distrust();
    if (!numbers) lane.bucket.forget();
    lane.bucket.block(until);
    this.#place(lane, now);
  }

  /** After a 429 of a hidden sub-limit: only this kind of request waits. */
  holdKinds(route: Route, until: number): void {
    const lane = this.#lane(route);
    lane.heldKinds ??= new Map();
    for (const kind of route.kinds) lane.heldKinds.set(kind, Math.max(until, lane.heldKinds.get(kind) ?? 0));
  }

  /** A call that was sent, and settled with the calls above, goes again no sooner than `at`; it keeps its place. */
  again(entry: Entry<Job>, at: number, now: number): void {
    this.#waiting.add(entry);
    if (at > now) this.#agenda.add(at, entry);
    else this.#enter(entry, now);
  }

  /** A call has its result, or its caller gave up: whoever waits behind it moves up. Safe to call once per call, anywhere. */
  done(entry: Entry<Job>, now: number): void {
    this.#waiting.delete(entry);
    unlink(entry);
    const lane = this.#unsend(entry);
    if (lane !== undefined) {
      lane.bucket.lost(now);
      this.#place(lane, now);
    }
    const order = entry.route.order;
    if (order === undefined) return;
    const chain = this.#chains.get(order);
    if (chain?.first !== entry) return;
    const following = chain.waiting?.head;
    if (following === undefined) {
      this.#chains.delete(order);
      return;
    }
    unlink(following);
    this.#chains.set(order, { first: following, waiting: chain.waiting });
    this.#enter(following, now);
  }

  /** Forgets lanes that hold nothing worth knowing. */
  sweep(now: number): void {
    for (const lanes of this.#groups.values()) {
      for (const lane of lanes.values()) {
        if (now - lane.usedAt < IDLE_MS || (lane.queue?.length ?? 0) > 0 || !lane.bucket.idle(now)) continue;
        if ([...(lane.heldKinds?.values() ?? [])].some((until) => until > now)) continue;
        this.#forget(lane);
      }
    }
  }

  #wake(now: number): void {
    for (let item = this.#agenda.take(now); item !== undefined; item = this.#agenda.take(now)) {
      if (item instanceof Lane) {
        item.wakesAt = undefined;
        this.#place(item, now);
      } else if (this.#waiting.has(item)) this.#enter(item, now);
    }
  }

  #take(ring: Set<Lane<Job>>, now: number, notBefore: (job: Job) => number): Entry<Job> | undefined {
    for (const lane of ring) {
      ring.delete(lane);
      lane.ring = undefined;
      const entry = lane.queue?.head;
      if (entry === undefined) continue;
      unlink(entry);
      const heldUntil = Math.max(this.#heldUntil(lane, entry.route, now), notBefore(entry.job));
      if (heldUntil > now) {
        this.#agenda.add(heldUntil, entry);
        this.#place(lane, now);
        continue;
      }
      lane.bucket.reserve(now);
      lane.usedAt = Math.floor(now);
      this.#waiting.delete(entry);
      this.#sent.set(entry, lane);
      this.#place(lane, now);
      return entry;
    }
    return undefined;
  }

  #heldUntil(lane: Lane<Job>, route: Route, now: number): number {
    const held = lane.heldKinds;
    if (held === undefined) return 0;
    let until = 0;
    for (const kind of route.kinds) {
      const end = held.get(kind) ?? 0;
      if (end > now) until = Math.max(until, end);
      else held.delete(kind);
    }
    return until;
  }

  #unsend(entry: Entry<Job>): Lane<Job> | undefined {
    let lane = this.#sent.get(entry);
    this.#sent.delete(entry);
    for (let moved = lane && this.#moved.get(lane); moved !== undefined; moved = this.#moved.get(moved)) lane = moved;
    return lane;
  }

  #enter(entry: Entry<Job>, now: number): void {
    const lane = this.#lane(entry.route);
    lane.queue ??= new PriorityQueue();
    lane.queue.insert(entry);
    lane.usedAt = Math.floor(now);
    this.#place(lane, now);
  }

  /** Puts a lane where it belongs now: into a ring, onto the agenda, or nowhere until something happens. */
  #place(lane: Lane<Job>, now: number): void {
    const head = lane.queue?.head;
    const ready = head === undefined ? "answer" : lane.bucket.readyAt(now);
    let ring: Set<Lane<Job>> | undefined;
    if (head !== undefined && ready !== "answer" && ready <= now) {
      const rings = this.#rings[head.priority];
      ring = head.route.exempt ? rings.exempt : rings.governed;
    }
    if (lane.ring !== ring) {
      lane.ring?.delete(lane);
      ring?.add(lane);
      lane.ring = ring;
    }
    if (ready !== "answer" && ready > now && ready < (lane.wakesAt ?? Infinity)) {
      lane.wakesAt = ready;
      this.#agenda.add(ready, lane);
    }
    if (head === undefined) lane.queue = undefined;
  }

  #peek(route: Route): Lane<Job> | undefined {
    return this.#groups.get(this.#grouping.of(route.key))?.get(route.major);
  }

  #lane(route: Route): Lane<Job> {
    return this.#laneOf(this.#grouping.of(route.key), route.major);
  }

  #laneOf(group: string, major: string): Lane<Job> {
    let lanes = this.#groups.get(group);
    if (lanes === undefined) {
      lanes = new Map();
      this.#groups.set(group, lanes);
    }
    let lane = lanes.get(major);
    if (lane === undefined) {
      lane = new Lane<Job>(group, major);
      lanes.set(major, lane);
      this.#laneCount += 1;
    }
    return lane;
  }

  #forget(lane: Lane<Job>): void {
    const lanes = this.#groups.get(lane.group);
    if (lanes?.delete(lane.major)) this.#laneCount -= 1;
    if (lanes?.size === 0) this.#groups.delete(lane.group);
  }

  /** Moves one route's calls of a lane into the lane of another group, which gets no fuller by it. */
  #move(from: Lane<Job>, key: string, group: string, now: number): void {
    const to = this.#laneOf(group, from.major);
    to.usedAt = Math.floor(now);
    to.bucket.inherit(from.bucket);
    const entries = from.queue?.all() ?? [];
    for (const entry of entries) {
      if (entry.route.key !== key) continue;
      unlink(entry);
      to.queue ??= new PriorityQueue();
      to.queue.insert(entry);
    }
    for (const [kind, until] of from.heldKinds ?? []) {
      to.heldKinds ??= new Map();
      to.heldKinds.set(kind, until);
    }
    if (from.group === key && (from.queue?.length ?? 0) === 0) {
      // The lane was this route's alone: what is in flight counts for the new one.
      to.bucket.adopt(from.bucket);
      this.#moved.set(from, to);
      from.ring?.delete(from);
      from.ring = undefined;
      this.#forget(from);
    } else this.#place(from, now);
    this.#place(to, now);
  }
}
