// The alarm on tasks that are not heard, by the declared program and CloudWatch's own semantics.

import { expect, it } from "vitest";
import { createTwin } from "../cloudwatch/twin.ts";
import { beat, healthOf } from "../rehearsal/awsHealth.ts";
import { declareProgram } from "./program.ts";

const STACK = "mooring-staging";
const ALARM = `${STACK}-TasksMissing`;
const MINUTE_MS = 60_000;
const DEPLOYED_AT = Date.UTC(2026, 0, 1);
// METRICS_INTERVAL_MS, and a timer that is late by a little each time.
const LINE_EVERY_MS = 10_040;

it("is declared only where there are several tasks", async () => {
  const { resources } = await declareProgram({ stack: "staging" });
  expect(resources.map(({ inputs }) => inputs["name"])).not.toContain(ALARM);
});

it.each([2, 10])("notifies within ten minutes when one of %i tasks falls silent, and clears", async (tasks) => {
  const program = await declareProgram({ stack: "staging", config: { tasks: String(tasks), ledger: "true" } });
  const twin = createTwin({ ...program, createdAt: DEPLOYED_AT });
  const health = healthOf(program);
  let now = DEPLOYED_AT;
  const live = (minutes: number, heard: number): void => {
    const from = now;
    const until = from + minutes * MINUTE_MS;
    for (; now < until; now += 1_000) {
      for (let task = 0; task < heard; task++) {
        // Each began at a moment of its own.
        if ((now + task * 1_700) % LINE_EVERY_MS < 1_000) beat(twin, STACK, now);
      }
      if (now % MINUTE_MS === 0) health(twin, now);
      twin.advance(now);
    }
  };
  const state = (): unknown => twin.alarms().find(({ name }) => name === ALARM)?.state;
  const alarmed = (): string[] => twin.notifications.filter((one) => one.state === "ALARM").map(({ alarm }) => alarm);

  live(60, tasks);
  expect(alarmed()).toEqual([]);
  // A deploy: one more for a while, one less for less than five minutes.
  live(2, tasks + 1);
  live(3, tasks - 1);
  live(10, tasks);
  expect(alarmed()).toEqual([]);
  live(10, tasks - 1);
  expect(state()).toBe("ALARM");
  expect(alarmed()).toEqual([ALARM]);
  live(3, tasks);
  expect(state()).toBe("OK");
});
