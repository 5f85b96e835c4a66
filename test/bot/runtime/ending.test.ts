// The end of a run that itself goes wrong.

import { expect, it } from "vitest";
import { createEnding, type EndingParts } from "../../../bot/runtime/ending.ts";
import { createLifecycle } from "../../../bot/runtime/lifecycle.ts";
import type { RunningTelemetry } from "../../../bot/telemetry/telemetryDriver.ts";
import { METRICS } from "../../../shared/metrics.ts";
import { virtualClock } from "../../virtualClock.ts";
import { recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

it("is an end all the same, with exit code 70 and the error in the log", async () => {
  const clock = virtualClock();
  const recording = recordingTelemetry();
  const telemetry: RunningTelemetry = {
    ...recording,
    start: () => {},
    stop: () => {},
    totals: () => Object.assign({}, ...Object.keys(METRICS).map((name) => ({ [name]: 0 }))),
  };
  const lifecycle = createLifecycle({ clock, telemetry });
  const broken: Partial<EndingParts> = {
    clock,
    telemetry,
    lifecycle,
    leading() {
      throw new Error("half of it is gone");
    },
  };
  // Nothing else is reached.
  const ending = createEnding(broken as EndingParts);
  await ending.drain("SIGTERM", true);
  expect(await lifecycle.ended).toBe(70);
  expect(recording.lines.map(({ fields }) => JSON.stringify(fields)).join()).toContain("half of it is gone");
});
