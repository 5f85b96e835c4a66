// Reads GET /gateway/bot for the whole fleet: one request at a time, again with backoff until it answers.

import type { Clock, Random } from "../clock.ts";
import { type Backoff, type BackoffRule, backOff, START } from "../resilience/backoff.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { GatewayInfo } from "./identify.ts";

/** The route itself is tightly limited, and several processes may share it. */
const RETRY: BackoffRule = { baseMs: 2_000, capMs: 30_000, jitter: "full" };

/** One try, the REST client's own retries included. */
const REQUEST_MS = 30_000;

export interface GatewayReader {
  /** Asks unless it is asking already. */
  refresh(): void;
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
  let latest: GatewayInfo | undefined;

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
    for (let backoff: Backoff = START; !stopping.signal.aborted; ) {
      try {
        return await once();
      } catch (error) {
        if (stopping.signal.aborted) return undefined;
        const next = backOff(backoff, RETRY, random);
        backoff = next;
        const reason = error instanceof Error ? error.message : String(error);
        telemetry.log("warn", "GET /gateway/bot failed, asks again", { error: reason, inMs: Math.round(next.delayMs) });
        await clock.sleep(next.delayMs, stopping.signal).catch(() => {});
      }
    }
    return undefined;
  };

  return {
    refresh() {
      if (asking || stopping.signal.aborted) return;
      asking = true;
      void ask().then((info) => {
        asking = false;
        if (info === undefined || stopping.signal.aborted) return;
        latest = info;
        options.onInfo(info);
      });
    },
    latest: () => latest,
    stop: () => stopping.abort(new Error("the fleet stops")),
  };
}
