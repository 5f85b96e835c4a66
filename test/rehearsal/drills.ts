// The drills as data: each fault, the alarm that must page for it, how it ends, and what else must hold.

import type { World } from "./world.ts";

const MINUTE_MS = 60_000;

/** A drill goes: start, quiet, fault, page, end of the fault, clear, verify. */
export interface Drill {
  readonly name: string;
  /** What is broken on purpose, for the person who watches. */
  readonly fault: string;
  /** The rule of infra/alarms/rules.ts that must page; without one nothing may page at all. */
  readonly alarm?: string;
  /** Also carried out at rate 1 with `--all`, where it must end the same. */
  readonly alsoAtRate1?: true;
  /** How long all is well before the fault, ms of the clock. */
  readonly quietMs: number;
  /** Breaks something before the bot is started. */
  readonly before?: (world: World) => void;
  /** Breaks something while all is well. */
  readonly inflict?: (world: World) => void;
  /** Mends it once the alarm has paged; without it the fault ends by itself, and the bot says so. */
  readonly lift?: (world: World) => void;
  /** What must hold besides the alarms; each broken demand is one sentence. */
  readonly verify: (world: World) => readonly string[];
}

/** Time limits of the steps, ms of the clock. */
export const LIMITS = {
  /** From the start of the process, or from the end of a ban, to every shard ready. */
  readyMs: 2 * MINUTE_MS,
  /** From the fault to the page: the slowest rule needs CloudWatch's whole look-back of five silent minutes. */
  firesMs: 9 * MINUTE_MS,
  /** From the end of the fault to OK: three good minutes of five, and the look-back again. */
  clearsMs: 9 * MINUTE_MS,
  /** After the last step: what would page late must have the time to. */
  afterwardsMs: MINUTE_MS,
} as const;

/** Long enough for the page to come while it lasts, short enough to be waited for in real time. */
const EDGE_RETRY_AFTER_SECONDS = 150;

const banEdge = ({ discord }: World): void =>
  void discord.faults.rest.banEdge({
    shape: "text-1015",
    retryAfterSeconds: EDGE_RETRY_AFTER_SECONDS,
    durationMs: EDGE_RETRY_AFTER_SECONDS * 1_000,
  });

const oneIdentify = ({ discord }: World): readonly string[] => {
  const { identifies } = discord.counts;
  return identifies === 1 ? [] : [`${identifies} IDENTIFYs were spent, not 1: the session was not kept`];
};

/** A closed edge is hit by the one request that finds it closed, and by what was under way at that moment. */
const edgeHits = (most: number) => (world: World) => {
  const hits = world.discord.counts.edgeHits;
  return hits <= most ? [] : [`the closed edge was hit ${hits} times, not ${most}: each hit may prolong a ban`];
};

export const DRILLS: readonly Drill[] = [
  {
    name: "quiet run",
    fault: "none: users ask, the bot answers",
    quietMs: 10 * MINUTE_MS,
    verify: (world) => {
      const { messagesCreated } = world.discord.counts.rest;
      return [...oneIdentify(world), ...(messagesCreated > 0 ? [] : ["nobody was answered"])];
    },
  },
  {
    name: "API 429 spike",
    fault: "one route answers 429 again and again",
    alarm: "RateLimited",
    quietMs: 2 * MINUTE_MS,
    inflict: ({ discord }) =>
      discord.faults.rest.limitNext("POST /channels/{channel_id}/messages", Number.POSITIVE_INFINITY, {
        scope: "user",
        retryAfterSeconds: 1,
      }),
    lift: ({ discord }) => discord.faults.rest.clear(),
    verify: oneIdentify,
  },
  {
    name: "edge ban",
    fault: "in the middle of traffic the edge answers 429, without JSON and without rate-limit headers",
    alarm: "EdgeBanned",
    quietMs: 2 * MINUTE_MS,
    inflict: banEdge,
    verify: (world) => [...oneIdentify(world), ...edgeHits(2)(world)],
  },
  {
    name: "edge ban at start",
    fault: "the address is banned before the bot has made its first request",
    alarm: "EdgeBanned",
    alsoAtRate1: true,
    quietMs: 0,
    before: banEdge,
    verify: (world) => [...oneIdentify(world), ...edgeHits(1)(world)],
  },
  {
    name: "dead man",
    fault: "the bot's process stands still and says nothing",
    alarm: "BotSilent",
    quietMs: 2 * MINUTE_MS,
    inflict(world) {
      // A process that stands still sends no heartbeat, as the simulated Discord would otherwise hold against the bot.
      world.discord.faults.gateway.excuse("heartbeat.late");
      world.bot().signal("SIGSTOP");
    },
    lift: (world) => world.bot().signal("SIGCONT"),
    verify: () => [],
  },
];
