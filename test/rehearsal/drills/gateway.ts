// Drills on the gateway: outages, silence, slow acknowledgements, the IDENTIFY budget, and refusals.

import path from "node:path";
import { type Drill, identifies, MINUTE_MS } from "../drill.ts";

const MODULES = path.resolve(import.meta.dirname, "../modules");

const MESSAGE_CONTENT = 1 << 15;

export const GATEWAY_DRILLS: readonly Drill[] = [
  {
    name: "gateway outage",
    fault: "every connection is cut and every new one refused",
    alarm: "UnexplainedFault",
    through: ["ShardsNotReady"],
    names: [{ event: "shard.state", fields: { from: "ready", closedBy: "network" } }],
    quietMs: 2 * MINUTE_MS,
    inflict: ({ discord }) => discord.faults.gateway.outage({ how: "refuse" }),
    lift: ({ discord }) => discord.faults.gateway.endOutage(),
    // The session is dead when the outage ends: Discord keeps it for some 90 s.
    verify: identifies(2),
  },
  {
    name: "heartbeats unacknowledged",
    fault: "connections stay open, and no heartbeat is acknowledged on any of them",
    alarm: "UnexplainedFault",
    through: ["MissedHeartbeatAcks"],
    names: [{ event: "shard.state", fields: { from: "ready", closedBy: "us" } }],
    quietMs: MINUTE_MS,
    // Those that come later are dead too.
    inflict: (world) => world.repeat(1_000, () => world.discord.faults.gateway.noAcks("all")),
    lift(world) {
      world.endRepeat();
      world.discord.faults.gateway.lateAcks("all", 0);
    },
    verify: identifies(1),
  },
  {
    name: "heartbeats acknowledged late",
    fault: "each acknowledgement comes 8 s late",
    alarm: "HeartbeatAckSlow",
    quietMs: 0,
    // Three periods of five minutes, the one under way not counted.
    firesMs: 24 * MINUTE_MS,
    clearsMs: 14 * MINUTE_MS,
    inflict: ({ discord }) => discord.faults.gateway.lateAcks("all", 8_000),
    lift: ({ discord }) => discord.faults.gateway.lateAcks("all", 0),
    verify: identifies(1),
  },
  {
    name: "IDENTIFY budget low",
    fault: "150 of the day's 1,000 IDENTIFYs are left when the bot starts",
    alarm: "IdentifyBudgetLow",
    names: [{ event: "identify.spent", fields: { shard: 0, left: 149 } }],
    quietMs: 0,
    clearsMs: 15 * MINUTE_MS,
    discord: { identifyRemaining: 150, resetAfterMs: 8 * MINUTE_MS },
    before: () => {},
    lift: (world) => world.pass(8 * MINUTE_MS),
    verify: identifies(1),
  },
  {
    name: "token danger",
    fault: "100 of the day's IDENTIFYs are left, the reserve, when the bot starts",
    alarm: "TokenDanger",
    also: ["IdentifyBudgetLow"],
    names: [
      {
        event: "identify.waiting",
        fields: { left: 100, reserve: 100, until: /^\d{4}-.*Z$/, fix: /IDENTIFY_OVERRIDE/ },
      },
    ],
    quietMs: 0,
    clearsMs: 15 * MINUTE_MS,
    discord: { identifyRemaining: 100, resetAfterMs: 8 * MINUTE_MS },
    before: () => {},
    lift: (world) => world.pass(8 * MINUTE_MS),
    verify: identifies(1),
  },
  {
    name: "privileged intent off",
    fault: "the portal's switch for an intent that the bot asks for is turned off",
    alarm: "Fatal",
    names: [{ event: "fatal", fields: { code: "4014", fix: /Message Content Intent/ } }],
    quietMs: 2 * MINUTE_MS,
    discord: { privilegedIntents: MESSAGE_CONTENT },
    exceptions: () => [
      {
        name: "BOT_MODULE",
        value: path.join(MODULES, "readsContents.ts"),
        why: "the bundled bot asks for no privileged intent",
      },
    ],
    inflict({ discord }) {
      discord.faults.gateway.excuse("identify.disallowed-intents");
      discord.faults.gateway.setPrivilegedIntents(0);
    },
    async lift(world) {
      world.discord.faults.gateway.setPrivilegedIntents(MESSAGE_CONTENT);
      await world.replaceBot();
    },
    verify: identifies(3),
  },
];
