// The state algorithm against both tables of "Configuring how CloudWatch alarms treat missing data".

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AlarmState, type Datapoint, type MissingData, nextState } from "./alarmState.ts";

const STATES: readonly AlarmState[] = ["OK", "ALARM", "INSUFFICIENT_DATA"];
const TREATMENTS: readonly MissingData[] = ["missing", "ignore", "breaching", "notBreaching"];
const POINT: Readonly<Record<string, Datapoint>> = { X: "breaching", "0": "ok", "-": "missing" };
const points = (text: string): Datapoint[] => text.split(" ").map((letter) => POINT[letter] ?? "missing");

// N/M, points (newest right), then the state under missing, ignore, breaching, notBreaching.
const TABLE = `
3/3 | 0 - X - X | OK                | OK    | OK    | OK
3/3 | 0 - - - - | OK                | OK    | OK    | OK
3/3 | - - - - - | INSUFFICIENT_DATA | keep  | ALARM | OK
3/3 | 0 X X - X | ALARM             | ALARM | ALARM | ALARM
3/3 | - - X - - | ALARM             | keep  | ALARM | OK
3/2 | 0 - X - X | ALARM             | ALARM | ALARM | ALARM
3/2 | 0 0 X 0 X | ALARM             | ALARM | ALARM | ALARM
3/2 | 0 - X - - | OK                | OK    | ALARM | OK
3/2 | - - - - 0 | OK                | OK    | ALARM | OK
3/2 | - - - X - | ALARM             | keep  | ALARM | OK
3/3 | - - - - X | keep              | keep  | ALARM | OK
3/3 | - - - X - | keep              | keep  | ALARM | OK
3/3 | - - - X 0 | OK                | OK    | OK    | OK
1/1 | - - -     | INSUFFICIENT_DATA | keep  | ALARM | OK
1/1 | X - -     | ALARM             | ALARM | ALARM | ALARM
3/2 | 0 0 0 0 X | OK                | OK    | OK    | OK
3/2 | X X - - - | ALARM             | ALARM | ALARM | ALARM
3/3 | X X X 0 0 | OK                | OK    | OK    | OK
3/3 | X 0 0 X 0 | OK                | OK    | OK    | OK`;

const CASES = TABLE.trim()
  .split("\n")
  .flatMap((line) => {
    const [sizes = "", datapoints = "", ...expected] = line.split("|").map((cell) => cell.trim());
    const [periods, toAlarm] = sizes.split("/").map(Number);
    return TREATMENTS.map((missing, index) => ({
      periods: periods ?? 0,
      toAlarm: toAlarm ?? 0,
      datapoints,
      missing,
      expected: expected[index] ?? "",
    }));
  });

describe("the next state", () => {
  it.each(CASES)(
    "$datapoints, $toAlarm of $periods, $missing: $expected",
    ({ periods, toAlarm, datapoints, missing, expected }) => {
      for (const previous of STATES) {
        const state = nextState({
          datapoints: points(datapoints),
          evaluationPeriods: periods,
          datapointsToAlarm: toAlarm,
          missing,
          previous,
        });
        expect(state).toBe(expected === "keep" ? previous : expected);
      }
    },
  );

  it("depends on treatMissingData only while fewer than N datapoints are real", () => {
    const evaluations = fc.record({
      datapoints: fc.array(fc.constantFrom<Datapoint[]>("breaching", "ok", "missing"), { minLength: 3, maxLength: 7 }),
      previous: fc.constantFrom(...STATES),
    });
    fc.assert(
      fc.property(evaluations, fc.integer({ min: 1, max: 3 }), ({ datapoints, previous }, toAlarm) => {
        const evaluationPeriods = datapoints.length - 2;
        fc.pre(toAlarm <= evaluationPeriods);
        const real = datapoints.filter((point) => point !== "missing").length;
        const states = TREATMENTS.map((missing) =>
          nextState({ datapoints, evaluationPeriods, datapointsToAlarm: toAlarm, missing, previous }),
        );
        if (real >= evaluationPeriods) expect(new Set(states).size).toBe(1);
        // Reading gaps as breaching can never be calmer than reading them as not breaching.
        if (states[3] === "ALARM") expect(states[2]).toBe("ALARM");
      }),
    );
  });
});
