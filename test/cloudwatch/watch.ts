// One alarm over time: its state, since when, and how near its datapoints came, so that a silent alarm can be explained.

import type { AlarmState } from "./alarmState.ts";
import type { CompositeAlarm } from "./compositeAlarm.ts";
import type { MetricAlarm, Range } from "./metricAlarm.ts";
import { IDLE, type Suppression } from "./suppression.ts";

/** Before its first evaluation, during its warm-up, and from then on. */
export type Phase = "created" | "warmingUp" | "evaluated";

export interface MetricWatch {
  readonly alarm: MetricAlarm;
  phase: Phase;
  state: AlarmState;
  since: number;
  reason: string;
  /** The datapoint that came nearest to breaching, or breached furthest. */
  extreme: number | undefined;
  /** The most breaching datapoints among the newest N at any evaluation. */
  mostBreaching: number;
  /** Evaluations that left the state alone because a percentile had too few samples. */
  held: number;
}

export interface CompositeWatch {
  readonly alarm: CompositeAlarm;
  phase: Phase;
  state: AlarmState;
  since: number;
  reason: string;
  suppression: Suppression;
  /** Changes of state whose actions were still held back when the next change came. */
  overtaken: number;
}

export type Watch = MetricWatch | CompositeWatch;

/** Tells the two apart by their alarm. */
export function isComposite(watch: Watch): watch is CompositeWatch {
  return watch.alarm.kind === "composite";
}

/** A metric alarm as it is created: INSUFFICIENT_DATA, never evaluated. */
export function newMetricWatch(alarm: MetricAlarm): MetricWatch {
  return {
    alarm,
    phase: "created",
    state: "INSUFFICIENT_DATA",
    since: 0,
    reason: "as it was created",
    extreme: undefined,
    mostBreaching: 0,
    held: 0,
  };
}

/** A composite alarm as it is created. */
export function newCompositeWatch(alarm: CompositeAlarm): CompositeWatch {
  return {
    alarm,
    phase: "created",
    state: "INSUFFICIENT_DATA",
    since: 0,
    reason: "as it was created",
    suppression: IDLE,
    overtaken: 0,
  };
}

/** Keeps the high (or low) water marks of an evaluation. */
export function remember(watch: MetricWatch, range: Range): void {
  const { alarm } = watch;
  const upward = alarm.comparison === ">" || alarm.comparison === ">=";
  for (const value of range.values) {
    if (value === undefined) continue;
    if (watch.extreme === undefined) watch.extreme = value;
    else watch.extreme = upward ? Math.max(watch.extreme, value) : Math.min(watch.extreme, value);
  }
  const newest = range.datapoints.slice(-alarm.evaluationPeriods);
  watch.mostBreaching = Math.max(watch.mostBreaching, newest.filter((point) => point === "breaching").length);
}
