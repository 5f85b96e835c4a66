// EventBridge: which declared rules an event matches, and what each rule's targets send to their topics.
// Source: EventBridge user guide, "Amazon EventBridge event patterns" and "Transforming input".

import {
  awsArn,
  awsName,
  type DeclaredResource,
  document,
  flag,
  isPlainObject,
  ofType,
  onlyKnown,
  optionalObject,
  optionalText,
  type PlainObject,
  requiredText,
} from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

/** What a matched rule sends. */
export interface EventMessage {
  readonly rule: string;
  readonly ruleArn: string;
  readonly topicArn: string;
  readonly text: string;
}

export interface EventRule {
  readonly name: string;
  readonly matches: (event: PlainObject) => boolean;
  readonly messages: (event: PlainObject) => readonly EventMessage[];
}

/** Reads the rules of the default bus with their targets. Throws `CannotRehearse` for filters and targets not implemented. */
export function eventRules(
  resources: readonly DeclaredResource[],
  region: string,
  account: string,
): readonly EventRule[] {
  return ofType(resources, "aws:cloudwatch/eventRule:EventRule").map((resource) => {
    const pattern = document(resource, "eventPattern");
    if (pattern === undefined)
      throw new CannotRehearse(resource.name, "eventPattern", "only rules with an event pattern are implemented");
    const bus = optionalText(resource, "eventBusName") ?? "default";
    if (bus !== "default")
      throw new CannotRehearse(resource.name, "eventBusName", "only the default bus is implemented");
    const enabled = flag(resource, "isEnabled", true) && (optionalText(resource, "state") ?? "ENABLED") !== "DISABLED";
    const name = awsName(resource);
    const ruleArn = awsArn(resource, `arn:aws:events:${region}:${account}:rule/${name}`);
    checkPattern(resource, pattern);
    const targets = ofType(resources, "aws:cloudwatch/eventTarget:EventTarget")
      .filter((target) => target.inputs["rule"] === name)
      .map((target) => readTarget(target));
    return {
      name,
      matches: (event) => enabled && matchesObject(pattern, event),
      messages: (event) =>
        targets.map(({ topicArn, render }) => ({ rule: name, ruleArn, topicArn, text: render(event) })),
    };
  });
}

interface Target {
  readonly topicArn: string;
  readonly render: (event: PlainObject) => string;
}

function readTarget(target: DeclaredResource): Target {
  onlyKnown(target, [
    "arn",
    "rule",
    "input",
    "inputTransformer",
    "targetId",
    "region",
    "eventBusName",
    "deadLetterConfig",
    "retryPolicy",
  ]);
  const topicArn = requiredText(target, "arn");
  if (!/^arn:aws[\w-]*:sns:/.test(topicArn))
    throw new CannotRehearse(target.name, "arn", "only SNS topics are implemented");
  const input = optionalText(target, "input");
  if (input !== undefined) return { topicArn, render: () => input };
  const transformer = optionalObject(target, "inputTransformer");
  if (transformer === undefined) return { topicArn, render: (event) => JSON.stringify(event) };
  const paths = transformer["inputPaths"] ?? {};
  const template = transformer["inputTemplate"];
  if (!isPlainObject(paths) || typeof template !== "string") {
    throw new CannotRehearse(target.name, "inputTransformer", "inputPaths is not a map, or inputTemplate is not text");
  }
  return { topicArn, render: (event) => fill(template, paths, event) };
}

function fill(template: string, paths: PlainObject, event: PlainObject): string {
  return template.replace(/<([\w.-]+)>/g, (_, key: string) => {
    const path = paths[key];
    if (typeof path !== "string") return "";
    const value = path
      .replace(/^\$\.?/, "")
      .split(".")
      .reduce<unknown>(
        (at, step) => (step === "" ? at : step.split(/[[\]]/).filter(Boolean).reduce<unknown>(member, at)),
        event,
      );
    return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  });
}

function member(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value[Number(key)];
  return isPlainObject(value) ? value[key] : undefined;
}

const OPERATORS = new Set(["prefix", "suffix", "anything-but", "exists", "equals-ignore-case", "numeric"]);

function checkPattern(resource: DeclaredResource, pattern: PlainObject): void {
  for (const [key, value] of Object.entries(pattern)) {
    if (key === "$or") throw new CannotRehearse(resource.name, "eventPattern", "$or is not implemented");
    if (isPlainObject(value)) checkPattern(resource, value);
    else if (!Array.isArray(value))
      throw new CannotRehearse(resource.name, `eventPattern.${key}`, "AWS wants a list of values");
    else for (const filter of value) checkFilter(resource, key, filter);
  }
}

function checkFilter(resource: DeclaredResource, key: string, filter: unknown): void {
  if (!isPlainObject(filter)) return;
  const [operator, ...more] = Object.keys(filter);
  const nested = Object.values(filter).some(isPlainObject);
  if (operator === undefined || more.length > 0 || nested || !OPERATORS.has(operator)) {
    throw new CannotRehearse(
      resource.name,
      `eventPattern.${key}`,
      `the filter ${JSON.stringify(filter)} is not implemented`,
    );
  }
}

/** Every field of the pattern must be matched; an object in an array counts as any of its elements. */
function matchesObject(pattern: PlainObject, event: unknown): boolean {
  if (Array.isArray(event)) return event.some((element) => matchesObject(pattern, element));
  if (event !== undefined && !isPlainObject(event)) return false;
  return Object.entries(pattern).every(([key, wanted]) => {
    const value = event?.[key];
    return isPlainObject(wanted) ? matchesObject(wanted, value) : Array.isArray(wanted) && matchesAny(wanted, value);
  });
}

function matchesAny(filters: readonly unknown[], value: unknown): boolean {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return filters.some((filter) =>
    isPlainObject(filter) && "exists" in filter
      ? (value !== undefined) === filter["exists"]
      : values.some((candidate) => matchesOne(filter, candidate)),
  );
}

function matchesOne(filter: unknown, value: unknown): boolean {
  if (value === undefined) return false;
  if (!isPlainObject(filter)) return filter === value;
  const [[operator, operand] = []] = Object.entries(filter);
  switch (operator) {
    case "prefix":
      return typeof value === "string" && typeof operand === "string" && value.startsWith(operand);
    case "suffix":
      return typeof value === "string" && typeof operand === "string" && value.endsWith(operand);
    case "equals-ignore-case":
      return typeof value === "string" && typeof operand === "string" && value.toLowerCase() === operand.toLowerCase();
    case "anything-but":
      return Array.isArray(operand) ? !operand.includes(value) : operand !== value;
    case "numeric":
      return typeof value === "number" && Array.isArray(operand) && matchesNumeric(operand, value);
    default:
      return false;
  }
}

function matchesNumeric(terms: readonly unknown[], value: number): boolean {
  for (let index = 0; index < terms.length; index += 2) {
    const bound = terms[index + 1];
    if (typeof bound !== "number" || !holds(terms[index], value, bound)) return false;
  }
  return true;
}

function holds(operator: unknown, value: number, bound: number): boolean {
  switch (operator) {
    case "=":
      return value === bound;
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
    default:
      return false;
  }
}
