// What each REST scenario asks of a client, and what of the server; the counting is the server's.

import { setTimeout as sleep } from "node:timers/promises";
import type { Rules } from "./apiServer.ts";
import type { Send } from "./contenders.ts";

export interface Scenario {
  readonly rules: Rules;
  /** Whether the client's own global limit is lifted. */
  readonly unlimited: boolean;
  /** Seconds that Discord's rules allow at best; undefined where time is no matter. */
  readonly optimumMs?: number;
  /** Ends the scenario after this, whatever is still open. */
  readonly patienceMs: number;
  run(send: Send): Promise<void>;
}

const GLOBAL = 50;
const MESSAGES = { limit: 5, windowMs: 5_000 } as const;
const NO_FAULT = { kind: "none" } as const;

const channel = (number: number): string => String(1_100_000_000_000_000_000n + BigInt(number) * 4_194_304n);

const all = async (requests: readonly Promise<unknown>[]): Promise<void> => {
  await Promise.allSettled(requests);
};

const messagePath = (number: number): string => `/channels/${channel(number)}/messages`;

/** One request at first, 50 to other channels after 0.5 s and again after 3 s, watched for 12 s. */
const meetBan = async (send: Send): Promise<void> => {
  const ask = (from: number, count: number): void => {
    for (let number = from; number < from + count; number++) send("GET", messagePath(number)).catch(() => {});
  };
  ask(0, 1);
  await sleep(500);
  ask(1, 50);
  await sleep(2_500);
  ask(51, 50);
  await sleep(9_000);
};

export const SCENARIOS = {
  /**
   * 2,000 messages over 40 channels at once. At best: 9 bucket windows of 5 s let at most 1,800 go, and the last 200 take
   * four seconds of the global limit, the last of them beginning 3 s after the tenth window.
   */
  forty: {
    rules: { globalPerSecond: GLOBAL, bucket: MESSAGES, fault: NO_FAULT },
    unlimited: false,
    optimumMs: 48_000,
    patienceMs: 180_000,
    run: (send) =>
      all(
        Array.from({ length: 50 }, (_, message) =>
          Array.from({ length: 40 }, (_, number) => send("POST", messagePath(number), { content: String(message) })),
        ).flat(),
      ),
  },
  /** 200 requests at once on a route that nothing is known of: 50 in 5 s, so the fourth 50 go after 15 s. */
  unknown: {
    rules: { globalPerSecond: GLOBAL, bucket: { limit: 50, windowMs: 5_000 }, fault: NO_FAULT },
    unlimited: false,
    optimumMs: 15_000,
    patienceMs: 120_000,
    run: (send) =>
      all(Array.from({ length: 200 }, (_, message) => send("POST", messagePath(0), { content: String(message) }))),
  },
  /** 1,000 messages to 1,000 channels at once: 20 global windows, the last beginning after 19 s. */
  thousand: {
    rules: { globalPerSecond: GLOBAL, bucket: MESSAGES, fault: NO_FAULT },
    unlimited: false,
    optimumMs: 19_000,
    patienceMs: 120_000,
    run: (send) =>
      all(Array.from({ length: 1_000 }, (_, number) => send("POST", messagePath(number), { content: "0" }))),
  },
  /** 100 identical GETs at once. */
  identical: {
    rules: { globalPerSecond: null, bucket: null, fault: NO_FAULT },
    unlimited: true,
    patienceMs: 30_000,
    run: (send) => all(Array.from({ length: 100 }, () => send("GET", "/users/@me"))),
  },
  edgeSilent: {
    rules: { globalPerSecond: null, bucket: null, fault: { kind: "edge", retryAfter: null } },
    unlimited: false,
    patienceMs: 30_000,
    run: meetBan,
  },
  edgeNamed: {
    rules: { globalPerSecond: null, bucket: null, fault: { kind: "edge", retryAfter: 20 } },
    unlimited: false,
    patienceMs: 30_000,
    run: meetBan,
  },
  /** Five messages whose connection is reset after they were carried out. */
  reset: {
    rules: { globalPerSecond: null, bucket: null, fault: { kind: "reset" } },
    unlimited: false,
    patienceMs: 20_000,
    run: (send) =>
      all(Array.from({ length: 5 }, (_, number) => send("POST", messagePath(0), { content: String(number) }))),
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
export const SCENARIO_NAMES: readonly ScenarioName[] = [
  "forty",
  "unknown",
  "thousand",
  "identical",
  "edgeSilent",
  "edgeNamed",
  "reset",
];

/** For speed and memory: no limits, only the headers that buckets are learnt from. */
export const OPEN_RULES: Rules = { globalPerSecond: null, bucket: null, fault: NO_FAULT };
export const LEARNING_RULES: Rules = { globalPerSecond: null, bucket: MESSAGES, fault: NO_FAULT };

/** The path of one of many channels' messages. */
export const messagesOf = messagePath;
