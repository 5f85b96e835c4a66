// An alarm as data: what is watched, when it is too much, whom it wakes, what it means and what to do first.

import type { Severity } from "../paging.ts";

/** A metric's place in CloudWatch. `Text` is a value known now, or an output of another resource. */
export interface MetricSource<Text> {
  readonly namespace: string;
  readonly metric: string;
  readonly dimensions: Readonly<Record<string, Text>>;
}

/** When a datapoint breaches, and how many of them make an alarm. */
export interface Condition {
  readonly statistic: "Sum" | "Maximum" | "Minimum" | "Average" | "p99";
  readonly comparison:
    | "GreaterThanOrEqualToThreshold"
    | "GreaterThanThreshold"
    | "LessThanOrEqualToThreshold"
    | "LessThanThreshold";
  readonly threshold: number;
  /** Seconds. */
  readonly period: number;
  readonly breaching: number;
  readonly of: number;
  readonly missing: "breaching" | "notBreaching" | "ignore";
  /** Minutes after its creation in which the alarm keeps quiet. */
  readonly warmUp?: number;
}

/** Where an alarm's change of state goes: to a topic, or into composite alarms that judge it with others. */
export type Reaction = Severity | "part";

export interface AlarmRule<Text = string> {
  /** Also the heading of its section in RUNBOOKS.md. */
  readonly name: string;
  readonly source: MetricSource<Text>;
  readonly when: Condition;
  readonly reaction: Reaction;
  readonly meaning: string;
  readonly firstAction: string;
}

export interface CompositeRule {
  readonly name: string;
  /** The rule expression over other rules' names, each written as `ALARM(Name)`. */
  readonly expression: string;
  readonly reaction: Severity;
  readonly meaning: string;
  readonly firstAction: string;
}

// A page on a condition that may pass by itself waits for three bad minutes of five; late datapoints then change nothing.
export const SUSTAINED = { period: 60, breaching: 3, of: 5 } as const;
/** A counter's condition: its sum a minute; a minute without a line is a minute without the fault. */
export const COUNTER = { statistic: "Sum", missing: "notBreaching", ...SUSTAINED } as const;

/** A rule's section in RUNBOOKS.md; the rules of all zones share one. */
export function runbookSection(ruleName: string): string {
  return ruleName.replace(/-[a-z]$/, "");
}

/** The parts that a composite's expression raises on; what stands behind NOT only holds it back. */
export function raisingParts(expression: string): readonly string[] {
  const raising = expression.replace(/NOT \([^()]*(?:\([^()]*\)[^()]*)*\)/g, "").replace(/NOT ALARM\(\w+\)/g, "");
  return [...raising.matchAll(/ALARM\((\w+)\)/g)].map((match) => match[1] ?? "");
}
