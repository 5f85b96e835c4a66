// The README's promises, held against the tables that they are made from.

import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { VARIABLES, type Variable } from "../../shared/environment.ts";
import { EVENTS, type LogEvent } from "../../shared/events.ts";

const root = path.resolve(import.meta.dirname, "../..");
const readme = readFileSync(path.join(root, "README.md"), "utf8");

const defaultOf = ({ required, fallback }: Variable): string => {
  if (required) return "required";
  return fallback === undefined ? "unset" : `\`${fallback}\``;
};

describe("the README", () => {
  it.each(Object.entries(VARIABLES))("documents %s with its default and meaning", (name, variable: Variable) => {
    expect(readme).toContain(`| \`${name}\` | ${defaultOf(variable)} | ${variable.meaning} |`);
  });

  it.each(Object.entries(EVENTS))("documents %s with its fields and meaning", (name, event: LogEvent) => {
    expect(readme).toContain(`| \`${name}\` | ${Object.keys(event.fields).join(", ")} | ${event.meaning} |`);
  });

  it("names every dependency with its reason", () => {
    const manifest: unknown = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    const names = ["dependencies", "devDependencies"].flatMap((kind) =>
      Object.keys(Object(Reflect.get(Object(manifest), kind))),
    );
    const table = readme.slice(readme.indexOf("### Dependencies"));
    const named = (name: string): boolean =>
      table.includes(name) ||
      table.includes(name.replace(/^@types\/.*/, "@types/*")) ||
      table.includes(name.replace("@pulumi/", ""));
    expect(names.filter((name) => !named(name))).toEqual([]);
  });

  it.each([...readme.matchAll(/\]\(((?!https?:)[^)#]+)\)/g)].map(([, target]) => target ?? ""))(
    "links to %s, which exists",
    (target) => {
      expect(readFileSync(path.join(root, target), "utf8")).not.toBe("");
    },
  );
});
