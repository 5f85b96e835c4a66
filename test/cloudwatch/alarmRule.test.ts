// Composite rules: what they mean, and which are refused.

import { describe, expect, it } from "vitest";
import { AlarmRuleError, childrenOf, holds, parseAlarmRule } from "./alarmRule.ts";
import type { AlarmState } from "./alarmState.ts";

const ARN = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:a";
const STATES: Readonly<Record<string, AlarmState>> = {
  a: "ALARM",
  o: "OK",
  i: "INSUFFICIENT_DATA",
  "with blanks, and (brackets)": "ALARM",
  [ARN]: "ALARM",
};
const stateOf = (alarm: string): AlarmState => STATES[alarm] ?? "INSUFFICIENT_DATA";

describe("a rule", () => {
  it.each([
    ["ALARM(a)", true],
    ["ALARM(o)", false],
    ["OK(o)", true],
    ["INSUFFICIENT_DATA(i)", true],
    ['ALARM("a")', true],
    ['ALARM("with blanks, and (brackets)")', true],
    [`ALARM(${ARN})`, true],
    ["TRUE", true],
    ["FALSE", false],
    ["NOT ALARM(a)", false],
    ["NOT (ALARM(o) OR ALARM(i))", true],
    ["ALARM(a) AND NOT ALARM(o)", true],
    ["ALARM(a) AND OK(o) AND ALARM(i)", false],
    ["ALARM(o) OR ALARM(i) OR ALARM(a)", true],
    ["(ALARM(o) AND ALARM(a)) OR OK(o)", true],
    ["ALARM(o) AND (ALARM(a) OR OK(o))", false],
    ["AT_LEAST(2, ALARM, (a, o, i))", false],
    ["AT_LEAST(1, ALARM, (a, o, i))", true],
    ["AT_LEAST(2, NOT ALARM, (a, o, i))", true],
    ["AT_LEAST(50%, OK, (a, o))", true],
    ["  ALARM( a )\n", true],
  ])("%s holds: %s", (rule, expected) => {
    expect(holds(parseAlarmRule(rule), stateOf)).toBe(expected);
  });

  it("knows its children, each once", () => {
    expect(childrenOf(parseAlarmRule('(ALARM(a) OR OK("b c")) AND NOT AT_LEAST(1, OK, (a, d))'))).toEqual([
      "a",
      "b c",
      "d",
    ]);
  });

  it.each([
    ["", "ends too early"],
    ["ALARM()", "name is missing"],
    ["ALARM(a", '")" expected'],
    ["alarm(a)", "neither a state nor an operator"],
    ["ALARM(a) ALARM(o)", "left over"],
    ["ALARM(a) AND ALARM(o) OR ALARM(i)", "mixed"],
    ["AT_LEAST(3, ALARM, (a, o))", "AT_LEAST 3 of 2"],
    ["AT_LEAST(50%, ALARM, (a, o, i))", "no whole number"],
    ['ALARM("a)', "unreadable"],
    [`ALARM(${"a".repeat(10_240)})`, "longer than"],
    [Array.from({ length: 101 }, (_, index) => `ALARM(a${index})`).join(" OR "), "more than 100 alarms"],
  ])("%.40s is refused", (rule, why) => {
    expect(() => parseAlarmRule(rule)).toThrow(AlarmRuleError);
    expect(() => parseAlarmRule(rule)).toThrow(why);
  });
});
