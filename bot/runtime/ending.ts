// How a run ends: asked to, refused by Discord, or by an error that nobody caught; and what is saved on the way.

import { once } from "node:events";
import type { Environment } from "../../shared/environment.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { RunningTelemetry } from "../telemetry/telemetryDriver.ts";
import type { Api } from "./api.ts";
import { EXIT, type Lifecycle } from "./lifecycle.ts";
import type { Refusal, Refusals } from "./refusals.ts";
import type { Resharding } from "./resharding.ts";
import type { ShardSet } from "./shardSet.ts";

// What a ledger that hangs may still take from a drain: DRAIN_MS of at most 115 s and this stay below ECS's 120 s.
const SAVE_DEADLINE_MS = 4_000;
// What a crash may still take for its checkpoint and its closes.
const CRASH_DEADLINE_MS = 10_000;
// Discord must hear of the close within 500 ms of a SIGTERM, so that a successor may RESUME; a checkpoint goes on beside it.
const SAVE_BEFORE_CLOSE_MS = 250;

export interface EndingParts {
  readonly environment: Environment;
  readonly clock: Clock;
  readonly telemetry: RunningTelemetry;
  readonly ledger: Ledger;
  readonly lifecycle: Lifecycle;
  readonly api: Api;
  leading(): ShardSet;
  /** Ends the other set, where there is one. */
  stopAside: Resharding["stop"];
  /** Resolves once the ledger has taken what the bot module changed. */
  valuesSettled(): Promise<void>;
  readonly refusals: Refusals;
}

export interface Ending {
  /**
   * Finishes what runs, ends with 0.
   * @param keepSessions by default on every signal but SIGINT, if the ledger outlives us
   */
  drain(signal: string, keepSessions?: boolean): Promise<void>;
  /** Discord refuses the bot. Before preflight has passed the process ends, so that a deployment can roll back. */
  refuse(refusal: Refusal, kind: "new" | "remembered"): Promise<void>;
  /** Only Discord or the ledger could show what is wrong with the settings: ends with 78. */
  misconfigured(problem: string): Promise<void>;
  /** An error that nobody caught: saves what can be saved at once, ends with 70. */
  crash(error: unknown): Promise<void>;
}

export function createEnding(parts: EndingParts): Ending {
  const { environment, clock, telemetry, ledger, lifecycle, api, stopAside } = parts;
  // A disk and a database take their time, however fast a rehearsal's clock runs.
  const machineTime = systemClock();
  let crashed = false;

  const isEnding = (): boolean => lifecycle.phase().phase === "ending";

  async function drain(signal: string, keepSessions = ledger.persistent && signal !== "SIGINT"): Promise<void> {
    if (isEnding()) return;
    lifecycle.enter({ phase: "ending" });
    try {
      await leave(signal, keepSessions);
    } catch (error) {
      // Nobody else would end a run that is ending already.
      void crash(error);
      lifecycle.finish(EXIT.bug);
    }
  }

  async function leave(signal: string, keepSessions: boolean): Promise<void> {
    const { shards, dispatcher, sharing, checkpoint } = parts.leading();
    const since = clock.now();
    telemetry.level("DeployRunning", 1);
    telemetry.event("bot.draining", { signal, keepSessions: keepSessions ? "yes" : "no" });
    checkpoint.stop();
    const late = new AbortController();
    const cancel = clock.schedule(environment.DRAIN_MS, () => late.abort(new Error("DRAIN_MS is over")));
    // A kept session replays what has not been started; without one, only what is here now can still be handled.
    if (keepSessions) {
      dispatcher.stopStarting();
      // A successor that waits RESUMEs as soon as it is told, and Discord then closes here by itself.
      if (sharing !== undefined) void sharing.leave(late.signal);
      else await within(SAVE_BEFORE_CLOSE_MS, checkpoint.write());
    }
    const aside = stopAside(keepSessions, late.signal);
    await shards.fleet()?.stop({ keepSessions });
    await dispatcher.drained(late.signal).catch(() => {});
    await api.client().stop(Math.max(0, environment.DRAIN_MS - (clock.now() - since)));
    // What the module lets go of now, a successor need not wait for.
    lifecycle.release();
    // Handlers that ended meanwhile need no replay; a session that was ended must not be tried again.
    const saved = async (): Promise<void> => {
      if (!keepSessions) await checkpoint.forget();
      else if (sharing === undefined) await checkpoint.write();
      // A successor waits for what a table that is away for a moment has not been told yet.
      else await checkpoint.insist(late.signal);
      await sharing?.end(late.signal);
    };
    const saving = Promise.all([saved(), aside, parts.valuesSettled()]);
    if (sharing !== undefined && !late.signal.aborted) await Promise.race([saving, once(late.signal, "abort")]);
    cancel();
    await within(SAVE_DEADLINE_MS, saving);
    lifecycle.finish(crashed ? EXIT.bug : EXIT.asked, since);
  }

  async function refuse(refusal: Refusal, kind: "new" | "remembered"): Promise<void> {
    const { phase } = lifecycle.phase();
    if (phase === "parked" || phase === "ending") return;
    const parks = environment.ON_FATAL === "park" && (phase === "running" || kind === "remembered");
    lifecycle.enter(parks ? { phase: "parked", ...refusal } : { phase: "ending" });
    telemetry.level("Fatal", 1);
    telemetry.event("fatal", refusal);
    telemetry.flush();
    const { shards, sharing, checkpoint } = parts.leading();
    checkpoint.stop();
    if (kind === "new") await parts.refusals.remember(refusal);
    const aside = stopAside(false, AbortSignal.abort(new Error("Discord refuses the bot")));
    await Promise.all([shards.fleet()?.stop({ keepSessions: true }), api.client().stop(0)]);
    await within(SAVE_DEADLINE_MS, Promise.all([sharing?.end(), aside]));
    if (!parks) lifecycle.finish(EXIT.refused);
  }

  async function misconfigured(problem: string): Promise<void> {
    if (isEnding()) return;
    lifecycle.enter({ phase: "ending" });
    telemetry.event("configuration.invalid", { problems: [problem] });
    const { shards, checkpoint } = parts.leading();
    checkpoint.stop();
    await Promise.all([shards.fleet()?.stop({ keepSessions: true }), api.client().stop(0)]);
    lifecycle.finish(EXIT.configuration);
  }

  async function crash(error: unknown): Promise<void> {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    telemetry.log("error", "an error that nothing caught ends the bot", { error: text });
    crashed = true;
    // What is ending already goes on to its end, which is near.
    if (isEnding()) return;
    lifecycle.enter({ phase: "ending" });
    const { shards, dispatcher, sharing, checkpoint } = parts.leading();
    const since = clock.now();
    telemetry.flush();
    checkpoint.stop();
    // Whichever handler it was that threw: the checkpoint counts this death for each that runs, and for none twice.
    dispatcher.stopStarting();
    const closed = async () => Promise.all([shards.fleet()?.stop({ keepSessions: true }), sharing?.end()]);
    await within(CRASH_DEADLINE_MS, checkpoint.write().then(closed));
    lifecycle.finish(EXIT.bug, since);
  }

  /** Waits for the ledger's work, so long at most. */
  async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    await Promise.race([work, machineTime.sleep(milliseconds, done.signal).catch(() => {})]);
    done.abort();
  }

  return { drain, refuse, misconfigured, crash };
}
