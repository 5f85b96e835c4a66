// Drills on the address: bans at Discord's edge, which are about where requests come from and not about a bucket.

import path from "node:path";
import { type Drill, identifies, MINUTE_MS } from "../drill.ts";
import type { World } from "../world.ts";

const MODULES = path.resolve(import.meta.dirname, "../modules");
// The simulated Discord spells a route with channel_id, the log as Discord's documentation does.
const REPLIES = "POST /channels/{channel_id}/messages";
const LOGGED_REPLIES = "POST /channels/{channel.id}/messages";

/** Long enough for the page to come while it lasts, short enough to be waited for in real time. */
const RETRY_AFTER_SECONDS = 150;

const ban = ({ discord }: World): void =>
  void discord.faults.rest.banEdge({
    shape: "text-1015",
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    durationMs: RETRY_AFTER_SECONDS * 1_000,
  });

/** Banned until the bot has waited as long as it was told; its start takes real time, which must not use the ban up. */
function banBefore(world: World): void {
  const { counts, faults } = world.discord;
  const lift = faults.rest.banEdge({ shape: "text-1015", retryAfterSeconds: RETRY_AFTER_SECONDS });
  world.repeat(1_000, () => {
    if (counts.edgeHits === 0) return;
    world.endRepeat();
    // A moment before the wait is over, so that whoever keeps it finds the edge open.
    void world.pass((RETRY_AFTER_SECONDS - 5) * 1_000).then(lift, () => {});
  });
}

/** A closed edge is hit by the one request that finds it closed, and by what was under way at that moment. */
const edgeHits = (world: World, most: number): readonly string[] => {
  const hits = world.discord.counts.edgeHits;
  return hits <= most ? [] : [`the closed edge was hit ${hits} times, not ${most}: each hit may prolong a ban`];
};

// The stack's own address, as RFC 5737 documents one.
const ADDRESS = /^203\.0\.113\.\d+/;
/** Nobody's address (RFC 5737). */
const ELSEWHERE = "198.51.100.7";

export const ADDRESS_DRILLS: readonly Drill[] = [
  {
    name: "edge ban",
    fault: "in the middle of traffic the edge answers 429, without JSON and without rate-limit headers",
    alarm: "EdgeBanned",
    names: [{ event: "edge.banned", fields: { via: "rest", address: ADDRESS, status: 429, retryAfterMs: 150_000 } }],
    always: true,
    quietMs: 2 * MINUTE_MS,
    inflict: ban,
    verify: (world) => [...identifies(1)(world), ...edgeHits(world, 2)],
  },
  {
    name: "edge ban at start",
    fault: "the address is banned before the bot has made its first request",
    alarm: "EdgeBanned",
    names: [{ event: "edge.banned", fields: { via: "rest", address: ADDRESS, status: 429 } }],
    always: true,
    alsoAtRate1: true,
    quietMs: 0,
    before: banBefore,
    verify: (world) => [...identifies(1)(world), ...edgeHits(world, 1)],
  },
  {
    name: "edge ban, no end named",
    fault: "the edge answers with a block page and no Retry-After",
    alarm: "EdgeBanned",
    names: [{ event: "edge.banned", fields: { via: "rest", address: ADDRESS, retryAfterMs: null } }],
    quietMs: 2 * MINUTE_MS,
    inflict: ({ discord }) => void discord.faults.rest.banEdge({ shape: "html" }),
    lift({ discord }) {
      discord.faults.rest.liftEdge();
    },
    // Besides the first one and what was under way: a probe after a minute, perhaps a second one.
    verify: (world) => [...identifies(1)(world), ...edgeHits(world, 4)],
  },
  {
    name: "edge ban of one route",
    fault: "the edge blocks the route of replies; another route passes",
    alarm: "EdgeBannedRoutes",
    names: [{ event: "edge.banned", fields: { via: "rest", route: LOGGED_REPLIES, address: ADDRESS } }],
    quietMs: 2 * MINUTE_MS,
    exceptions: () => [
      {
        name: "BOT_MODULE",
        value: path.join(MODULES, "twoRoutes.ts"),
        why: "the bundled bot uses one route only, and a ban of one route shows in what the others do",
      },
    ],
    inflict: ({ discord }) =>
      void discord.faults.rest.banEdge({
        shape: "html",
        route: REPLIES,
        retryAfterSeconds: 360,
        durationMs: 6 * MINUTE_MS,
      }),
    verify(world) {
      const passed = world.discord.requests.filter(({ route, status }) => route === "GET /users/@me" && status === 200);
      return [
        ...identifies(1)(world),
        ...(passed.length > 20 ? [] : [`the other route stood still: ${passed.length}`]),
      ];
    },
  },
  {
    name: "wrong way out",
    fault: "the bot is seen from an address that is not the stack's: its traffic goes around the NAT",
    alarm: "EgressMismatch",
    names: [{ event: "egress.mismatch", fields: { address: ELSEWHERE, expected: ADDRESS } }],
    quietMs: 0,
    before: ({ echo }) => echo.answer(ELSEWHERE),
    lift: ({ echo, address }) => echo.answer(address),
    verify: identifies(1),
  },
  {
    name: "edge ban of the gateway",
    fault: "connections are cut, and the edge answers each new one with 429",
    alarm: "EdgeBanned",
    names: [{ event: "edge.banned", fields: { via: "gateway", status: 429 } }],
    quietMs: 2 * MINUTE_MS,
    inflict({ discord }) {
      const { gateway } = discord.faults;
      gateway.refuseUpgrades({ status: 429, retryAfterSeconds: 120, durationMs: 2 * MINUTE_MS });
      gateway.reset("all");
    },
    // The session may have died meanwhile (Discord keeps it for some 90 s).
    verify: identifies(2),
  },
];
