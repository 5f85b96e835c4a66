// The checkpoint: what moved is written, what an earlier process kept stays until this one has had and lost it.

import { expect, it } from "vitest";
import { createCheckpoint } from "../../bot/checkpoint.ts";
import type { StoredSession } from "../../bot/ledger/ledger.ts";
import { LedgerError } from "../../bot/ledger/ledgerError.ts";
import { createMemoryLedger } from "../../bot/ledger/memory.ts";
import { virtualClock } from "../virtualClock.ts";
import { recordingTelemetry } from "./telemetry/recordingTelemetry.ts";

const SESSION: StoredSession = {
  shard: 0,
  shardCount: 1,
  sessionId: "kept",
  resumeGatewayUrl: "wss://resume.example",
  sequence: 1,
  intents: 1,
  tokenHash: "0123456789abcdef",
  writtenAt: 1_750_000_000_000,
};

it.each([
  { has: [], stays: 1, when: "this process has dialled nothing yet" },
  { has: [SESSION], stays: 0, when: "this process had it and lost it before its first write" },
])("of an earlier process's session $stays stays when $when", async ({ has, stays }) => {
  const clock = virtualClock();
  const ledger = createMemoryLedger();
  await ledger.writeSessions([SESSION]);
  let sessions: readonly StoredSession[] = has;
  const checkpoint = createCheckpoint({ clock, ledger, telemetry: recordingTelemetry(), sessions: () => sessions });
  checkpoint.start();
  sessions = [];
  await clock.advance(6_000);
  expect(await ledger.readSessions()).toHaveLength(stays);
  checkpoint.stop();
});

it("writes once for all that asked before the write began, and again for what moved since", async () => {
  const clock = virtualClock();
  const ledger = createMemoryLedger();
  const written: number[] = [];
  let sequence = 1;
  const counting = {
    ...ledger,
    writeSessions(sessions: readonly StoredSession[]) {
      written.push(...sessions.map((session) => session.sequence));
      return ledger.writeSessions(sessions);
    },
  };
  const sessions = (): readonly StoredSession[] => [{ ...SESSION, sequence }];
  const checkpoint = createCheckpoint({ clock, ledger: counting, telemetry: recordingTelemetry(), sessions });
  const both = [checkpoint.write(), checkpoint.write()];
  sequence = 2;
  await Promise.all(both);
  expect(written).toEqual([2]);
  sequence = 3;
  await checkpoint.write();
  expect(written).toEqual([2, 3]);
});

it("insists on what must be written until the ledger takes it, or the time is over", async () => {
  const clock = virtualClock();
  const ledger = createMemoryLedger();
  let refuses = 3;
  const failing = {
    ...ledger,
    async writeSessions(sessions: readonly StoredSession[]) {
      if (refuses-- > 0) throw new LedgerError("unreachable", "the table is away");
      return ledger.writeSessions(sessions);
    },
  };
  const late = new AbortController();
  const checkpoint = createCheckpoint({
    clock,
    ledger: failing,
    telemetry: recordingTelemetry(),
    sessions: () => [SESSION],
  });
  const insisted = checkpoint.insist(late.signal);
  await clock.advance(10_000);
  await insisted;
  expect(await ledger.readSessions()).toHaveLength(1);
  refuses = Number.POSITIVE_INFINITY;
  const other = createCheckpoint({
    clock,
    ledger: failing,
    telemetry: recordingTelemetry(),
    sessions: () => [SESSION],
  });
  const inVain = other.insist(late.signal);
  await clock.advance(10_000);
  late.abort();
  await inVain;
  expect(other.kept()).toBe(false);
  expect(clock.pending()).toBe(0);
});
