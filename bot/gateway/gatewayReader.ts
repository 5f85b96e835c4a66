// Reads GET /gateway/bot for the whole fleet: one request at a time, again with backoff until it answers.

import type { Clock, Random } from "../clock.ts";
import { type Backoff, type BackoffRule, backOff, START } from "../resilience/backoff.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { GatewayInfo } from "./identify.ts";

/** The route itself is tightly limited, and several processes may share it. idle: no shard waits for the answer. */
const RETRY: Readonly<Record<"urgent" | "idle", BackoffRule>> = {
  urgent: { baseMs: 2_000, capMs: 30_000, jitter: "full" },
  idle: { baseMs: 60_000, capMs: 900_000, jitter: "decorrelated" },
};

/** One try, the REST client's own retries included. */
const REQUEST_MS = 30_000;

export interface GatewayReader {
  /** Asks unless it is asking already. idle: nobody waits for the answer, so failures are retried slowly. */
  refresh(need?: "urgent" | "idle"): void;
  /** REST is banned until then: asks nothing and says nothing; undefined lifts it, and what waits goes on at once. */
  ban(until: number | undefined): void;
  /** The newest answer. */
  latest(): GatewayInfo | undefined;
  /** Aborts and asks no more. */
  stop(): void;
}

export interface GatewayReaderOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  fetch(signal: AbortSignal): Promise<GatewayInfo>;
  onInfo(info: GatewayInfo): void;
}

export function gatewayReader(options: GatewayReaderOptions): GatewayReader {
  const { clock, random, telemetry } = options;
  const stopping = new AbortController();
  let asking = false;
  let need: "urgent" | "idle" = "urgent";
  let backoff: Backoff = START;
  let latest: GatewayInfo | undefined;
  let bannedUntil = Number.NEGATIVE_INFINITY;
  let waiting = new AbortController();

  /** Ends early when a ban comes or goes, and when somebody begins to wait for the answer. */
  const wait = async (milliseconds: number): Promise<void> => {
    waiting = new AbortController();
    await clock.sleep(milliseconds, AbortSignal.any([stopping.signal, waiting.signal])).catch(() => {});
  };

  const once = async (): Promise<GatewayInfo> => {
    const late = new AbortController();
    const cancel = clock.schedule(REQUEST_MS, () => late.abort(new Error(`no answer within ${REQUEST_MS} ms`)));
    try {
      return await options.fetch(AbortSignal.any([stopping.signal, late.signal]));
    } finally {
      cancel();
    }
  };

  const ask = async (): Promise<GatewayInfo | undefined> => {
    while (!stopping.signal.aborted) {
      const bannedMs = bannedUntil - clock.now();
      if (bannedMs > 0) {
        await wait(bannedMs);
        continue;
      }
      try {
        return await once();
      } catch (error) {
        if (stopping.signal.aborted) return undefined;
        // That a ban refuses the question is no news.
        if (bannedUntil > clock.now()) continue;
        const next = backOff(backoff, RETRY[need], random);
        backoff = next;
        const reason = error instanceof Error ? error.message : String(error);
        telemetry.log("warn", "GET /gateway/bot failed, asks again", { error: reason, inMs: Math.round(next.delayMs) });
        await wait(next.delayMs);
      }
    }
    return undefined;
  };

  return {
    refresh(wanted = "urgent") {
      if (stopping.signal.aborted) return;
      if (asking && (wanted === "idle" || need === "urgent")) return;
      need = wanted;
      backoff = START;
      if (asking) {
        // The wait was for idle times.
        waiting.abort();
        return;
      }
      asking = true;
      void ask().then((info) => {
        asking = false;
        if (info === undefined || stopping.signal.aborted) return;
        latest = info;
        options.onInfo(info);
      });
    },
    ban(until) {
      bannedUntil = until ?? Number.NEGATIVE_INFINITY;
      waiting.abort();
    },
    latest: () => latest,
    stop: () => stopping.abort(new Error("the fleet stops")),
  };
}
