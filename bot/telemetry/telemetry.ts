// The port through which every part reports: counts, levels, samples and events go in, stdout is somebody else's.

import type { EventFields, EventName } from "../../shared/events.ts";
import type { CounterName, DistributionName, LevelName } from "../../shared/metrics.ts";

/** Handed to whatever has something to report; never imported as a global. */
export interface Telemetry {
  /** Adds to a counter. */
  count(metric: CounterName, by?: number): void;
  /** Sets a level; it is sent again with every metric line until it is set anew. */
  level(metric: LevelName, value: number): void;
  /** Adds one sample to a distribution. */
  observe(metric: DistributionName, value: number): void;
  /** Writes one structured event at its declared level. */
  event<Name extends EventName>(name: Name, fields: EventFields<Name>): void;
  /** Writes a free line for a person; `fields` never carry a token, a key or a raw payload. */
  log(level: "debug" | "info" | "warn" | "error", message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Writes the metric line at once: on an edge ban, on a fatal state, at exit. */
  flush(): void;
}
