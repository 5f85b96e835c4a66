// Every alarm of a stack as data, in one list: what the program declares and `npm run drill` proves.

import type { Settings } from "../settings.ts";
import { eventRules, type PlatformRuleArgs, platformRules } from "./platformRules.ts";
import type { AlarmRule } from "./rule.ts";
import { botRules, metricsIntervalMs } from "./rules.ts";

export interface StackRuleArgs<Text>
  extends PlatformRuleArgs<Text>,
    Pick<Settings, "shardCount" | "tasks" | "variables"> {
  /** Whether the chat bot has keys of a model's provider. */
  readonly hasUpstream: boolean;
}

export function stackRules<Text>(args: StackRuleArgs<Text | string>): readonly AlarmRule<Text | string>[] {
  const { name, variables } = args;
  return [
    ...botRules({
      ...args,
      asksForContent: variables.CHAT_CHANNELS !== undefined,
      metricsIntervalMs: metricsIntervalMs(variables),
    }),
    ...platformRules<Text>(args),
    ...eventRules(name),
  ];
}
