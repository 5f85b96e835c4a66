// `npm run plan -- --stack prod`: what a deploy would make, by component, and what it costs a month; no CLI, no account.

import { parseArgs } from "node:util";
import { monthlyCost, PRICES_OF } from "../../infra/prices.ts";
import { SettingsError } from "../../infra/settings.ts";
import { type DeclaredProgram, declareProgram, type StackName } from "./program.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];

/** The plan as lines of text. */
export function planLines(program: DeclaredProgram): readonly string[] {
  const lines = [`${program.project}-${program.stack} in ${program.region}`, ""];
  const components = program.resources.filter(({ type }) => type.startsWith("mooring:"));
  const byUrn = new Map(program.resources.map((resource) => [resource.urn, resource]));
  const short = (type: string): string => type.split(":").at(-1) ?? type;
  const group = (title: string, parent: string): void => {
    const children = program.resources
      .filter((resource) => resource.parent === parent && !resource.type.startsWith("mooring:"))
      .map(({ type, name, options }) => `  ${short(type).padEnd(26)} ${name}${options.protect ? "  (protected)" : ""}`)
      .sort();
    if (children.length > 0) lines.push(title, ...children, "");
  };
  for (const { type, name, urn, parent } of components) {
    const owner = parent === undefined ? undefined : byUrn.get(parent);
    const within = owner?.type.startsWith("mooring:") ? ` in ${short(owner.type)}` : "";
    group(`${short(type)} ${name}${within}`, urn);
  }
  const root = program.resources.find(({ type }) => type === "pulumi:pulumi:Stack");
  if (root !== undefined) group("Stack", root.urn);

  lines.push(`USD a month, list prices of ${PRICES_OF.region}, ${PRICES_OF.day}; without traffic, log volume and tax`);
  const row = (item: string, list: number, free: number): string =>
    `  ${item.padEnd(38)} ${list.toFixed(2).padStart(8)} ${free.toFixed(2).padStart(12)}`;
  lines.push(`  ${"".padEnd(38)} ${"list".padStart(8)} ${"in free tier".padStart(12)}`);
  let list = 0;
  let free = 0;
  for (const line of monthlyCost(program.resources)) {
    lines.push(row(`${line.count} x ${line.item}`, line.usdPerMonth, line.usdPerMonthFreeTier));
    list += line.usdPerMonth;
    free += line.usdPerMonthFreeTier;
  }
  lines.push(row("together", list, free));
  return lines;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { stack: { type: "string", default: "dev" } } });
  const stack = STACKS.find((name) => name === values.stack);
  if (stack === undefined) {
    console.error(`--stack is "${values.stack}"; it must be one of ${STACKS.join(", ")}`);
    process.exitCode = 2;
  } else {
    try {
      for (const line of planLines(await declareProgram({ stack }))) console.log(line);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      console.error(error.message);
      process.exitCode = 1;
    }
  }
}
