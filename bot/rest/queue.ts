// Queues of calls: linked lists, so that a call leaves from anywhere at once, one list per priority; and an agenda.

import type { Route } from "./route.ts";

/** Most urgent first. */
export const PRIORITIES = ["interaction", "user", "background"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** One call's place in the queues; `job` is the driver's own. */
export class Entry<Job> {
  readonly job: Job;
  readonly route: Route;
  readonly priority: Priority;
  /** Order of arrival. */
  readonly sequence: number;
  previous: Entry<Job> | undefined;
  next: Entry<Job> | undefined;
  list: Fifo<Job> | undefined;

  constructor(job: Job, route: Route, priority: Priority, sequence: number) {
    this.job = job;
    this.route = route;
    this.priority = priority;
    this.sequence = sequence;
  }
}

/** First in, first out; an entry is in at most one list. */
class Fifo<Job> {
  head: Entry<Job> | undefined;
  #tail: Entry<Job> | undefined;
  length = 0;

  /** Adds an entry by its order of arrival: to the end, unless it was here before. */
  insert(entry: Entry<Job>): void {
    let after = this.#tail;
    while (after !== undefined && after.sequence > entry.sequence) after = after.previous;
    const before = after === undefined ? this.head : after.next;
    entry.previous = after;
    entry.next = before;
    if (after === undefined) this.head = entry;
    else after.next = entry;
    if (before === undefined) this.#tail = entry;
    else before.previous = entry;
    entry.list = this;
    this.length += 1;
  }

  remove(entry: Entry<Job>): void {
    if (entry.previous === undefined) this.head = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) this.#tail = entry.previous;
    else entry.next.previous = entry.previous;
    entry.previous = undefined;
    entry.next = undefined;
    entry.list = undefined;
    this.length -= 1;
  }
}

/** A list per priority, made when first used. */
export class PriorityQueue<Job> {
  readonly #lists: Partial<Record<Priority, Fifo<Job>>> = {};

  get length(): number {
    return this.ahead("background");
  }

  /** The most urgent entry, the earliest of its priority. */
  get head(): Entry<Job> | undefined {
    return this.#lists.interaction?.head ?? this.#lists.user?.head ?? this.#lists.background?.head;
  }

  insert(entry: Entry<Job>): void {
    let list = this.#lists[entry.priority];
    if (list === undefined) {
      list = new Fifo<Job>();
      this.#lists[entry.priority] = list;
    }
    list.insert(entry);
  }

  /** Entries that go before a new one of this priority. */
  ahead(priority: Priority): number {
    let sum = 0;
    for (const candidate of PRIORITIES) {
      sum += this.#lists[candidate]?.length ?? 0;
      if (candidate === priority) break;
    }
    return sum;
  }

  /** Every entry, most urgent first. */
  all(): Entry<Job>[] {
    const entries: Entry<Job>[] = [];
    for (const priority of PRIORITIES) {
      for (let entry = this.#lists[priority]?.head; entry !== undefined; entry = entry.next) entries.push(entry);
    }
    return entries;
  }
}

/** Takes an entry out of the list it is in, if any. */
export function unlink<Job>(entry: Entry<Job>): void {
  entry.list?.remove(entry);
}

/** Things by the time they are due: a binary heap. */
export class Agenda<Item> {
  readonly #heap: { readonly due: number; readonly item: Item }[] = [];

  get due(): number | undefined {
    return this.#heap[0]?.due;
  }

  add(due: number, item: Item): void {
    const heap = this.#heap;
    const here = { due, item };
    let index = heap.push(here) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.due <= due) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = here;
  }

  /** Takes out the item that was due first, if it is due by `now`. */
  take(now: number): Item | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.due > now) return undefined;
    const moving = heap.pop();
    if (moving === undefined || heap.length === 0) return first.item;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const child = (heap[left + 1]?.due ?? Infinity) < (heap[left]?.due ?? Infinity) ? left + 1 : left;
      const below = heap[child];
      if (below === undefined || moving.due <= below.due) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = moving;
    return first.item;
  }
}
