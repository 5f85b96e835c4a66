// What an alarm does on a change of state: the SNS topics of each state, and the text that goes with them.

import type { AlarmState } from "./alarmState.ts";
import { type DeclaredResource, flag, optionalText, texts } from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

export interface AlarmActions {
  readonly enabled: boolean;
  readonly description: string;
  /** Topic ARNs for each state. */
  readonly topics: Readonly<Record<AlarmState, readonly string[]>>;
}

const PROPERTY: Readonly<Record<AlarmState, string>> = {
  ALARM: "alarmActions",
  OK: "okActions",
  INSUFFICIENT_DATA: "insufficientDataActions",
};

/** Reads the actions of a metric or composite alarm; anything but SNS topics is refused. */
export function alarmActions(resource: DeclaredResource): AlarmActions {
  const topics = (state: AlarmState): readonly string[] => {
    const arns = texts(resource, PROPERTY[state]);
    if (arns.length > 5) throw new CannotRehearse(resource.name, PROPERTY[state], "AWS takes at most 5 actions");
    for (const arn of arns) {
      if (!/^arn:aws[\w-]*:sns:/.test(arn)) {
        throw new CannotRehearse(resource.name, PROPERTY[state], `only SNS topics are implemented, not ${arn}`);
      }
    }
    return arns;
  };
  return {
    enabled: flag(resource, "actionsEnabled", true),
    description: optionalText(resource, "alarmDescription") ?? "",
    topics: { ALARM: topics("ALARM"), OK: topics("OK"), INSUFFICIENT_DATA: topics("INSUFFICIENT_DATA") },
  };
}
