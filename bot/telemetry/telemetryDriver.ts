// The telemetry that a process runs with: log lines and metric lines on one guarded stdout, driven by the clock.

import { EVENTS } from "../../shared/events.ts";
import type { MetricName } from "../../shared/metrics.ts";
import type { Secret } from "../../shared/secret.ts";
import type { Cancel, Clock, Random } from "../clock.ts";
import { embeddedMetrics } from "./embeddedMetrics.ts";
import { createLog, isError, type LogLevel, type WriteLine } from "./log.ts";
import { watchLoop } from "./loopLag.ts";
import { createRecorder } from "./metrics.ts";
import { fitted, redactor } from "./redaction.ts";
import { standardOutput } from "./standardOutput.ts";
import type { Telemetry } from "./telemetry.ts";

export interface TelemetryOptions {
  readonly clock: Clock;
  /** Value of the metrics' one dimension. */
  readonly stack: string;
  /** Milliseconds of the clock between metric lines. */
  readonly intervalMs: number;
  /** Quietest log line that is written; metric lines are written whatever it says. */
  readonly level: LogLevel;
  /** Never written; unknown while the configuration is being read. */
  readonly token?: Secret | undefined;
  /** Never written either. */
  readonly keys?: readonly Secret[] | undefined;
  /** Where lines go; by default stdout. */
  readonly write?: WriteLine;
  readonly random?: Random;
}

export interface RunningTelemetry extends Telemetry {
  /** Begins the metric lines, one each interval, and the sampling of the event loop's lag. */
  start(): void;
  /** Ends both and writes nothing; `flush` before it for the last line. */
  stop(): void;
  /** Every metric since the start: a counter's sum, a level's value, a distribution's number of samples. */
  totals(): Record<MetricName, number>;
}

export function createTelemetry(options: TelemetryOptions): RunningTelemetry {
  const { clock, stack, intervalMs, level, token, keys = [], write = standardOutput(), random = Math.random } = options;
  const recorder = createRecorder(random);
  const redacted = redactor(token === undefined ? keys : [token, ...keys]);
  const guarded: WriteLine = (line) => write(fitted(redacted(line)));
  const log = createLog({ clock, level, write: guarded });
  let running: readonly Cancel[] = [];

  const flush = (): void => {
    recorder.count("Heartbeat");
    guarded(`${JSON.stringify(embeddedMetrics(recorder.take(), stack, clock.wall()))}\n`);
  };

  // Every line has a due time of its own, so that lateness does not add up; lines missed in a stall are not made up for.
  const flushEachInterval = (): Cancel => {
    let cancel: Cancel = () => {};
    let due = clock.now();
    const next = (): void => {
      due += intervalMs;
      if (due <= clock.now()) due = clock.now() + intervalMs;
      cancel = clock.schedule(due - clock.now(), () => {
        flush();
        next();
      });
    };
    next();
    return () => cancel();
  };

  const telemetry: RunningTelemetry = {
    count: recorder.count,
    level: recorder.level,
    observe: recorder.observe,
    event(name, fields) {
      if (isError(EVENTS[name].level)) recorder.count("LogErrors");
      log.event(name, fields);
    },
    log(lineLevel, message, fields) {
      if (isError(lineLevel)) recorder.count("LogErrors");
      log.line(lineLevel, message, fields);
    },
    flush,
    start() {
      if (running.length > 0) return;
      const stopWatching = watchLoop(clock, (lag) => recorder.observe("LoopLagMilliseconds", lag));
      running = [flushEachInterval(), stopWatching];
    },
    stop() {
      for (const cancel of running) cancel();
      running = [];
    },
    totals: recorder.totals,
  };
  return telemetry;
}
