// The six examples of "Composite alarm action suppression": wait period 2, extension period 3, in the guide's own units.

import { describe, expect, it } from "vitest";
import type { AlarmState } from "./alarmState.ts";
import { changed, due, IDLE, suppressorMoved } from "./suppression.ts";

const PERIODS = { waitMs: 2, extensionMs: 3 };

interface Scenario {
  readonly title: string;
  /** State changes by time: of the composite, of the suppressor. */
  readonly composite: Readonly<Record<number, AlarmState>>;
  readonly suppressor: Readonly<Record<number, "ALARM" | "OK">>;
  /** Actions by time. */
  readonly acts: Readonly<Record<number, AlarmState>>;
}

const SCENARIOS: readonly Scenario[] = [
  { title: "acts after the wait", composite: { 2: "ALARM" }, suppressor: {}, acts: { 4: "ALARM" } },
  {
    title: "does not act when suppressed within the wait",
    composite: { 2: "ALARM" },
    suppressor: { 3: "ALARM" },
    acts: {},
  },
  { title: "waits anew when it changes again", composite: { 2: "ALARM", 3: "OK" }, suppressor: {}, acts: { 5: "OK" } },
  { title: "does not act while suppressed", composite: { 2: "ALARM" }, suppressor: { 1: "ALARM" }, acts: {} },
  {
    title: "acts an extension after the suppressor's end",
    composite: { 2: "ALARM" },
    suppressor: { 3: "ALARM", 6: "OK" },
    acts: { 9: "ALARM" },
  },
  {
    title: "drops the extension for a new wait when it changes",
    composite: { 2: "ALARM", 7: "OK" },
    suppressor: { 3: "ALARM", 6: "OK" },
    acts: { 9: "OK" },
  },
  {
    title: "stays suppressed when the suppressor returns within the extension",
    composite: { 2: "ALARM" },
    suppressor: { 3: "ALARM", 6: "OK", 8: "ALARM" },
    acts: {},
  },
];

describe("a composite alarm with a suppressor", () => {
  it.each(SCENARIOS)("$title", ({ composite, suppressor, acts }) => {
    let current = IDLE;
    let inAlarm = false;
    const acted: Record<number, AlarmState> = {};
    for (let now = 0; now < 20; now += 1) {
      const moved = suppressor[now];
      if (moved !== undefined) {
        inAlarm = moved === "ALARM";
        current = suppressorMoved(current, inAlarm, PERIODS, now);
      }
      const state = composite[now];
      if (state !== undefined) current = changed(state, inAlarm, PERIODS, now);
      const acting = due(current, now);
      if (acting === undefined) continue;
      acted[now] = acting;
      current = IDLE;
    }
    expect(acted).toEqual(acts);
  });
});
