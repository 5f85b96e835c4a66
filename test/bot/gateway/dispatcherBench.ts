// A dispatcher under a virtual clock, whose handlers' starts are noted; and a session as an earlier process left it.

import { createDispatcher, type Dispatcher, type EventHandler } from "../../../bot/gateway/dispatch.ts";
import type { StoredSession } from "../../../bot/ledger/ledger.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { type RecordingTelemetry, recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

export interface DispatcherBench {
  readonly clock: VirtualClock;
  readonly telemetry: RecordingTelemetry;
  readonly dispatcher: Dispatcher;
  /** Sequences in the order in which their handlers started. */
  readonly started: number[];
  message(sequence: number, channel?: string, shard?: number): void;
}

interface Limits {
  readonly maxRunning?: number;
  readonly maxWaiting?: number;
  readonly waitDeadlineMs?: number;
  readonly runDeadlineMs?: number;
}

export function dispatcherBench(handler: EventHandler, limits: Limits = {}): DispatcherBench {
  const clock = virtualClock();
  const telemetry = recordingTelemetry();
  const started: number[] = [];
  const dispatcher = createDispatcher({
    clock,
    telemetry,
    waitDeadlineMs: 60_000,
    runDeadlineMs: 45_000,
    ...limits,
    handler: (type) =>
      type === "MESSAGE_CREATE"
        ? (data, context) => {
            started.push(context.sequence);
            return handler(data, context);
          }
        : undefined,
  });
  const message = (sequence: number, channel = "1", shard = 0): void =>
    dispatcher.dispatch(shard, sequence, "MESSAGE_CREATE", { channel_id: channel });
  return { clock, telemetry, dispatcher, started, message };
}

export const storedSession = (given: Partial<StoredSession>): StoredSession => ({
  shard: 0,
  shardCount: 1,
  sessionId: "session",
  resumeGatewayUrl: "wss://gateway.example",
  sequence: 0,
  intents: 1,
  tokenHash: "0123456789abcdef",
  writtenAt: 1,
  ...given,
});

export const never = (): Promise<never> => new Promise(() => {});
