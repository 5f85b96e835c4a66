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

interface Counter {
  sinceTaken: number;
  sinceStart: number;
}

interface Samples {
  sinceStart: number;
  sinceTaken: number;
  highest: number;
  kept: number[];
}

/**
 * A value that is not finite is left out: it would void the whole line (embedded metric format).
 * @param random picks which samples stay when a distribution gets more than a line takes.
 */
export function createRecorder(random: Random): Recorder {
  // An event counts more than once, so what a counter holds is found by one look-up and changed in place.
  const counters = new Map<MetricName, Counter>();
  const levels = new Map<MetricName, number>();
  const distributions = new Map<MetricName, Samples>();
  for (const name of metricNames()) {
    const { kind } = METRICS[name];
    if (kind === "counter") counters.set(name, { sinceTaken: 0, sinceStart: 0 });
    if (kind === "level" && !UNKNOWN_AT_FIRST.has(name)) levels.set(name, 0);
    if (kind === "distribution") distributions.set(name, { sinceStart: 0, sinceTaken: 0, highest: 0, kept: [] });
  }

  return {
    count(metric, by = 1) {
      const counter = counters.get(metric);
      if (counter === undefined || !Number.isFinite(by)) return;
      counter.sinceTaken += by;
      counter.sinceStart += by;
    },
    level(metric, value) {
      if (Number.isFinite(value)) levels.set(metric, value);
    },
    observe(metric, value) {
      const samples = distributions.get(metric);
      if (samples === undefined || !Number.isFinite(value)) return;
      samples.sinceStart++;
      samples.sinceTaken++;
      samples.highest = samples.sinceTaken === 1 ? value : Math.max(samples.highest, value);
      if (samples.kept.length < MOST_SAMPLES) {
        samples.kept.push(value);
        return;
      }
      // Reservoir sampling (Vitter's algorithm R): each of the samples seen is kept with the same chance.
      const place = Math.floor(random() * samples.sinceTaken);
      if (place < MOST_SAMPLES) samples.kept[place] = value;
    },
    take() {
      const sums = new Map<MetricName, number>();
      for (const [name, counter] of counters) {
        sums.set(name, counter.sinceTaken);
        counter.sinceTaken = 0;
      }
      const sampled = new Map<MetricName, readonly number[]>();
      for (const [name, samples] of distributions) {
        const { kept, highest } = samples;
        if (kept.length === 0) continue;
        // An alarm on the maximum must see it, so it takes a place in the sample if chance has not given it one.
        sampled.set(name, kept.includes(highest) ? kept : [...kept.slice(1), highest]);
        samples.kept = [];
        samples.sinceTaken = 0;
      }
      return { counters: sums, levels: new Map(levels), distributions: sampled };
    },
    totals() {
      const result: Partial<Record<MetricName, number>> = {};
      for (const name of metricNames()) {
        result[name] = (counters.get(name) ?? distributions.get(name))?.sinceStart ?? levels.get(name) ?? 0;
      }
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
