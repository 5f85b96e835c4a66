// What the rehearsal prints: the deployment by component, the variables that differ, and the closing table.

import type { DeclaredProgram, RecordedResource } from "../infra/program.ts";
import type { ChangedVariable } from "./container.ts";
import { declaredContainer } from "./container.ts";
import type { Outcome } from "./runDrill.ts";
import { spoken } from "./runDrill.ts";

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

/** How the rehearsed container differs from the declared one. */
export function differences(program: DeclaredProgram, changed: readonly ChangedVariable[]): string {
  const container = declaredContainer(program);
  const same = Object.keys(container.environment).length + Object.keys(container.secrets).length;
  return [
    `The bot starts from the declared container (${same} variables as declared); only these differ, because it runs here:`,
    ...changed.map(({ name, declared, rehearsed }) => `  ${name}=${rehearsed}  (declared: ${declared ?? "unset"})`),
  ].join("\n");
}

/** A row for each drill, then what went wrong, in words. */
export function closingTable(outcomes: readonly Outcome[]): string {
  const time = (milliseconds: number | undefined): string => (milliseconds === undefined ? "-" : spoken(milliseconds));
  const rows = outcomes.map(({ drill, rate, firedAfterMs, clearedAfterMs, falsePages, problems }) => [
    rate === 1 ? `${drill.name} (real time)` : drill.name,
    drill.alarm ?? "none",
    time(firedAfterMs),
    time(clearedAfterMs),
    String(falsePages),
    problems.length === 0 ? "passed" : "FAILED",
  ]);
  const all = [["drill", "page expected", "fired after", "cleared after", "false pages", ""], ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const table = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const failures = outcomes.flatMap(({ drill, problems }) => problems.map((problem) => `${drill.name}: ${problem}`));
  return [...table, ...(failures.length === 0 ? [] : ["", ...failures])].join("\n");
}
