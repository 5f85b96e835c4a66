// What happens to a line of stdout: routed to its log group, its metrics extracted and stored, its losses written down.

import { type Mask, masked } from "./dataProtection.ts";
import { extractMetrics, type MetricPoints } from "./embeddedMetrics.ts";
import { type Route, splitIntoEvents } from "./logRouting.ts";
import type { MetricFilter } from "./metricFilter.ts";
import { type MetricIdentity, type MetricStore, metricText } from "./metricStore.ts";
import { CannotRehearse } from "./refusal.ts";

export interface IntakeOptions {
  readonly store: MetricStore;
  readonly route: Route;
  readonly filters: readonly MetricFilter[];
  readonly masks: readonly Mask[];
  /** From a line's arrival until an evaluation sees its metrics, ms. */
  readonly lagMs: number;
}

const HOUR_MS = 3_600_000;
// Enough to explain with; more would say nothing new.
const MAX_NOTES = 200;

/** Takes lines in; what got lost on the way can be asked for afterwards. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #notes = new Map<string, number>();
  readonly #discarded = new Map<string, string>();
  #lines = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Lines received so far. */
  get lines(): number {
    return this.#lines;
  }

  /** Where lines go. */
  get route(): Route {
    return this.#options.route;
  }

  /** What went wrong with lines, each with the number of times. */
  notes(): readonly string[] {
    return [...this.#notes].map(([note, times]) => (times === 1 ? note : `${note} (${times} times)`));
  }

  /** Why this metric's datapoints were discarded, if any were. */
  discarded(metric: MetricIdentity): string | undefined {
    return this.#discarded.get(metricText(metric));
  }

  /** One line of stdout, received at `at` (ms since the epoch). */
  receive(line: string, at: number): void {
    const { route } = this.#options;
    for (const event of splitIntoEvents(line)) {
      this.#lines += 1;
      if (route.kind === "group") this.ingest(event, route.group, at);
    }
  }

  /** One log event that reaches a log group at `at`. */
  ingest(event: string, group: string, at: number): void {
    this.#logGroupMetric(group, "IncomingLogEvents", "Count", 1, at);
    this.#logGroupMetric(group, "IncomingBytes", "Bytes", Buffer.byteLength(event), at);
    const { text, found } = masked(this.#options.masks, group, event);
    for (const { identifier } of found) this.#note(`CloudWatch Logs masked ${identifier} in a log event`);
    const extraction = extractMetrics(event, at);
    const [mask] = found;
    if (mask !== undefined && extraction.kind !== "plain") {
      const why = "it matches an embedded metric document, and what becomes of its metrics is not documented";
      throw new CannotRehearse(mask.resource, mask.identifier, why);
    }
    switch (extraction.kind) {
      case "plain":
        break;
      case "invalid":
        this.#note(`embedded metric document refused: ${extraction.why}`);
        this.#logGroupMetric(group, extraction.counter, "None", 1, at);
        break;
      case "discarded":
        this.#note(`datapoints discarded: ${extraction.why}`);
        for (const points of extraction.points) this.#discard(points, extraction.why);
        break;
      case "points":
        for (const points of extraction.points) this.#store(points, at);
        break;
    }
    for (const filter of this.#options.filters) {
      if (filter.group !== group) continue;
      const outcome = filter.apply(text);
      if (outcome.kind === "note") this.#note(`metric filter ${filter.name}: ${outcome.why}`);
      if (outcome.kind === "value") this.#store({ ...outcome.point, timestamp: at, resolution: 60 }, at);
    }
  }

  #store(points: MetricPoints, at: number): void {
    const visibleAt = at + delayOf(at - points.timestamp) + this.#options.lagMs;
    const { timestamp, unit } = points;
    for (const value of points.values) {
      this.#options.store.put(points, { timestamp, value, unit, visibleAt }, points.resolution);
    }
  }

  #logGroupMetric(group: string, name: string, unit: string, value: number, at: number): void {
    const points = { namespace: "AWS/Logs", name, dimensions: { LogGroupName: group }, unit };
    this.#store({ ...points, timestamp: at, resolution: 60, values: [value] }, at);
  }

  #discard(points: MetricPoints, why: string): void {
    const key = metricText(points);
    if (this.#discarded.size < MAX_NOTES || this.#discarded.has(key)) this.#discarded.set(key, why);
  }

  #note(note: string): void {
    const key = note.replace(/\b\d{9,}\b/g, "N");
    if (this.#notes.size < MAX_NOTES || this.#notes.has(key)) this.#notes.set(key, (this.#notes.get(key) ?? 0) + 1);
  }
}

/** PutMetricData: points stamped 3 to 24 h back may take 2 h to appear, older ones 48 h. */
function delayOf(ageMs: number): number {
  if (ageMs > 24 * HOUR_MS) return 48 * HOUR_MS;
  return ageMs > 3 * HOUR_MS ? 2 * HOUR_MS : 0;
}
