// What tasks tell each other: the records of tasks and shards, read from JSON with every field checked (pure).

import { KIND } from "../../shared/table.ts";
import type { Item, NewItem } from "./items.ts";
import { isStep, type ReshardStep } from "./shardPlan.ts";
import { type Traffic, trafficFrom } from "./traffic.ts";

/** A handler's event: shard and sequence. */
export type EventId = readonly [shard: number, sequence: number];

/** active: runs shards or waits for some. draining: its shards are free, its handlers still run. gone, dead: neither. */
export type TaskState = "active" | "draining" | "gone" | "dead";

/** The set of shards that a task shares with others. */
export interface SetRecord {
  /** How many shards it has in all. */
  readonly count: number;
  /** The last step to another number that the task has carried out. */
  readonly step?: ReshardStep | undefined;
  /** The task's shards that are ready; told while the set comes up beside another. */
  readonly ready?: number | undefined;
}

export interface TaskRecord extends Traffic {
  /** Order of joining: whoever came first keeps what it has. */
  readonly rank: number;
  readonly state: TaskState;
  /** How many shard items it has written; another number than before: shards have moved. */
  readonly moves: number;
  /** How many shards it wants that others hold beyond their share. */
  readonly asks: number;
  /** Absent before the number of shards is known, and in tasks of an older version. */
  readonly set?: SetRecord | undefined;
  /** Events of shards it has given away whose handlers still run. */
  readonly running: readonly EventId[];
  /** Events of shards it has given away that were running then and are finished now. */
  readonly finished: readonly EventId[];
  /**
   * Events of shards it has given away that it has not begun, since a task that had the shard before runs them. Of those
   * that are not in `running` it has never seen more than that; absent in older versions.
   */
  readonly awaits?: readonly AwaitedEvent[] | undefined;
}

/** An event, and the task that had its shard before. */
export type AwaitedEvent = readonly [shard: number, sequence: number, task: string];

export interface Task {
  readonly id: string;
  readonly version: number;
  readonly record: TaskRecord;
}

export interface ShardLease {
  readonly shard: number;
  readonly shardCount: number;
  /** The item's version: one more with every move, and so the fence. */
  readonly fence: number;
  readonly owner: string | null;
  /** The owner's rank when it took the shard; a task that was declared dead and has joined again has another. */
  readonly term: number;
  /** Who gave it away. */
  readonly from: string | null;
}

/** Undefined when the item is not a task's. */
export function taskFrom({ id, version, body }: Item): Task | undefined {
  const value = parsed(body);
  if (value === undefined) return undefined;
  const { rank, state, moves, asks, running, finished } = value;
  if (!isCount(rank) || !isState(state) || !isCount(moves) || !isCount(asks)) return undefined;
  const traffic = trafficFrom(value);
  if (traffic === undefined || !areEvents(running) || !areEvents(finished)) return undefined;
  const set = setFrom(value["set"]);
  const awaits = areAwaited(value["awaits"]) ? value["awaits"] : undefined;
  return { id, version, record: { rank, state, moves, asks, ...traffic, set, running, finished, awaits } };
}

function setFrom(value: unknown): SetRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { count, step, ready } = value as Partial<Record<keyof SetRecord, unknown>>;
  if (!isCount(count)) return undefined;
  return { count, step: isStep(step) ? step : undefined, ready: isCount(ready) ? ready : undefined };
}

/** Undefined when the item is not a shard's. */
export function leaseFrom({ id, version, body }: Item): ShardLease | undefined {
  const [count, shard] = id.split("/").map(Number);
  const value = parsed(body);
  if (value === undefined || !isCount(count) || !isCount(shard) || shard >= count) return undefined;
  const { owner, term, from } = value;
  if (!isName(owner) || !isCount(term) || !isName(from)) return undefined;
  return { shard, shardCount: count, fence: version, owner, term, from };
}

export function leaseItem(lease: Omit<ShardLease, "fence">): NewItem {
  const { shard, shardCount, owner, term, from } = lease;
  return { kind: KIND.shard, id: `${shardCount}/${shard}`, body: JSON.stringify({ owner, term, from }) };
}

function parsed(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

const STATES: readonly unknown[] = ["active", "draining", "gone", "dead"] satisfies TaskState[];
const isState = (value: unknown): value is TaskState => STATES.includes(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isName = (value: unknown): value is string | null => value === null || typeof value === "string";
const areAwaited = (value: unknown): value is readonly AwaitedEvent[] =>
  Array.isArray(value) &&
  value.every(
    (event) => Array.isArray(event) && event.length === 3 && areEvents([event.slice(0, 2)]) && isName(event[2]),
  );
const areEvents = (value: unknown): value is readonly EventId[] =>
  Array.isArray(value) && value.every((event) => Array.isArray(event) && event.length === 2 && event.every(isCount));
