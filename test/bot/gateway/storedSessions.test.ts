// How a live session is written down, also in between two processes and under a wall clock that jumps.

import { expect, it } from "vitest";
import { exportSession, importSession } from "../../../bot/gateway/storedSessions.ts";
import { virtualClock } from "../../virtualClock.ts";

const OWNER = { shard: 0, shardCount: 1, intents: 513, tokenHash: "0123456789abcdef" };
const SESSION = { id: "s", resumeUrl: "wss://resume.example", sequence: 10, liveAt: 0 };
const FINISHED = { sequence: 8, finishedAbove: [10, 14], unfinished: [{ sequence: 13, deaths: 1 }] };

it("keeps what is known of events that the replay has not brought again yet", () => {
  const kept = exportSession(SESSION, false, OWNER, FINISHED, virtualClock(), "wss://generic.example", 0);
  expect(kept).toMatchObject({ sequence: 8, finishedAbove: [10, 14], unfinished: [{ sequence: 13, deaths: 1 }] });
});

it("never writes an older time than before, whatever the wall clock does", () => {
  const clock = virtualClock();
  const first = exportSession(SESSION, true, OWNER, FINISHED, clock, "wss://generic.example", 0);
  const setBack = { ...clock, wall: () => clock.wall() - 3_600_000 };
  const second = exportSession(SESSION, true, OWNER, FINISHED, setBack, "wss://generic.example", first.writtenAt);
  expect(second.writtenAt).toBe(first.writtenAt);
  expect(importSession(second, setBack, false)?.liveAt).toBe(clock.now());
});
