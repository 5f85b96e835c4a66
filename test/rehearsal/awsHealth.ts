// What AWS itself publishes about a healthy stack, for the alarms that take its silence for a fault.

import { METRIC_DIMENSION, METRIC_NAMESPACE } from "../../shared/metrics.ts";
import type { Twin } from "../cloudwatch/twin.ts";
import type { DeclaredProgram } from "../infra/program.ts";

const MINUTE_MS = 60_000;

/** Publishes for the minute that `at` is in. */
export type Health = (twin: Twin, at: number) => void;

export function healthOf(program: DeclaredProgram): Health {
  const sources = program.resources.flatMap(({ type, inputs }) => {
    const { namespace, metricName, dimensions, treatMissingData } = inputs;
    if (type !== "aws:cloudwatch/metricAlarm:MetricAlarm" || treatMissingData !== "breaching") return [];
    if (typeof namespace !== "string" || !namespace.startsWith("AWS/") || typeof metricName !== "string") return [];
    return [{ namespace, metricName, dimensions: textsOf(dimensions) }];
  });
  return (twin, at) => {
    for (const { namespace, metricName, dimensions } of sources) {
      twin.putMetric(namespace, metricName, dimensions, 0, at);
    }
  };
}

/** What a bot that lives publishes once a minute at least. */
export function beat(twin: Twin, stack: string, at: number): void {
  twin.putMetric(METRIC_NAMESPACE, "Heartbeat", { [METRIC_DIMENSION]: stack }, 1, at);
}

/** A stack that was deployed at `since` and has been healthy until `now`: its alarms are past their warm-up. */
export function healthyUntil(now: number, since: number, stack: string, twin: Twin, health: Health): void {
  for (let at = since; at < now; at += MINUTE_MS) {
    beat(twin, stack, at);
    health(twin, at);
    twin.advance(at);
  }
}

const textsOf = (value: unknown): Record<string, string> =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, text]) => [name, String(text)]))
    : {};
