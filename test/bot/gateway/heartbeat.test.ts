// Heartbeats: the first one's jitter, never late, and telling a dead peer from a process that stood still.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  acknowledge,
  beat,
  beatOnRequest,
  beatWithGrace,
  judge,
  startHeartbeat,
} from "../../../bot/gateway/heartbeat.ts";

const INTERVAL = 41_250;

describe("a heartbeat", () => {
  it("comes first at interval x random, then up to 5 % early and never late", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (one, two) => {
          const first = startHeartbeat(INTERVAL, 100, () => one);
          expect(first.dueAt).toBeCloseTo(100 + INTERVAL * one, 6);
          const next = beat(first, first.dueAt, () => two).dueAt - first.dueAt;
          expect(next).toBeLessThanOrEqual(INTERVAL + 1e-6);
          expect(next).toBeGreaterThanOrEqual(INTERVAL * 0.95 - 1e-6);
        },
      ),
    );
  });

  it.each([
    { acknowledged: true, lateMs: 0, verdict: "beat" },
    { acknowledged: true, lateMs: 60_000, verdict: "beat" },
    { acknowledged: false, lateMs: 0, verdict: "zombie" },
    { acknowledged: false, lateMs: 900, verdict: "zombie" },
    { acknowledged: false, lateMs: 1_100, verdict: "grace" },
  ])("acknowledged $acknowledged and $lateMs ms late: $verdict", ({ acknowledged, lateMs, verdict }) => {
    const sent = beat(
      startHeartbeat(INTERVAL, 0, () => 0),
      0,
      () => 0,
    );
    const state = acknowledged ? acknowledge(sent, 50).heartbeat : sent;
    expect(judge(state, state.dueAt + lateMs, false)).toBe(verdict);
  });

  it("gives one more round trip after a stall, and not two", () => {
    const sent = beat(
      startHeartbeat(INTERVAL, 0, () => 0),
      0,
      () => 0,
    );
    const graced = beatWithGrace(sent, 50_000);
    expect(graced.dueAt).toBe(55_000);
    expect(judge(graced, 58_000, false)).toBe("zombie");
    expect(judge(acknowledge(graced, 51_000).heartbeat, 58_000, false)).toBe("beat");
  });

  it("that Discord asked for does not put the judgement off", () => {
    const sent = beat(
      startHeartbeat(INTERVAL, 0, () => 0),
      0,
      () => 0,
    );
    expect(beatOnRequest(sent, 30_000, () => 0)).toBe(sent);
    const quiet = acknowledge(sent, 40).heartbeat;
    expect(beatOnRequest(quiet, 30_000, () => 0)).toMatchObject({
      dueAt: 30_000 + INTERVAL,
      unacknowledgedSince: 30_000,
    });
  });

  it("measures from the beat to its acknowledgement", () => {
    const sent = beat(
      startHeartbeat(INTERVAL, 0, () => 0),
      10,
      () => 0,
    );
    expect(acknowledge(sent, 52).latencyMs).toBe(42);
    expect(acknowledge(acknowledge(sent, 52).heartbeat, 60).latencyMs).toBeNull();
  });
});
