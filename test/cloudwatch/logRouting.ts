// Where a container's stdout goes: its declared logConfiguration and the declared log groups decide, or say why nowhere.
// Sources: ECS API reference, LogConfiguration; Amazon ECS developer guide, "Send Amazon ECS logs to CloudWatch".

import {
  awsName,
  type DeclaredResource,
  isPlainObject,
  ofType,
  optionalText,
  type PlainObject,
  parseJson,
  requiredText,
} from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

export type Route =
  | { readonly kind: "group"; readonly group: string; readonly stream: string }
  | { readonly kind: "nowhere"; readonly why: string };

/** Which container is meant where several are declared. */
export interface LogSource {
  readonly region: string;
  readonly container?: string | undefined;
}

// The awslogs driver takes events of 262,144 bytes less 26 that PutLogEvents adds to each.
const MAX_EVENT_BYTES = 262_144 - 26;

const KNOWN_OPTIONS = new Set([
  "awslogs-group",
  "awslogs-region",
  "awslogs-stream-prefix",
  "awslogs-create-group",
  "awslogs-format",
  "mode",
  "max-buffer-size",
]);

const nowhere = (why: string): Route => ({ kind: "nowhere", why });

/** Follows the container's log configuration. Throws `CannotRehearse` for options whose effect is not implemented. */
export function routeLogs(resources: readonly DeclaredResource[], source: LogSource): Route {
  const found = findContainer(resources, source.container);
  if (found === undefined) return nowhere("no task definition is declared, so no container's output is collected");
  const { task, container, name } = found;
  const configuration = container["logConfiguration"];
  if (!isPlainObject(configuration)) return nowhere(`container ${name} has no logConfiguration`);
  const driver = configuration["logDriver"];
  if (driver !== "awslogs")
    return nowhere(`container ${name} logs through ${String(driver)}, not awslogs: CloudWatch never sees it`);
  const options = isPlainObject(configuration["options"]) ? configuration["options"] : {};
  for (const option of Object.keys(options)) refuseOption(task, option);

  const text = (option: string): string | undefined => {
    const value = options[option];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const region = text("awslogs-region");
  const group = text("awslogs-group");
  const prefix = text("awslogs-stream-prefix");
  if (region === undefined) return nowhere(`container ${name} sets no awslogs-region`);
  if (region !== source.region)
    return nowhere(`container ${name} logs to Region ${region}; the alarms look at ${source.region}`);
  if (group === undefined) return nowhere(`container ${name} sets no awslogs-group`);
  if (prefix === undefined) return nowhere(`container ${name} sets no awslogs-stream-prefix, which Fargate requires`);
  if (text("awslogs-create-group") === "true") {
    throw new CannotRehearse(
      task.name,
      "awslogs-create-group",
      "the group would come to be outside the program; declare it",
    );
  }
  return throughGroup(resources, group, `${prefix}/${name}`);
}

function throughGroup(resources: readonly DeclaredResource[], group: string, stream: string): Route {
  const groups = ofType(resources, "aws:cloudwatch/logGroup:LogGroup");
  const declared = groups.find((resource) => awsName(resource) === group);
  if (declared === undefined) {
    const names = groups.map((resource) => awsName(resource)).join(", ") || "none";
    return nowhere(`log group ${group} is not declared (declared: ${names})`);
  }
  const logClass = optionalText(declared, "logGroupClass") ?? "STANDARD";
  if (logClass !== "STANDARD") {
    return nowhere(
      `log group ${group} is of class ${logClass}: neither embedded metrics nor metric filters work there`,
    );
  }
  return { kind: "group", group, stream };
}

function refuseOption(task: DeclaredResource, option: string): void {
  if (KNOWN_OPTIONS.has(option)) return;
  const why =
    option === "awslogs-multiline-pattern" || option === "awslogs-datetime-format"
      ? "it glues lines together, which breaks every JSON line"
      : "the twin does not implement this option";
  throw new CannotRehearse(task.name, option, why);
}

interface Found {
  readonly task: DeclaredResource;
  readonly container: PlainObject;
  readonly name: string;
}

function findContainer(resources: readonly DeclaredResource[], wanted: string | undefined): Found | undefined {
  const all = ofType(resources, "aws:ecs/taskDefinition:TaskDefinition").flatMap((task) =>
    containersOf(task).map((container) => ({ task, container, name: String(container["name"]) })),
  );
  const matching = wanted === undefined ? all : all.filter((found) => found.name === wanted);
  const [first, second] = matching;
  if (first !== undefined && second !== undefined) {
    throw new CannotRehearse(
      second.task.name,
      "containerDefinitions",
      "several containers are declared; say which one the lines are from",
    );
  }
  if (first === undefined && all.length > 0) {
    throw new CannotRehearse(
      String(wanted),
      "containerDefinitions",
      `no such container (declared: ${all.map((found) => found.name).join(", ")})`,
    );
  }
  return first;
}

function containersOf(task: DeclaredResource): readonly PlainObject[] {
  const containers = parseJson(requiredText(task, "containerDefinitions"));
  if (Array.isArray(containers) && containers.every(isPlainObject)) return containers;
  throw new CannotRehearse(task.name, "containerDefinitions", "it is not a JSON list of containers");
}

/** The log events that one write to stdout becomes: split at newlines and at 262,118 bytes; empty lines make none. */
export function splitIntoEvents(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => {
    if (line === "") return [];
    return Buffer.byteLength(line) <= MAX_EVENT_BYTES ? [line] : chunks(line);
  });
}

function chunks(line: string): string[] {
  const bytes = Buffer.from(line);
  const events: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(start + MAX_EVENT_BYTES, bytes.length);
    // Never inside a character: 10xxxxxx bytes continue one.
    while (end < bytes.length && ((bytes[end] ?? 0) & 0b1100_0000) === 0b1000_0000) end -= 1;
    events.push(bytes.subarray(start, end).toString());
    start = end;
  }
  return events;
}
