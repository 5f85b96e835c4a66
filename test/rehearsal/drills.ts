// Every drill, and the alarms that no drill here can set off, with the reason.

import type { Drill } from "./drill.ts";
import { ADDRESS_DRILLS } from "./drills/address.ts";
import { CHAT_DRILLS } from "./drills/chat.ts";
import { DEPLOY_DRILLS } from "./drills/deploys.ts";
import { GATEWAY_DRILLS } from "./drills/gateway.ts";
import { PROCESS_DRILLS } from "./drills/process.ts";
import { REST_DRILLS } from "./drills/rest.ts";

export const DRILLS: readonly Drill[] = [
  ...PROCESS_DRILLS,
  ...DEPLOY_DRILLS,
  ...ADDRESS_DRILLS,
  ...REST_DRILLS,
  ...GATEWAY_DRILLS,
  ...CHAT_DRILLS,
];

/** Rules on what the bot publishes that nothing outside the bot can set off here. */
export const NOT_REHEARSED: Readonly<Record<string, string>> = {
  RetryAfterViolations:
    "only a defect of the bot's own scheduler breaks a Retry-After; no answer of Discord's provokes it",
  EdgeBannedLately: "holds back other alarms after an edge ban and reaches nobody",
  DeployRunning: "holds back other alarms during a deploy and reaches nobody",
};

/** The rules that a list of drills sets off. */
export function rehearsedRules(drills: readonly Drill[]): ReadonlySet<string> {
  return new Set(
    drills.flatMap(({ alarm, also = [], through = [] }) => [...(alarm ? [alarm] : []), ...also, ...through]),
  );
}
