// Stack configuration -> one typed, validated object; all problems at once, each with its key, value and fix.

import * as pulumi from "@pulumi/pulumi";
import { contradictions, type SettingsProblem } from "./settings/checks.ts";
import {
  KEYS,
  type KeyName,
  keyNames,
  SECRET_KEYS,
  type SecretKeyName,
  secretKeyNames,
  type Values,
} from "./settings/keys.ts";

export type { EgressSlot } from "./settings/slots.ts";

/** Where raw configuration comes from; a secret's content never passes through here. */
export interface RawConfiguration {
  readonly project: string;
  readonly stack: string;
  readonly region: string | undefined;
  /** The key's text as the CLI hands it over, or undefined; lists and objects are JSON. */
  value(key: KeyName): string | undefined;
  /** Whether a secret key is set, and whether it is stored encrypted. */
  secret(key: SecretKeyName): "missing" | "plain" | "encrypted";
  /** Every key of the project's namespace that is set. */
  readonly keys: readonly string[];
}

export interface Settings extends Values {
  /** `<project>-<stack>`: the metrics' dimension, and the start of every name. */
  readonly name: string;
  readonly project: string;
  readonly stack: string;
  readonly region: string;
}

export type ParsedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly SettingsProblem[] };

/** The stack's configuration cannot be deployed; the message lists every problem. */
export class SettingsError extends Error {
  readonly kind = "settings";
  readonly problems: readonly SettingsProblem[];

  constructor(stack: string, problems: readonly SettingsProblem[]) {
    super(
      `The configuration of stack ${stack} has ${problems.length} problem(s):\n${problems
        .map(({ key, problem }) => `  - ${key} ${problem}`)
        .join("\n")}`,
    );
    this.name = "SettingsError";
    this.problems = problems;
  }
}

// Longest name built from it: an SNS topic or alarm stays far below 255, an IAM role's prefix below 38 characters.
const NAME = /^[a-z][a-z0-9-]{1,30}[a-z0-9]$/;
// AWS's own partition; China and GovCloud have other ARNs, endpoints and no Elastic IP that reaches Discord from China.
const REGION = /^(?!cn-|us-gov-)[a-z]{2,3}-[a-z]+-\d$/;

/** Reads every key; pure, so that each problem can be tested as a row of a table. */
export function parseSettings(raw: RawConfiguration): ParsedSettings {
  const problems: SettingsProblem[] = [];
  const values: Partial<Record<KeyName, unknown>> = {};
  for (const name of keyNames()) {
    const { syntax, fallback } = KEYS[name];
    const reading = syntax.read(raw.value(name) ?? fallback);
    if (reading.ok) values[name] = reading.value;
    else problems.push({ key: name, problem: reading.problem });
  }
  const name = `${raw.project}-${raw.stack}`;
  if (!NAME.test(name)) {
    problems.push({
      key: "stack",
      problem: `makes the name "${name}"; use lower-case letters, digits and hyphens, at most 32`,
    });
  }
  if (raw.region === undefined)
    problems.push({ key: "aws:region", problem: "is not set; pulumi config set aws:region us-east-1" });
  else if (!REGION.test(raw.region)) {
    problems.push({
      key: "aws:region",
      problem: `is "${raw.region}"; it must be a region of the aws partition, such as us-east-1`,
    });
  }
  const secrets = new Set<SecretKeyName>();
  for (const key of secretKeyNames()) {
    const { required, fix } = SECRET_KEYS[key];
    const found = raw.secret(key);
    if (found === "plain") problems.push({ key, problem: `is stored in plain text; replace it now: ${fix}` });
    if (found === "missing" && required) problems.push({ key, problem: `is not set; ${fix}` });
    if (found !== "missing") secrets.add(key);
  }
  const known = new Set<string>([...keyNames(), ...secretKeyNames()]);
  for (const key of raw.keys) {
    if (!known.has(key))
      problems.push({ key, problem: "is not a setting of this project; remove it, or correct its name" });
  }
  // Rules between keys need every key; a key that is not well-formed is reported above.
  if (keyNames().every((key) => key in values)) problems.push(...contradictions(values as Values, secrets));
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    settings: { ...(values as Values), name, project: raw.project, stack: raw.stack, region: raw.region ?? "" },
  };
}

/** Secret values, as outputs that the engine keeps encrypted. */
export interface SecretSettings {
  readonly discordToken: pulumi.Output<string>;
  readonly upstreamKeys: pulumi.Output<string> | undefined;
  readonly egressProxy: pulumi.Output<string> | undefined;
  readonly pagerUrl: pulumi.Output<string> | undefined;
  readonly discordWebhookUrl: pulumi.Output<string> | undefined;
}

/** Whether the CLI hands a key over as encrypted. Pulumi has this function for its own `Config`, but no type for it. */
function isEncrypted(key: string): boolean {
  const runtime: object = pulumi.runtime;
  if (!("isConfigSecret" in runtime) || typeof runtime.isConfigSecret !== "function") {
    throw new TypeError(
      "@pulumi/pulumi has no runtime.isConfigSecret; pin the version that this project was tested with",
    );
  }
  return runtime.isConfigSecret(key) === true;
}

/** The running stack's settings. @throws {SettingsError} with every problem of its configuration. */
export function loadSettings(): { readonly settings: Settings; readonly secrets: SecretSettings } {
  const project = pulumi.getProject();
  const stack = pulumi.getStack();
  const configuration = new pulumi.Config();
  const found = new Map(secretKeyNames().map((key) => [key, configuration.getSecret(key)] as const));
  const namespace = `${project}:`;
  const parsed = parseSettings({
    project,
    stack,
    region: new pulumi.Config("aws").get("region"),
    value: (key) => configuration.get(key),
    secret(key) {
      if (found.get(key) === undefined) return "missing";
      return isEncrypted(`${namespace}${key}`) ? "encrypted" : "plain";
    },
    keys: Object.keys(pulumi.runtime.allConfig() ?? {})
      .filter((key) => key.startsWith(namespace))
      .map((key) => key.slice(namespace.length)),
  });
  if (!parsed.ok) throw new SettingsError(stack, parsed.problems);
  return {
    settings: parsed.settings,
    secrets: {
      discordToken: configuration.requireSecret("discordToken"),
      upstreamKeys: found.get("upstreamKeys"),
      egressProxy: found.get("egressProxy"),
      pagerUrl: found.get("pagerUrl"),
      discordWebhookUrl: found.get("discordWebhookUrl"),
    },
  };
}
