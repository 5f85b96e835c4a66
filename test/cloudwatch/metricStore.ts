// The metrics' memory: samples by namespace, name and exact dimensions, read back in half-open windows of time.

import { CannotRehearse } from "./refusal.ts";

/** A metric is its namespace, name and exact set of dimensions: CloudWatch adds nothing up across sets. */
export interface MetricIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** One value, as stored. */
export interface Sample {
  /** Ms since the epoch, cut to the metric's resolution: this decides the bucket. */
  readonly timestamp: number;
  readonly value: number;
  /** `undefined` for a value whose unit is not known: it counts for every unit. */
  readonly unit: string | undefined;
  /** From when on an evaluation sees it, ms since the epoch. */
  readonly visibleAt: number;
}

/** What is known of a metric beyond its samples, kept when those are forgotten. */
export interface Series {
  readonly identity: MetricIdentity;
  readonly units: ReadonlySet<string>;
  readonly count: number;
}

interface Entry {
  readonly identity: MetricIdentity;
  readonly units: Set<string>;
  count: number;
  /** In order of their timestamps. */
  samples: Sample[];
}

// Far above any sane program; what reaches it has an identifier in a dimension, and pays for each.
const MAX_SERIES = 10_000;

/** "Namespace/Name {A=1, B=2}", for people. */
export function metricText(metric: MetricIdentity): string {
  const dimensions = Object.entries(metric.dimensions).map(([key, value]) => `${key}=${value}`);
  return `${metric.namespace}/${metric.name} {${dimensions.join(", ")}}`;
}

function keyOf(metric: MetricIdentity): string {
  const dimensions = Object.entries(metric.dimensions).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([metric.namespace, metric.name, dimensions]);
}

/** Holds samples until they are pruned; at most 10,000 metrics. */
export class MetricStore {
  readonly #entries = new Map<string, Entry>();

  /** Stores one value under `resolution` (seconds, 1 or 60). Throws `CannotRehearse` past 10,000 metrics. */
  put(identity: MetricIdentity, sample: Sample, resolution: number): void {
    const key = keyOf(identity);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= MAX_SERIES) {
        throw new CannotRehearse(
          identity.namespace,
          identity.name,
          "more than 10,000 metrics: what varies in its dimensions?",
        );
      }
      const { namespace, name, dimensions } = identity;
      entry = { identity: { namespace, name, dimensions }, units: new Set(), count: 0, samples: [] };
      this.#entries.set(key, entry);
    }
    const step = resolution * 1000;
    const timestamp = Math.floor(sample.timestamp / step) * step;
    let index = entry.samples.length;
    while (index > 0 && (entry.samples[index - 1]?.timestamp ?? 0) > timestamp) index -= 1;
    entry.samples.splice(index, 0, { ...sample, timestamp });
    entry.count += 1;
    if (sample.unit !== undefined) entry.units.add(sample.unit);
  }

  /** Values in [start, end) that an evaluation at `at` sees; with `unit`, those of that unit (nothing is converted). */
  values(
    identity: MetricIdentity,
    start: number,
    end: number,
    at: number,
    unit: string | undefined,
  ): readonly number[] {
    const samples = this.#entries.get(keyOf(identity))?.samples ?? [];
    const values: number[] = [];
    for (let index = samples.length - 1; index >= 0; index -= 1) {
      const sample = samples[index];
      if (sample === undefined || sample.timestamp < start) break;
      if (sample.timestamp >= end || sample.visibleAt > at) continue;
      if (unit === undefined || sample.unit === undefined || sample.unit === unit) values.push(sample.value);
    }
    return values;
  }

  /** What was ever published under this exact identity. */
  series(identity: MetricIdentity): Series | undefined {
    return this.#entries.get(keyOf(identity));
  }

  /** Every metric ever published. */
  all(): readonly Series[] {
    return [...this.#entries.values()];
  }

  /** Forgets samples stamped before `before`. */
  prune(before: number): void {
    for (const entry of this.#entries.values()) {
      const keep = entry.samples.findIndex((sample) => sample.timestamp >= before);
      if (keep !== 0) entry.samples = keep < 0 ? [] : entry.samples.slice(keep);
    }
  }
}
