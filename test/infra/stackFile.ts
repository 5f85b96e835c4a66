// Reads Pulumi.yaml and the committed stack files the way the CLI hands them to a program.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";

export const REPOSITORY_ROOT = join(import.meta.dirname, "../..");

/** One declared key of Pulumi.yaml. */
export interface DeclaredKey {
  readonly type: string;
  readonly description: string;
  readonly default: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A YAML file of the repository root as a record. @throws when it is none. */
export function readYaml(file: string): Record<string, unknown> {
  const document: unknown = load(readFileSync(join(REPOSITORY_ROOT, file), "utf8"));
  if (!isRecord(document)) throw new Error(`${file} is not a YAML mapping`);
  return document;
}

/** The project's name and its declared configuration keys. */
export function readProject(): { readonly name: string; readonly keys: Readonly<Record<string, DeclaredKey>> } {
  const { name, config } = readYaml("Pulumi.yaml");
  if (typeof name !== "string" || !isRecord(config)) throw new Error("Pulumi.yaml needs a name and config");
  const keys: Record<string, DeclaredKey> = {};
  for (const [key, declared] of Object.entries(config)) {
    if (!isRecord(declared)) throw new Error(`Pulumi.yaml declares ${key} without type and description`);
    keys[key] = {
      type: String(declared["type"]),
      description: String(declared["description"] ?? ""),
      default: declared["default"],
    };
  }
  return { name, keys };
}

/** A value as the CLI passes it on: lists and objects as JSON, anything else as text. */
export function asText(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** The committed configuration of a stack, declared defaults filled in, every key with its namespace. */
export function readStackConfiguration(stack: string): Record<string, string> {
  const project = readProject();
  const { config } = readYaml(`Pulumi.${stack}.yaml`);
  if (!isRecord(config)) throw new Error(`Pulumi.${stack}.yaml needs config`);
  const values: Record<string, string> = {};
  for (const [key, declared] of Object.entries(project.keys))
    values[`${project.name}:${key}`] = asText(declared.default);
  for (const [key, value] of Object.entries(config)) {
    // What only the CLI can decrypt has a placeholder here, like the secrets that are not set.
    if (!(isRecord(value) && "secure" in value)) values[key] = asText(value);
  }
  return values;
}
