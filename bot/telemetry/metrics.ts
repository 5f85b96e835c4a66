// Keeps the numbers between two metric lines, and their totals since the start.

import {
  type CounterName,
  type DistributionName,
  type LevelName,
  METRICS,
  type MetricName,
  metricNames,
} from "../../shared/metrics.ts";
import type { Random } from "../clock.ts";
import { MOST_SAMPLES, type Snapshot } from "./embeddedMetrics.ts";

/**
 * Levels left out until they are first set: a 0 would be a false alarm before Discord has told, and a metric to pay for in
 * a bot that asks no model's provider and for no intent that it could do without.
 */
const UNKNOWN_AT_FIRST: ReadonlySet<MetricName> = new Set<LevelName>([
  "IdentifiesRemaining",
  "IntentsDropped",
  "UpstreamKeysSpent",
  "UpstreamDown",
]);

export interface Recorder {
  count(metric: CounterName, by?: number): void;
  level(metric: LevelName, value: number): void;
  observe(metric: DistributionName, value: number): void;
  /** Everything since the last call; counters and distributions begin anew. */
  take(): Snapshot;
  /** Since the start: a counter's sum, a level as it is now (0 before it is known), a distribution's samples in number. */
  totals(): Record<MetricName, number>;
}

interface Samples {
  seen: number;
  highest: number;
  readonly kept: number[];
}

/**
 * A value that is not finite is left out: it would void the whole line (embedded metric format).
 * @param random picks which samples stay when a distribution gets more than a line takes.
 */
export function createRecorder(random: Random): Recorder {
  const totals = new Map<MetricName, number>(metricNames().map((name) => [name, 0]));
  const counters = new Map<MetricName, number>();
  const levels = new Map<MetricName, number>();
  const distributions = new Map<MetricName, Samples>();
  for (const name of metricNames()) {
    const { kind } = METRICS[name];
    if (kind === "counter") counters.set(name, 0);
    if (kind === "level" && !UNKNOWN_AT_FIRST.has(name)) levels.set(name, 0);
  }

  const add = (sums: Map<MetricName, number>, name: MetricName, by: number): void => {
    sums.set(name, (sums.get(name) ?? 0) + by);
  };

  return {
    count(metric, by = 1) {
      if (!Number.isFinite(by)) return;
      add(counters, metric, by);
      add(totals, metric, by);
    },
    level(metric, value) {
      if (!Number.isFinite(value)) return;
      levels.set(metric, value);
      totals.set(metric, value);
    },
    observe(metric, value) {
      if (!Number.isFinite(value)) return;
      add(totals, metric, 1);
      const samples = distributions.get(metric);
      if (samples === undefined) {
        distributions.set(metric, { seen: 1, highest: value, kept: [value] });
        return;
      }
      samples.seen++;
      samples.highest = Math.max(samples.highest, value);
      if (samples.kept.length < MOST_SAMPLES) {
        samples.kept.push(value);
        return;
      }
      // Reservoir sampling (Vitter's algorithm R): each of the samples seen is kept with the same chance.
      const place = Math.floor(random() * samples.seen);
      if (place < MOST_SAMPLES) samples.kept[place] = value;
    },
    take() {
      const samples = new Map<MetricName, readonly number[]>();
      for (const [name, { kept, highest }] of distributions) {
        // An alarm on the maximum must see it, so it takes a place in the sample if chance has not given it one.
        samples.set(name, kept.includes(highest) ? kept : [...kept.slice(1), highest]);
      }
      const snapshot = { counters: new Map(counters), levels: new Map(levels), distributions: samples };
      for (const name of counters.keys()) counters.set(name, 0);
      distributions.clear();
      return snapshot;
    },
    totals() {
      const result: Partial<Record<MetricName, number>> = Object.fromEntries(totals);
      return complete(result);
    },
  };
}

function complete(partial: Partial<Record<MetricName, number>>): Record<MetricName, number> {
  const isComplete = (value: Partial<Record<MetricName, number>>): value is Record<MetricName, number> =>
    metricNames().every((name) => value[name] !== undefined);
  if (!isComplete(partial)) throw new Error("a metric of the table has no total; this is a bug");
  return partial;
}
