// The ledger over shared items: one checkpoint for each task, and single items for what all tasks have in common.

import { createHash } from "node:crypto";
import { KIND, type Kind } from "../../shared/table.ts";
import { type Item, type Items, LONGEST_BODY } from "./items.ts";
import type { Ledger, ShardPlans, StoredSession, Values } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";
import {
  bestSessions,
  newerSessions,
  type Reader,
  readRefusal,
  readSessions,
  readStarts,
  withStart,
} from "./records.ts";
import { planFrom, planText } from "./shardPlan.ts";

// A claim that loses again and again against others' writes is no coincidence any more.
const MOST_TRIES = 25;
// DynamoDB: a sort key has at most 1,024 bytes.
const LONGEST_KEY = 512;
// A session is of no use after some minutes; a day leaves room for a person to look.
const CLEARED_AFTER_MS = 86_400_000;

/** @param owner the task whose checkpoint `writeSessions` writes. */
export function createItemLedger(items: Items, owner: string): Ledger {
  return {
    persistent: true,
    ...sessionsOf(items, owner),
    readStarts: async () => read(await items.get(KIND.fleet, "starts"), readStarts) ?? [],
    recordStart: (at) =>
      update(items, KIND.fleet, "starts", (item) => JSON.stringify(withStart(read(item, readStarts) ?? [], at))),
    readRefusal: async () => read(await items.get(KIND.fleet, "refusal"), readRefusal),
    writeRefusal: (refusal) => update(items, KIND.fleet, "refusal", () => JSON.stringify(refusal ?? null)),
    values: valuesOf(items),
    shardPlans: plansOf(items),
    shared: { items, task: owner },
  };
}

function sessionsOf(items: Items, owner: string): Pick<Ledger, "readSessions" | "writeSessions"> {
  // The newest own checkpoint; undefined before the first look at it.
  let kept: readonly StoredSession[] | undefined;
  const versions = new Map<string, number>();
  let turn: Promise<unknown> = Promise.resolve();

  const look = async (): Promise<readonly StoredSession[]> => {
    const own = (await items.list(KIND.sessions)).filter(({ id }) => ownerOf(id) === owner);
    versions.clear();
    for (const { id, version } of own) versions.set(id, version);
    return own.flatMap((item) => read(item, readSessions) ?? []);
  };

  const write = async (next: readonly StoredSession[]): Promise<void> => {
    kept ??= await look();
    const newer = newerSessions(kept, next);
    if (newer === kept) return;
    // Until all of it is written, the next write has to look at what is there.
    kept = undefined;
    const bodies = pages(newer);
    for (const [page, body] of bodies.entries()) {
      const id = `${owner}/${page}`;
      const item = { kind: KIND.sessions, id, body, expiresAt: newest(newer) + CLEARED_AFTER_MS };
      const version = await items.swap(item, versions.get(id));
      if (version === undefined) throw new LedgerError("unwritable", `the checkpoint ${id} has another writer`);
      versions.set(id, version);
    }
    for (const [id, version] of versions) {
      if (Number(id.slice(owner.length + 1)) < bodies.length) continue;
      await items.remove(KIND.sessions, id, version);
      versions.delete(id);
    }
    kept = newer;
  };

  return {
    readSessions: async () =>
      bestSessions((await items.list(KIND.sessions)).flatMap((item) => read(item, readSessions) ?? [])),
    writeSessions(next) {
      const mine = turn.catch(() => {}).then(() => write(next));
      turn = mine;
      return mine;
    },
  };
}

const newest = (sessions: readonly StoredSession[]): number =>
  Math.max(0, ...sessions.map(({ writtenAt }) => writtenAt));

/** The task whose checkpoint an item of that id is a part of. */
export const ownerOf = (id: string): string => id.slice(0, id.lastIndexOf("/"));

/** The sessions as bodies of items; each session is in one of them, whole. */
function pages(sessions: readonly StoredSession[]): readonly string[] {
  const all: string[] = [];
  let page: string[] = [];
  let length = 0;
  for (const session of sessions) {
    const text = JSON.stringify(session);
    const bytes = Buffer.byteLength(text) + 1;
    if (length > 0 && length + bytes > LONGEST_BODY) {
      all.push(`[${page.join()}]`);
      page = [];
      length = 0;
    }
    page.push(text);
    length += bytes;
  }
  return [...all, `[${page.join()}]`];
}

function valuesOf(items: Items): Values {
  const idOf = (key: string): string =>
    Buffer.byteLength(key) <= LONGEST_KEY ? key : createHash("sha256").update(key).digest("hex");

  const liveValue = (item: Item | undefined, now: number): string | undefined => {
    const found = read(item, readValue);
    return found !== undefined && found.expiresAt > now ? found.value : undefined;
  };

  return {
    read: async (key, now) => liveValue(await items.get(KIND.value, idOf(key)), now),
    async claim(key, value, now, expiresAt) {
      const item = { kind: KIND.value, id: idOf(key), body: JSON.stringify({ value, expiresAt }), expiresAt };
      if ((await items.swap(item, undefined)) !== undefined) return true;
      const kept = await items.get(KIND.value, item.id);
      if (liveValue(kept, now) !== undefined) return false;
      return (await items.swap(item, kept?.version)) !== undefined;
    },
    write: (key, value, _now, expiresAt) =>
      update(items, KIND.value, idOf(key), () => JSON.stringify({ value, expiresAt }), expiresAt),
    async remove(key) {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const kept = await items.get(KIND.value, idOf(key));
        if (kept === undefined || (await items.remove(KIND.value, kept.id, kept.version))) return;
      }
      throw contended(KIND.value, key);
    },
  };
}

function plansOf(items: Items): ShardPlans {
  return {
    async read() {
      const item = await items.get(KIND.fleet, "shards");
      return { plan: item && planFrom(item.body), version: item && String(item.version) };
    },
    async write(plan, version) {
      const item = { kind: KIND.fleet, id: "shards", body: planText(plan) };
      return (await items.swap(item, version === undefined ? undefined : Number(version))) !== undefined;
    },
  };
}

/** Puts `change` of the item in its place, undefined: leaves it; looks again when another write came first. */
export async function update(
  items: Items,
  kind: Kind,
  id: string,
  change: (item: Item | undefined) => string | undefined,
  expiresAt?: number,
): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const kept = await items.get(kind, id);
    const body = change(kept);
    if (body === undefined) return;
    const item = { kind, id, body, ...(expiresAt !== undefined && { expiresAt }) };
    if ((await items.swap(item, kept?.version)) !== undefined) return;
  }
  throw contended(kind, id);
}

const contended = (kind: string, id: string): LedgerError =>
  new LedgerError("unreachable", `${kind} ${id} was written by others ${MOST_TRIES} times in a row; it is tried again`);

function read<Value>(item: Item | undefined, reader: Reader<Value>): Value | undefined {
  if (item === undefined) return undefined;
  try {
    return reader(JSON.parse(item.body));
  } catch {
    return undefined;
  }
}

const readValue: Reader<{ readonly value: string; readonly expiresAt: number }> = (found) => {
  if (typeof found !== "object" || found === null) return undefined;
  const { value, expiresAt } = found as Partial<Record<"value" | "expiresAt", unknown>>;
  return typeof value === "string" && typeof expiresAt === "number" ? { value, expiresAt } : undefined;
};
