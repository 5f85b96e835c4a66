// The process: environment to runtime, signals in, exit code out. Prints JSON lines on stdout and nothing else.

import { parseEnvironment, VARIABLES } from "../shared/environment.ts";
import { systemClock } from "./clock.ts";
import { openLedger } from "./ledger/open.ts";
import { loadBotModule } from "./loadModule.ts";
import { createRuntime, EXIT, type ExitCode } from "./runtime.ts";
import { type StatusServer, StatusServerError, startStatusServer } from "./telemetry/health.ts";
import { createTelemetry } from "./telemetry/telemetryDriver.ts";

/** One line that names every problem, for a person and for the log; exit 78. */
function refuseConfiguration(problems: readonly string[]): ExitCode {
  const telemetry = createTelemetry({ clock: systemClock(), stack: "none", intervalMs: 60_000, level: "info" });
  telemetry.event("configuration.invalid", { problems });
  return EXIT.configuration;
}

async function main(): Promise<ExitCode> {
  const parsed = parseEnvironment(process.env);
  const loaded = await loadBotModule(process.env["BOT_MODULE"] || VARIABLES.BOT_MODULE.fallback);
  if (!parsed.ok || !loaded.ok) {
    const problems = parsed.ok ? [] : parsed.problems.map(({ name, problem }) => `${name} ${problem}`);
    return refuseConfiguration(loaded.ok ? problems : [...problems, `BOT_MODULE ${loaded.problem}`]);
  }

  const { environment } = parsed;
  const clock = systemClock(environment.CLOCK_RATE, environment.CLOCK_ORIGIN_MS);
  const telemetry = createTelemetry({
    clock,
    stack: environment.STACK,
    intervalMs: environment.METRICS_INTERVAL_MS,
    level: environment.LOG_LEVEL,
    token: environment.DISCORD_TOKEN,
  });
  const ledger = openLedger(environment.LEDGER);
  const runtime = createRuntime({
    environment,
    definition: loaded.definition,
    clock,
    random: Math.random,
    telemetry,
    ledger,
  });

  const crash = (error: unknown): void => void runtime.crash(error);
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait.
      if (asked) process.exit(EXIT.asked);
      asked = true;
      void runtime.drain(signal);
    });
  }

  const { live, ready, state } = runtime;
  let status: StatusServer;
  try {
    status = await startStatusServer({ port: environment.STATUS_PORT, live, ready, state });
  } catch (error) {
    if (error instanceof StatusServerError) return refuseConfiguration([`STATUS_PORT ${error.message}`]);
    throw error;
  }
  telemetry.start();
  telemetry.event("bot.started", { pid: process.pid, statusPort: status.port, module: loaded.file });
  runtime.run().catch(crash);
  const exitCode = await runtime.ended;
  await status.stop();
  return exitCode;
}

// Stdout is written synchronously, so nothing is lost; a timer that is still set must not hold the process.
process.exit(await main());
