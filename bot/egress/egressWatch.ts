// Proves, at the start and every hour, that the bot leaves by the deployment's own addresses and that the edge takes them.

import type { Clock } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { type EgressProof, egressStep, LOOK_EVERY_MS } from "./proof.ts";

// An echo answers in tens of milliseconds, or it is down.
const ECHO_DEADLINE_MS = 10_000;

export interface EgressWatchOptions {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** What the deployment says it leaves by; empty = nothing to compare with. */
  readonly addresses: readonly string[];
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** The address that an echo sees, or undefined when it gives none; absent = no echo is asked. */
  readonly askEcho: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** One of `addresses` that the bot was seen from. */
  readonly onProven?: ((address: string) => void) | undefined;
  /** One request to Discord without credentials, whose answer the edge breaker judges; rejections are its business. */
  readonly probeEdge: (signal: AbortSignal) => Promise<unknown>;
}

/** Begins both; returns at once. An echo that does not answer is no finding. */
export function watchEgress(options: EgressWatchOptions): void {
  const { clock, telemetry, addresses, signal, askEcho, probeEdge } = options;
  let proof: EgressProof = { state: "unknown" };

  async function look(ask: (signal: AbortSignal) => Promise<string | undefined>): Promise<number> {
    const late = new AbortController();
    const cancel = clock.schedule(ECHO_DEADLINE_MS, () => late.abort(new Error("the echo did not answer in time")));
    const seen = await ask(AbortSignal.any([signal, late.signal])).catch(() => undefined);
    cancel();
    const step = egressStep(proof, seen, addresses);
    // A run that is ending has lost its connections; what it saw last says nothing.
    if (signal.aborted) return step.lookInMs;
    proof = step.proof;
    telemetry.level("EgressMismatch", proof.state === "mismatched" ? 1 : 0);
    if (step.news && proof.state === "proven") {
      telemetry.event("egress.proven", { address: proof.address });
      options.onProven?.(proof.address);
    }
    if (step.news && proof.state === "mismatched") {
      telemetry.event("egress.mismatch", { address: proof.address, expected: addresses.join(", ") });
    }
    return step.lookInMs;
  }

  async function repeat(firstDelayMs: number, task: () => Promise<number>): Promise<void> {
    let delayMs = firstDelayMs;
    while (!signal.aborted) {
      await clock.sleep(delayMs, signal).catch(() => {});
      if (!signal.aborted) delayMs = await task();
    }
  }

  if (askEcho !== undefined && addresses.length > 0) void repeat(0, () => look(askEcho));
  // The start has just asked Discord by itself; later, a quiet bot would learn of a ban from its first user only.
  void repeat(LOOK_EVERY_MS, async () => {
    await probeEdge(signal).catch(() => {});
    return LOOK_EVERY_MS;
  });
}
