// One metric line in CloudWatch's embedded metric format: the numbers of an interval become one JSON object (pure).

import { METRIC_DIMENSION, METRIC_NAMESPACE, METRICS, type MetricName, metricNames } from "../../shared/metrics.ts";

/** Most numbers in one value array (embedded metric format specification). */
export const MOST_SAMPLES = 100;

/** The numbers between two lines. */
export interface Snapshot {
  /** Every counter, 0 included. */
  readonly counters: ReadonlyMap<MetricName, number>;
  /** Every level that is known. */
  readonly levels: ReadonlyMap<MetricName, number>;
  /** Samples, at most MOST_SAMPLES each; a distribution without any is left out. */
  readonly distributions: ReadonlyMap<MetricName, readonly number[]>;
}

/**
 * The line's object: every number is a member of its root, the published ones are also listed for CloudWatch to extract.
 * @param stack value of the one dimension.
 * @param at wall time in ms since 1970; seconds would be taken for 1970 and dropped without a word.
 */
export function embeddedMetrics(snapshot: Snapshot, stack: string, at: number): Record<string, unknown> {
  const members: Record<string, number | readonly number[]> = {};
  const metrics: { Name: string; Unit: string }[] = [];
  for (const name of metricNames()) {
    const samples = snapshot.distributions.get(name)?.slice(0, MOST_SAMPLES).map(rounded);
    const value = snapshot.counters.get(name) ?? snapshot.levels.get(name) ?? samples;
    // A listed metric without its member would void the document.
    if (value === undefined || samples?.length === 0) continue;
    members[name] = value;
    const { reach, unit } = METRICS[name];
    if (reach === "published") metrics.push({ Name: name, Unit: unit });
  }
  return {
    _aws: {
      Timestamp: Math.trunc(at),
      CloudWatchMetrics: [{ Namespace: METRIC_NAMESPACE, Dimensions: [[METRIC_DIMENSION]], Metrics: metrics }],
    },
    [METRIC_DIMENSION]: stack,
    ...members,
  };
}

/** Microseconds are noise in a sample of milliseconds, and bytes to pay for. */
const rounded = (sample: number): number => Math.round(sample * 1_000) / 1_000;
