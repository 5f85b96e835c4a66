// EventBridge: the declared rules of the default bus, and what each sends to its targets.
// Source: EventBridge user guide, "Amazon EventBridge rules" and "Transforming input".

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
import { checkPattern, matchesPattern } from "./eventPattern.ts";
import { CannotRehearse } from "./refusal.ts";

/** What a matched rule sends, and to which ARN: a topic, or a log group. */
export interface EventMessage {
  readonly target: { readonly kind: "topic" | "logGroup"; readonly arn: string };
  readonly text: string;
}

export interface EventRule {
  readonly name: string;
  readonly arn: string;
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
    if (pattern === undefined) {
      throw new CannotRehearse(resource.name, "eventPattern", "only rules with an event pattern are implemented");
    }
    const bus = optionalText(resource, "eventBusName") ?? "default";
    if (bus !== "default")
      throw new CannotRehearse(resource.name, "eventBusName", "only the default bus is implemented");
    checkPattern(resource, pattern);
    const enabled = flag(resource, "isEnabled", true) && (optionalText(resource, "state") ?? "ENABLED") !== "DISABLED";
    const name = awsName(resource);
    const targets = ofType(resources, "aws:cloudwatch/eventTarget:EventTarget")
      .filter((target) => target.inputs["rule"] === name)
      .map(readTarget);
    return {
      name,
      arn: awsArn(resource, `arn:aws:events:${region}:${account}:rule/${name}`),
      matches: (event) => enabled && matchesPattern(pattern, event),
      messages: (event) => targets.map(({ target, render }) => ({ target, text: render(event) })),
    };
  });
}

const TARGET_PROPERTIES = [
  "arn",
  "deadLetterConfig",
  "eventBusName",
  "input",
  "inputTransformer",
  "region",
  "retryPolicy",
  "rule",
  "targetId",
];

interface Target {
  readonly target: EventMessage["target"];
  readonly render: (event: PlainObject) => string;
}

function readTarget(resource: DeclaredResource): Target {
  onlyKnown(resource, TARGET_PROPERTIES);
  const target = placeOf(resource);
  const input = optionalText(resource, "input");
  if (input !== undefined) return { target, render: () => input };
  const transformer = optionalObject(resource, "inputTransformer");
  if (transformer === undefined) return { target, render: (event) => JSON.stringify(event) };
  const paths = transformer["inputPaths"] ?? {};
  const template = transformer["inputTemplate"];
  if (!isPlainObject(paths) || typeof template !== "string") {
    throw new CannotRehearse(
      resource.name,
      "inputTransformer",
      "inputPaths is not a map, or inputTemplate is not text",
    );
  }
  return { target, render: (event) => fill(template, paths, event) };
}

function placeOf(resource: DeclaredResource): EventMessage["target"] {
  const arn = requiredText(resource, "arn");
  if (/^arn:aws[\w-]*:sns:/.test(arn)) return { kind: "topic", arn };
  if (/^arn:aws[\w-]*:logs:[^:]*:[^:]*:log-group:/.test(arn)) return { kind: "logGroup", arn };
  throw new CannotRehearse(resource.name, "arn", "only topics and log groups are implemented as targets");
}

function fill(template: string, paths: PlainObject, event: PlainObject): string {
  return template.replace(/<([\w.-]+)>/g, (_, key: string) => {
    const path = paths[key];
    const value = typeof path === "string" ? valueAt(path, event) : undefined;
    return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  });
}

/** Follows a path such as $.detail.containers[0].exitCode. */
function valueAt(path: string, event: PlainObject): unknown {
  const steps = path.split(/[.[\]]/).filter((step) => step !== "" && step !== "$");
  return steps.reduce<unknown>((value, step) => {
    if (Array.isArray(value)) return value[Number(step)];
    return isPlainObject(value) ? value[step] : undefined;
  }, event);
}
