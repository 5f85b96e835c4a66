// The process: environment to runtime, signals in, exit code out. Prints JSON lines on stdout and nothing else.

import { parseEnvironment, VARIABLES } from "../shared/environment.ts";
import { Secret } from "../shared/secret.ts";
import { systemClock } from "./clock.ts";
import { openLedger } from "./ledger/open.ts";
import { loadBotModule } from "./loadModule.ts";
import { EXIT, type ExitCode } from "./runtime/lifecycle.ts";
import { createRuntime, type Runtime } from "./runtime.ts";
import { type StatusServer, StatusServerError, startStatusServer } from "./telemetry/health.ts";
import { captureStrayOutput } from "./telemetry/strayOutput.ts";
import { createTelemetry, type RunningTelemetry } from "./telemetry/telemetryDriver.ts";

/** What speaks while the configuration is not known to be good: at a level that nothing has silenced. */
function firstWords(): RunningTelemetry {
  const token = process.env["DISCORD_TOKEN"];
  return createTelemetry({
    clock: systemClock(),
    stack: "none",
    intervalMs: 60_000,
    level: "info",
    ...(token !== undefined && { token: new Secret(token.trim()) }),
  });
}

/** One line that names every problem, for a person and for the log; exit 78. */
function refuseConfiguration(problems: readonly string[]): ExitCode {
  firstWords().event("configuration.invalid", { problems });
  return EXIT.configuration;
}

/** Whom signals and uncaught errors go to; before there is a runtime nothing runs that could be saved. */
let runtime: Runtime | undefined;
let asked = false;

function onSignal(signal: NodeJS.Signals): void {
  if (runtime === undefined) process.exit(EXIT.asked);
  // Whoever asks twice does not want to wait.
  if (asked) process.exit(runtime.abandon());
  asked = true;
  void runtime.drain(signal);
}

function onError(error: unknown): void {
  if (runtime !== undefined) {
    void runtime.crash(error);
    return;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  firstWords().log("error", "an error that nothing caught ends the bot", { error: text });
  process.exit(EXIT.bug);
}

async function main(): Promise<ExitCode> {
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, onSignal);
  process.on("uncaughtException", onError);
  process.on("unhandledRejection", onError);

  const parsed = parseEnvironment(process.env);
  const { environment } = parsed.ok ? parsed : { environment: undefined };
  const clock = systemClock(environment?.CLOCK_RATE, environment?.CLOCK_ORIGIN_MS);
  const telemetry =
    environment === undefined
      ? firstWords()
      : createTelemetry({
          clock,
          stack: environment.STACK,
          intervalMs: environment.METRICS_INTERVAL_MS,
          level: environment.LOG_LEVEL,
          token: environment.DISCORD_TOKEN,
          keys: environment.UPSTREAM_KEYS,
        });
  captureStrayOutput(telemetry);
  const loaded = await loadBotModule(process.env["BOT_MODULE"]?.trim() || VARIABLES.BOT_MODULE.fallback, environment);
  if (environment === undefined || !loaded.ok) {
    const problems = parsed.ok ? [] : parsed.problems.map(({ name, problem }) => `${name} ${problem}`);
    return refuseConfiguration(loaded.ok ? problems : [...problems, `BOT_MODULE ${loaded.problem}`]);
  }

  const ledger = await openLedger(environment.LEDGER);
  const { definition, intents, file } = loaded;
  const newRuntime = (): Runtime =>
    createRuntime({ environment, definition, intents, clock, random: Math.random, telemetry, ledger });
  let current = newRuntime();
  let status: StatusServer;
  try {
    status = await startStatusServer({
      port: environment.STATUS_PORT,
      live: () => current.live(),
      ready: () => current.ready(),
      state: () => current.state(),
    });
  } catch (error) {
    if (error instanceof StatusServerError) return refuseConfiguration([error.message]);
    throw error;
  }
  for (;;) {
    runtime = current;
    telemetry.start();
    telemetry.event("bot.started", { pid: process.pid, statusPort: status.port, module: file });
    current.run().catch(onError);
    const exitCode = await current.ended;
    // Whoever sent a signal meanwhile wants the end, not another run.
    if (exitCode === EXIT.asked && current.restarts() && !asked) {
      current = newRuntime();
      continue;
    }
    await status.stop();
    return exitCode;
  }
}

// Stdout is written synchronously, so nothing is lost; a timer that is still set must not hold the process.
process.exit(await main());
