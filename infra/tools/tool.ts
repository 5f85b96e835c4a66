// What every command for a person shares: how it fails, and what it may know of a stack without asking the CLI.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";
import { KEYS, type KeyName, type SecretKeyName } from "../settings/keys.ts";

export const REPOSITORY_ROOT = join(import.meta.dirname, "../..");

/** A command cannot go on; the message says what was given and what to do. */
export class ToolError extends Error {
  readonly kind = "tool";
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function yaml(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(join(REPOSITORY_ROOT, file), "utf8");
  } catch (cause) {
    throw new ToolError(`${file} cannot be read; --stack names one of the stack files, such as prod`, { cause });
  }
  const document: unknown = load(text);
  if (!isRecord(document)) throw new ToolError(`${file} is not a YAML mapping`);
  return document;
}

/** A stack by its committed file; secrets and whatever else the CLI alone can read are not in it. */
export interface StackFile {
  /** `<project>-<stack>`. */
  readonly name: string;
  readonly project: string;
  readonly region: string;
  value<Name extends KeyName>(key: Name): ValueOf<Name>;
  hasSecret(key: SecretKeyName): boolean;
}

type ValueOf<Name extends KeyName> = Extract<
  ReturnType<(typeof KEYS)[Name]["syntax"]["read"]>,
  { readonly ok: true }
>["value"];

/** @throws {ToolError} when the file is missing, and from `value` when a key in it is not well-formed. */
export function readStackFile(stack: string): StackFile {
  const project = String(yaml("Pulumi.yaml")["name"]);
  const { config } = yaml(`Pulumi.${stack}.yaml`);
  if (!isRecord(config)) throw new ToolError(`Pulumi.${stack}.yaml has no config`);
  return {
    name: `${project}-${stack}`,
    project,
    region: String(config["aws:region"]),
    value(key) {
      const given = config[`${project}:${key}`];
      const text = typeof given === "object" ? JSON.stringify(given) : String(given ?? KEYS[key].fallback);
      const reading = KEYS[key].syntax.read(text);
      if (!reading.ok) throw new ToolError(`Pulumi.${stack}.yaml: ${key} ${reading.problem}`);
      return reading.value as ValueOf<typeof key>;
    },
    hasSecret: (key) => config[`${project}:${key}`] !== undefined,
  };
}

/** Runs a command's body; what a person can mend is one line and exit 1, anything else a stack trace. */
export async function runTool(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof Error) || !(error instanceof ToolError || isOfAws(error))) throw error;
    console.error(error instanceof ToolError ? error.message : inWords(error));
    process.exitCode = 1;
  }
}

/** Every error of AWS's SDK carries `$metadata`; one of its credential providers carries `tryNextLink`. */
const isOfAws = (error: Error): boolean => "$metadata" in error || "tryNextLink" in error;

function inWords(error: Error): string {
  return "tryNextLink" in error
    ? `${error.message}; sign in first (aws sso login, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)`
    : `AWS refused: ${error.name}: ${error.message}`;
}
