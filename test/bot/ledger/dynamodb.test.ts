// The ledger in DynamoDB, and the shared items below it, against an emulator.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDynamoItems } from "../../../bot/ledger/dynamodb.ts";
import { createItemLedger } from "../../../bot/ledger/itemLedger.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import { createMemoryItems } from "../../../bot/ledger/memoryItems.ts";
import { conforms, refusal, session } from "./conformance.ts";
import { startTables, type Tables } from "./table.ts";

let tables: Tables;
beforeAll(async () => {
  tables = await startTables();
  Object.assign(process.env, tables.environment);
});
afterAll(() => tables.close());

const openItems = async (): Promise<Items> => createDynamoItems(await tables.create());
const open = async () => createItemLedger(await openItems(), "a");

describe("the DynamoDB ledger", () => {
  conforms(open);
});

describe("a ledger over shared items in memory", () => {
  conforms(() => createItemLedger(createMemoryItems(), "a"));
});

describe("a ledger of several tasks", () => {
  it("keeps everything for the next task, and each task's sessions apart", async () => {
    const items = await openItems();
    const before = createItemLedger(items, "before");
    await before.writeSessions([session({ fence: 1 }), session({ shard: 1, fence: 1 })]);
    await before.recordStart(7);
    await before.writeRefusal(refusal);
    const after = createItemLedger(items, "after");
    expect(await after.readSessions()).toEqual([session({ fence: 1 }), session({ shard: 1, fence: 1 })]);
    expect(await after.readStarts()).toEqual([7]);
    expect(await after.readRefusal()).toEqual(refusal);
    // Taken over under the next fence; what the former owner still writes says nothing any more.
    await after.writeSessions([session({ fence: 2, sequence: 50 })]);
    await before.writeSessions([session({ fence: 1, sequence: 99, writtenAt: session().writtenAt + 9 })]);
    expect(await after.readSessions()).toEqual([session({ fence: 2, sequence: 50 })]);
  });

  it("keeps a checkpoint that no item could hold, and shrinks it again", async () => {
    const ledger = await open();
    // 1,000 shards with long lists are some 800 KB of JSON.
    const finishedAbove = Array.from({ length: 90 }, (_, index) => 1_000_043 + 2 * index);
    const many = Array.from({ length: 1_000 }, (_, shard) =>
      session({ shard, shardCount: 1_000, sessionId: `${shard}`.padStart(32, "f"), finishedAbove }),
    );
    await ledger.writeSessions(many);
    expect(await ledger.readSessions()).toEqual(many);
    const few = many.slice(0, 3).map((one) => ({ ...one, writtenAt: one.writtenAt + 1 }));
    await ledger.writeSessions(few);
    expect(await ledger.readSessions()).toEqual(few);
    expect(await ledger.shared?.items.list("sessions")).toHaveLength(1);
  });
});

describe.each([
  ["in DynamoDB", openItems],
  ["in memory", async () => createMemoryItems()],
] as const)("shared items %s", (_where, openThem) => {
  it("lets one of many writers win, each time", async () => {
    const items = await openThem();
    const item = { kind: "shard", id: "1/0", body: "" } as const;
    for (const expected of [undefined, 1, 2]) {
      const swaps = Array.from({ length: 20 }, (_, index) => items.swap({ ...item, body: `${index}` }, expected));
      const won = (await Promise.all(swaps)).flatMap((version, index) => (version === undefined ? [] : [index]));
      expect(won).toHaveLength(1);
      const version = (expected ?? 0) + 1;
      expect(await items.get("shard", "1/0")).toEqual({ ...item, version, body: `${won[0]}` });
    }
  });

  it("removes only the version that was seen", async () => {
    const items = await openThem();
    await items.swap({ kind: "task", id: "a", body: "1" }, undefined);
    await items.swap({ kind: "task", id: "a", body: "2" }, 1);
    expect(await items.remove("task", "a", 1)).toBe(false);
    expect(await items.remove("task", "a", 2)).toBe(true);
    expect(await items.remove("task", "a", 2)).toBe(false);
    expect(await items.get("task", "a")).toBeUndefined();
    expect(await items.swap({ kind: "task", id: "a", body: "3" }, 2)).toBeUndefined();
  });

  it("lists a kind whole and in order, however long", async () => {
    const items = await openThem();
    // Beyond the 1 MB of one answer; text that does not squeeze well.
    const bodies = Array.from({ length: 12 }, (_, index) =>
      Array.from({ length: 30_000 }, (_, place) => Math.imul(place + 1, 2_654_435_761 + index).toString(36)).join(""),
    );
    for (const [index, body] of bodies.entries()) {
      await items.swap({ kind: "sessions", id: `${50 - index}`, body }, undefined);
    }
    await items.swap({ kind: "task", id: "other", body: "" }, undefined);
    const listed = await items.list("sessions");
    expect(listed.map(({ body }) => body.length)).toEqual(bodies.toReversed().map((body) => body.length));
    expect(listed.map(({ body }) => body)).toEqual(bodies.toReversed());
    expect(await items.list("edge")).toEqual([]);
  });
});

describe("a table that does not answer as it should", () => {
  it("tells a fault that a person must mend from one that passes", async () => {
    const missing = createItemLedger(createDynamoItems("not-there"), "a");
    await expect(missing.readStarts()).rejects.toMatchObject({
      kind: "unreadable",
      message: expect.stringMatching(/not-there.*create the table/),
    });
    const items = await openItems();
    tables.cut();
    await expect(items.get("task", "a")).rejects.toMatchObject({ name: "LedgerError", kind: "unreachable" });
    await expect(items.swap({ kind: "task", id: "a", body: "" }, undefined)).rejects.toMatchObject({
      kind: "unreachable",
    });
    await tables.back();
    expect(await items.get("task", "a")).toBeUndefined();
  });

  it("knows its own write again when only the answer to it was lost", async () => {
    const items = await openItems();
    tables.loseAnswers("PutItem", 1);
    expect(await items.swap({ kind: "task", id: "a", body: "mine" }, undefined)).toBe(1);
    expect(await items.swap({ kind: "task", id: "a", body: "other" }, undefined)).toBeUndefined();
    // Both tries' answers are lost: nobody knows, until somebody looks.
    tables.loseAnswers("PutItem", 2);
    await expect(items.swap({ kind: "task", id: "a", body: "unsure" }, 1)).rejects.toMatchObject({
      kind: "unreachable",
    });
    expect(await items.get("task", "a")).toMatchObject({ version: 2, body: "unsure" });
  });
});
