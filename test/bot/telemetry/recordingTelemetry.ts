// A telemetry that keeps what it is told, for tests to look at.

import type { Telemetry } from "../../../bot/telemetry/telemetry.ts";

export interface RecordingTelemetry extends Telemetry {
  readonly events: { readonly name: string; readonly fields: Readonly<Record<string, unknown>> }[];
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object | undefined }[];
  readonly counts: Map<string, number>;
  readonly levels: Map<string, number>;
  readonly samples: Map<string, number[]>;
  named(event: string): Readonly<Record<string, unknown>>[];
}

export function recordingTelemetry(): RecordingTelemetry {
  const events: RecordingTelemetry["events"] = [];
  const lines: RecordingTelemetry["lines"] = [];
  const counts = new Map<string, number>();
  const levels = new Map<string, number>();
  const samples = new Map<string, number[]>();
  return {
    events,
    lines,
    counts,
    levels,
    samples,
    named: (event) => events.filter(({ name }) => name === event).map(({ fields }) => fields),
    count: (metric, by = 1) => void counts.set(metric, (counts.get(metric) ?? 0) + by),
    level: (metric, value) => void levels.set(metric, value),
    observe: (metric, value) => void samples.set(metric, [...(samples.get(metric) ?? []), value]),
    event: (name, fields) => void events.push({ name, fields: { ...fields } }),
    log: (level, message, fields) => void lines.push({ level, message, fields }),
    flush: () => {},
  };
}
