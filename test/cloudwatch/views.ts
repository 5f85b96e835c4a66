// What goes into the twin and comes out of it: its options, its face, and the records that it hands out.

import type { AlarmState } from "./alarmState.ts";
import type { DeclaredResource } from "./declared.ts";

export interface TwinOptions {
  readonly resources: readonly DeclaredResource[];
  readonly region: string;
  readonly account: string;
  /** From a line's or value's arrival until an evaluation sees it, ms; 5,000 unless said otherwise (awslogs flushes every 5 s). */
  readonly ingestLagMs?: number;
  /** When the alarms were created, ms since the epoch; the first time the twin hears of, unless said otherwise. */
  readonly createdAt?: number;
  /** The container whose stdout is received, where the program declares several. */
  readonly container?: string;
}

export interface AlarmView {
  readonly name: string;
  readonly arn: string;
  /** The Pulumi program's name for it. */
  readonly resource: string;
  readonly kind: "metric" | "composite";
  readonly state: AlarmState;
  /** Of the last change, ms since the epoch; of its creation if there was none. */
  readonly since: number;
  readonly reason: string;
}

export interface Transition {
  readonly alarm: string;
  readonly from: AlarmState;
  readonly to: AlarmState;
  readonly at: number;
  readonly reason: string;
}

export interface Notification {
  /** The alarm, or the EventBridge rule. */
  readonly alarm: string;
  readonly state: AlarmState | "EVENT";
  readonly topicArn: string;
  readonly at: number;
  /** The alarm's description, or the rule's message. */
  readonly text: string;
  /** Whether the topic took it. */
  readonly delivered: boolean;
  /** What stopped it, or the protocols it went out by. */
  readonly why: string;
}

export interface Twin {
  /** One line of the container's stdout, received at `at` (ms since the epoch). */
  receive(line: string, at: number): void;
  /** Evaluates every alarm for each boundary up to `now`: minutes, or 10 s where an alarm has such a period. */
  advance(now: number): void;
  /** One value of a metric that AWS itself publishes (standard resolution). */
  putMetric(
    namespace: string,
    name: string,
    dimensions: Readonly<Record<string, string>>,
    value: number,
    at: number,
  ): void;
  /** One event on the default bus, such as an ECS task state change. */
  putEvent(event: Readonly<Record<string, unknown>>, at: number): void;
  alarms(): readonly AlarmView[];
  /** Oldest first; the newest 10,000. */
  readonly transitions: readonly Transition[];
  /** Oldest first; the newest 10,000. */
  readonly notifications: readonly Notification[];
  /** Why an alarm (by AWS name or Pulumi name) is silent, or is not, for a person. */
  explain(alarm: string): string;
  /** What went wrong with lines on their way (refused documents, discarded datapoints, masked text), each with its count. */
  notes(): readonly string[];
}
