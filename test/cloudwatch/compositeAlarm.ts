// Declared composite alarms: their rules and suppressors, put in an order in which children come first.

import { type AlarmActions, alarmActions } from "./alarmActions.ts";
import { type AlarmRule, AlarmRuleError, childrenOf, parseAlarmRule } from "./alarmRule.ts";
import {
  awsArn,
  awsName,
  type DeclaredResource,
  onlyKnown,
  optionalObject,
  requiredText,
  sameRegion,
} from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";
import type { SuppressionPeriods } from "./suppression.ts";

export interface Suppressor extends SuppressionPeriods {
  readonly alarm: string;
}

export interface CompositeAlarm {
  readonly kind: "composite";
  readonly name: string;
  readonly arn: string;
  readonly resource: string;
  readonly actions: AlarmActions;
  readonly rule: AlarmRule;
  readonly ruleText: string;
  readonly suppressor: Suppressor | undefined;
  /** Names or ARNs of the alarms that it looks at, its suppressor included. */
  readonly dependencies: readonly string[];
}

const KNOWN = [
  "actionsEnabled",
  "actionsSuppressor",
  "alarmActions",
  "alarmDescription",
  "alarmName",
  "alarmRule",
  "insufficientDataActions",
  "okActions",
  "region",
  "tags",
  "tagsAll",
];

/** Reads a composite alarm; names in its rule are checked by `inOrder`. */
export function compositeAlarm(resource: DeclaredResource, region: string, account: string): CompositeAlarm {
  onlyKnown(resource, KNOWN);
  sameRegion(resource, region);
  const name = awsName(resource, "alarmName");
  const ruleText = requiredText(resource, "alarmRule");
  const rule = ruleOf(resource, ruleText);
  const suppressor = suppressorOf(resource);
  return {
    kind: "composite",
    name,
    arn: awsArn(resource, `arn:aws:cloudwatch:${region}:${account}:alarm:${name}`),
    resource: resource.name,
    actions: alarmActions(resource),
    rule,
    ruleText,
    suppressor,
    dependencies: suppressor === undefined ? childrenOf(rule) : [...childrenOf(rule), suppressor.alarm],
  };
}

function ruleOf(resource: DeclaredResource, text: string): AlarmRule {
  try {
    return parseAlarmRule(text);
  } catch (error) {
    if (error instanceof AlarmRuleError)
      throw new CannotRehearse(resource.name, "alarmRule", error.message, { cause: error });
    throw error;
  }
}

function suppressorOf(resource: DeclaredResource): Suppressor | undefined {
  const given = optionalObject(resource, "actionsSuppressor");
  if (given === undefined) return undefined;
  const { alarm, waitPeriod, extensionPeriod } = given;
  if (typeof alarm !== "string" || alarm === "")
    throw new CannotRehearse(resource.name, "actionsSuppressor.alarm", "it is not text");
  const seconds = (property: string, value: unknown): number => {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value * 1000;
    throw new CannotRehearse(resource.name, `actionsSuppressor.${property}`, "AWS wants whole seconds");
  };
  return { alarm, waitMs: seconds("waitPeriod", waitPeriod), extensionMs: seconds("extensionPeriod", extensionPeriod) };
}

/**
 * Orders composites so that each comes after the alarms it depends on, its suppressor included.
 * Throws `CannotRehearse` for a child that is not declared and for a cycle, in which AWS stops evaluating.
 */
export function inOrder(
  composites: readonly CompositeAlarm[],
  isDeclared: (reference: string) => boolean,
): readonly CompositeAlarm[] {
  const ordered: CompositeAlarm[] = [];
  const open = new Set<CompositeAlarm>();
  const visit = (composite: CompositeAlarm): void => {
    if (ordered.includes(composite)) return;
    if (open.has(composite))
      throw new CannotRehearse(composite.resource, "alarmRule", "it depends on itself: AWS stops evaluating a cycle");
    open.add(composite);
    for (const reference of composite.dependencies) {
      if (!isDeclared(reference)) {
        throw new CannotRehearse(
          composite.resource,
          "alarmRule",
          `it names ${reference}, which the program does not declare`,
        );
      }
      const child = composites.find((candidate) => candidate.name === reference || candidate.arn === reference);
      if (child !== undefined) visit(child);
    }
    ordered.push(composite);
  };
  for (const composite of composites) visit(composite);
  return ordered;
}
