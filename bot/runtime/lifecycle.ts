// Where a run stands, from preflight to its exit code.

import type { Clock } from "../clock.ts";
import type { RunningTelemetry } from "../telemetry/telemetryDriver.ts";

/** How the process ends; an orchestrator and a person both read it. */
export const EXIT = { asked: 0, bug: 70, refused: 77, configuration: 78 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Where a run stands. `parked`: Discord refuses the bot, and the process waits for a person. */
export type Phase =
  | { readonly phase: "preflight" }
  | { readonly phase: "running" }
  | { readonly phase: "parked"; readonly code: string; readonly fix: string }
  | { readonly phase: "ending" };

export interface Lifecycle {
  phase(): Phase;
  enter(next: Phase): void;
  /** The clock's milliseconds at which the run began. */
  readonly startedAt: number;
  /** Aborts what preflight and start still wait for, once the run parks or ends. */
  readonly over: AbortSignal;
  /** Aborts what the bot module holds open, once nothing of the run is left. */
  readonly finished: AbortSignal;
  /** Aborts `finished`, ahead of the end. */
  release(): void;
  /** Settles when the run is over. */
  readonly ended: Promise<ExitCode>;
  /**
   * Writes the last lines and ends the run; a second call changes nothing.
   * @param since when the end began, in the clock's milliseconds
   */
  finish(code: ExitCode, since?: number): ExitCode;
}

export function createLifecycle({
  clock,
  telemetry,
}: {
  readonly clock: Clock;
  readonly telemetry: RunningTelemetry;
}): Lifecycle {
  const startedAt = clock.now();
  const over = new AbortController();
  const finished = new AbortController();
  const { promise: ended, resolve: end } = Promise.withResolvers<ExitCode>();
  let phase: Phase = { phase: "preflight" };
  let exitCode: ExitCode | undefined;

  const release = (): void => finished.abort(new Error("the run is over"));

  function enter(next: Phase): void {
    phase = next;
    if (next.phase === "parked" || next.phase === "ending") over.abort(new Error(`the bot is ${next.phase}`));
  }

  return {
    phase: () => phase,
    enter,
    startedAt,
    over: over.signal,
    finished: finished.signal,
    release,
    ended,
    finish(code, since = startedAt) {
      if (exitCode !== undefined) return exitCode;
      exitCode = code;
      enter({ phase: "ending" });
      telemetry.flush();
      telemetry.stop();
      telemetry.event("bot.stopped", { tookMs: Math.round(clock.now() - since), exitCode });
      release();
      end(exitCode);
      return exitCode;
    },
  };
}
