// What every ledger does, whatever it is kept in: each implementation's tests run this suite.

import fc from "fast-check";
import { expect, it } from "vitest";
import type { Ledger, StoredRefusal, StoredSession } from "../../../bot/ledger/ledger.ts";

export const session = (given: Partial<StoredSession> = {}): StoredSession => ({
  shard: 0,
  shardCount: 4,
  sessionId: "0123456789abcdef0123456789abcdef",
  resumeGatewayUrl: "wss://gateway-us-east1-c.discord.gg",
  sequence: 42,
  intents: 513,
  tokenHash: "0123456789abcdef",
  writtenAt: 1_750_000_000_000,
  ...given,
});

export const refusal: StoredRefusal = {
  fingerprint: "fedcba9876543210",
  code: "4014",
  fix: "switch the Message Content Intent on",
  writtenAt: 1_750_000_000_000,
};

/** @param open makes an empty ledger for one test. */
export function conforms(open: () => Ledger | Promise<Ledger>): void {
  it("begins empty", async () => {
    const ledger = await open();
    expect(await ledger.readSessions()).toEqual([]);
    expect(await ledger.readStarts()).toEqual([]);
    expect(await ledger.readRefusal()).toBeUndefined();
  });

  it("gives back what was written, as copies", async () => {
    const ledger = await open();
    const full = session({ shard: 1, finishedAbove: [44, 46], unfinished: [{ sequence: 43, deaths: 1 }] });
    const list = [session(), full];
    await ledger.writeSessions(list);
    list.pop();
    expect(await ledger.readSessions()).toEqual([session(), full]);
    await ledger.writeRefusal(refusal);
    expect(await ledger.readRefusal()).toEqual(refusal);
  });

  it("keeps one plan of the shards, and of two that change it from one version one wins", async () => {
    const { shardPlans } = await open();
    expect(await shardPlans.read()).toEqual({ plan: undefined, version: undefined });
    expect(await shardPlans.write({ count: 4 }, undefined)).toBe(true);
    expect(await shardPlans.write({ count: 5 }, undefined)).toBe(false);
    const { plan, version } = await shardPlans.read();
    expect(plan).toEqual({ count: 4 });
    const next = { count: 4, next: { count: 6, step: "opening" } } as const;
    expect(await shardPlans.write(next, version)).toBe(true);
    expect(await shardPlans.write({ count: 4 }, version)).toBe(false);
    expect((await shardPlans.read()).plan).toEqual(next);
  });

  it("replaces the sessions as a whole, down to none", async () => {
    const ledger = await open();
    await ledger.writeSessions([session(), session({ shard: 1 })]);
    await ledger.writeSessions([session({ shard: 1, sequence: 50 })]);
    expect(await ledger.readSessions()).toEqual([session({ shard: 1, sequence: 50 })]);
    await ledger.writeSessions([]);
    expect(await ledger.readSessions()).toEqual([]);
  });

  it("keeps nothing but the promised names", async () => {
    const ledger = await open();
    await ledger.writeSessions([Object.assign(session(), { token: "raw" })]);
    expect(await ledger.readSessions()).toEqual([session()]);
    expect(Object.keys((await ledger.readSessions())[0] ?? {})).not.toContain("token");
  });

  it("keeps the newest checkpoint in whatever order they come", async () => {
    const times = fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(times, async (writtenAts) => {
        const ledger = await open();
        await Promise.all(
          writtenAts.map((writtenAt) =>
            ledger.writeSessions([session({ sessionId: `at ${writtenAt}`, sequence: writtenAt, writtenAt })]),
          ),
        );
        const newest = Math.max(...writtenAts);
        expect(await ledger.readSessions()).toEqual([
          session({ sessionId: `at ${newest}`, sequence: newest, writtenAt: newest }),
        ]);
      }),
      { numRuns: 20 },
    );
  });

  it("takes a checkpoint of the same time, since it is the later one", async () => {
    const ledger = await open();
    await ledger.writeSessions([session({ sequence: 1 })]);
    await ledger.writeSessions([session({ sequence: 2 })]);
    expect(await ledger.readSessions()).toEqual([session({ sequence: 2 })]);
  });

  it("lets a lost session go, though it was the one that was written last", async () => {
    const ledger = await open();
    const [lost, left] = [session({ shard: 0, writtenAt: 100 }), session({ shard: 1, writtenAt: 90 })];
    await ledger.writeSessions([lost, left]);
    await ledger.writeSessions([left]);
    expect(await ledger.readSessions()).toEqual([left]);
  });

  it.each([
    ["a later dispatch", { sequence: 43 }],
    ["one more finished above it", { finishedAbove: [44, 45] }],
  ])("takes a session's own progress for newer than a clock that was set back: %s", async (_what, further) => {
    const ledger = await open();
    const old = session({ finishedAbove: [44] });
    await ledger.writeSessions([old, session({ shard: 1 })]);
    const next = [session({ finishedAbove: [44], ...further, writtenAt: 1 }), session({ shard: 1, writtenAt: 1 })];
    await ledger.writeSessions(next);
    expect(await ledger.readSessions()).toEqual(next);
    // The other one, which has come less far, is the older one by any measure.
    await ledger.writeSessions([{ ...old, sequence: 41, writtenAt: 0 }]);
    expect(await ledger.readSessions()).toEqual(next);
  });

  it.each([
    ["a sequence", { sequence: Number.NaN }],
    ["a session id", { sessionId: "" }],
    ["a shard within the count", { shard: 4 }],
  ])("refuses a session without %s and keeps the old one", async (_what, broken) => {
    const ledger = await open();
    await ledger.writeSessions([session()]);
    await expect(ledger.writeSessions([session(broken)])).rejects.toMatchObject({ name: "LedgerError" });
    expect(await ledger.readSessions()).toEqual([session()]);
  });

  it("keeps the newest 100 starts in order, also when they are recorded at once", async () => {
    const ledger = await open();
    await Promise.all([3, 1, 2].map((at) => ledger.recordStart(at)));
    expect(await ledger.readStarts()).toEqual([1, 2, 3]);
    for (let at = 4; at <= 120; at++) await ledger.recordStart(at);
    expect(await ledger.readStarts()).toEqual(Array.from({ length: 100 }, (_, index) => index + 21));
  });

  it("forgets a refusal", async () => {
    const ledger = await open();
    await ledger.writeRefusal(undefined);
    await ledger.writeRefusal(refusal);
    await ledger.writeRefusal({ ...refusal, code: "4004" });
    expect(await ledger.readRefusal()).toEqual({ ...refusal, code: "4004" });
    await ledger.writeRefusal(undefined);
    expect(await ledger.readRefusal()).toBeUndefined();
  });

  it("keeps values by key until they expire or are removed", async () => {
    const { values } = await open();
    expect(await values.read("a", 0)).toBeUndefined();
    await values.write("a", "1", 0, 10);
    await values.write("b", "ü \u{1f600}", 0, 10);
    expect(await values.read("a", 9)).toBe("1");
    expect(await values.read("b", 9)).toBe("ü \u{1f600}");
    await values.write("a", "2", 5, 20);
    expect(await values.read("a", 19)).toBe("2");
    expect(await values.read("a", 20)).toBeUndefined();
    await values.remove("b");
    await values.remove("never there");
    expect(await values.read("b", 9)).toBeUndefined();
  });

  it("lets one of many claims win, and another only once that has expired or was removed", async () => {
    const { values } = await open();
    const claims = Array.from({ length: 20 }, (_, index) => values.claim("question/1", `run ${index}`, 0, 10));
    const won = (await Promise.all(claims)).map((taken, index) => (taken ? `run ${index}` : "")).filter(Boolean);
    expect(won).toHaveLength(1);
    expect(await values.read("question/1", 9)).toBe(won[0]);
    expect(await values.claim("question/1", "late", 9, 20)).toBe(false);
    expect(await values.claim("question/1", "later", 10, 20)).toBe(true);
    expect(await values.read("question/1", 11)).toBe("later");
    await values.remove("question/1");
    expect(await values.claim("question/1", "again", 11, 20)).toBe(true);
  });
}
