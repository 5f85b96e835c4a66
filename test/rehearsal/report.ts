// What the rehearsal prints: the deployment by component, the variables that differ, and the closing table.

import path from "node:path";
import { METRIC_NAMESPACE } from "../../shared/metrics.ts";
import type { DeclaredProgram, RecordedResource } from "../infra/program.ts";
import { type ChangedVariable, declaredContainer } from "./container.ts";
import type { Drill } from "./drill.ts";
import { NOT_REHEARSED, rehearsedRules } from "./drills.ts";
import { type Outcome, spoken } from "./runDrill.ts";

const STACK_TYPE = "pulumi:pulumi:Stack";

/** `aws:ec2/natGateway:NatGateway` is a NatGateway to a person. */
const shortType = (type: string): string => type.slice(type.lastIndexOf(":") + 1);

/** The resources by component in the order of their declaration, the public addresses marked. */
export function deployment(program: DeclaredProgram): string {
  const byUrn = new Map(program.resources.map((resource) => [resource.urn, resource]));
  const isComponent = ({ type }: RecordedResource): boolean => type.startsWith(`${program.project}:`);
  const componentOf = (resource: RecordedResource): string => {
    let outermost = isComponent(resource) ? shortType(resource.type) : "the stack itself";
    for (let at = byUrn.get(resource.parent ?? ""); at !== undefined; at = byUrn.get(at.parent ?? "")) {
      if (isComponent(at)) outermost = shortType(at.type);
    }
    return outermost;
  };

  const groups = new Map<string, Map<string, number>>();
  for (const resource of program.resources) {
    if (resource.type === STACK_TYPE) continue;
    const component = componentOf(resource);
    const kinds = groups.get(component) ?? new Map<string, number>();
    groups.set(component, kinds);
    const kind = shortType(resource.type);
    if (!isComponent(resource)) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const width = Math.max(...[...groups.keys()].map((name) => name.length));
  const count = program.resources.filter((resource) => resource.type !== STACK_TYPE && !isComponent(resource)).length;
  const lines = [...groups].map(([component, kinds]) => {
    const list = [...kinds].map(([kind, number]) => (number === 1 ? kind : `${number} ${kind}`)).join(", ");
    return `  ${component.padEnd(width)}  ${list}`;
  });
  const addresses = program.resources
    .filter(({ type }) => type === "aws:ec2/eip:Eip")
    .map(({ name, outputs }) => `  * ${String(outputs["publicIp"])}  the bot's public address (Elastic IP ${name})`);
  return [`Stack ${program.stack} in ${program.region} would deploy ${count} resources:`, ...lines, ...addresses].join(
    "\n",
  );
}

/** How every rehearsed container differs from the declared one. */
export function differences(program: DeclaredProgram, changed: readonly ChangedVariable[]): string {
  const container = declaredContainer(program);
  const same = Object.keys(container.environment).length + Object.keys(container.secrets).length;
  return [
    `Each bot starts from the declared container (${same} variables as declared); only these differ, because it runs here:`,
    ...changed.filter(({ why }) => why === undefined).map(difference),
    "A drill that needs another module or ledger says so in its own line.",
  ].join("\n");
}

/** What one drill sets besides, against the declaration, each with the reason. */
export function exceptions(changed: readonly ChangedVariable[]): readonly string[] {
  return changed.flatMap((change) =>
    change.why === undefined ? [] : [`sets ${difference(change).trim()}: ${change.why}`],
  );
}

const ROOT = `${path.resolve(import.meta.dirname, "../..")}${path.sep}`;

const difference = ({ name, declared, rehearsed }: ChangedVariable): string =>
  `  ${name}=${rehearsed.replace(ROOT, "")}  (declared: ${declared ?? "unset"})`;

const ALARM_TYPES: Readonly<Record<string, string>> = {
  "aws:cloudwatch/metricAlarm:MetricAlarm": "name",
  "aws:cloudwatch/compositeAlarm:CompositeAlarm": "alarmName",
};

/** The declared rules that none of `drills` sets off: those on the bot's own metrics, and those on what AWS publishes. */
export function notRehearsed(
  program: DeclaredProgram,
  drills: readonly Drill[],
): { readonly bot: readonly string[]; readonly aws: readonly string[] } {
  const rehearsed = rehearsedRules(drills);
  const prefix = `${program.project}-${program.stack}-`;
  const rules = program.resources.flatMap(({ type, inputs }) => {
    const key = ALARM_TYPES[type];
    const rule = String(inputs[key ?? ""] ?? "").replace(prefix, "");
    if (key === undefined || rehearsed.has(rule)) return [];
    return [{ rule, ours: inputs["namespace"] === undefined || inputs["namespace"] === METRIC_NAMESPACE }];
  });
  const those = (ours: boolean): string[] => rules.filter((one) => one.ours === ours).map(({ rule }) => rule);
  return { bot: those(true), aws: those(false) };
}

const time = (milliseconds: number | undefined): string => (milliseconds === undefined ? "-" : spoken(milliseconds));

function rowOf({ drill, rate, reached, firedAfterMs, clearedAfterMs, falsePages, problems }: Outcome): string[] {
  const alarms = [drill.alarm, ...(drill.also ?? [])].filter((rule) => rule !== undefined);
  return [
    rate === 1 ? `${drill.name} (real time)` : drill.name,
    alarms.length === 0 ? "none" : `${alarms.join(" + ")}${reached === undefined ? "" : ` (${reached})`}`,
    [...new Set((drill.names ?? []).map(({ event }) => event))].join(", ") || "-",
    time(firedAfterMs),
    time(clearedAfterMs),
    String(falsePages),
    problems.length === 0 ? "passed" : "FAILED",
  ];
}

/** A row for each drill, what was not rehearsed and why, then what went wrong, in words. */
export function closingTable(program: DeclaredProgram, outcomes: readonly Outcome[], drills: readonly Drill[]): string {
  const header = ["drill", "alarm expected", "cause in the log", "fired after", "cleared after", "false pages", ""];
  const all = [header, ...outcomes.map(rowOf)];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const table = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const { bot, aws } = notRehearsed(program, drills);
  const left = drills.filter((drill) => outcomes.every((outcome) => outcome.drill !== drill)).length;
  const notes = [
    ...(left === 0 ? [] : [`${left} more drills: npm start -- --all`]),
    `No log line sets these off, so they are drilled on a live stack only (npm run drill): ${aws.join(", ")}`,
    ...bot.map((rule) => `Not drilled: ${rule}, ${NOT_REHEARSED[rule] ?? "which has no drill yet"}`),
  ];
  const failed = outcomes.filter(({ problems }) => problems.length > 0);
  const failures = failed.flatMap(({ drill, problems }) => [
    `${drill.name}${drill.alarm === undefined ? "" : ` (${drill.alarm})`}:`,
    ...problems.map((problem) => `  - ${problem}`),
  ]);
  const verdict =
    failed.length === 0
      ? `All ${outcomes.length} drills passed.`
      : `${failed.length} of ${outcomes.length} drills failed.`;
  return [...table, "", ...notes, ...(failures.length === 0 ? [] : ["", ...failures]), "", verdict].join("\n");
}
