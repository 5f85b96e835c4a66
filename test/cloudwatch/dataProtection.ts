// What CloudWatch Logs masks: declared data protection policies, and a log event as metric filters see it afterwards.
// Source: CloudWatch Logs user guide, "Help protect sensitive log data with masking" (metric filters see masked data).

import { type DeclaredResource, document, isPlainObject, ofType, type PlainObject, requiredText } from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

/** One custom identifier that a log group masks. */
export interface Mask {
  readonly resource: string;
  readonly group: string;
  readonly identifier: string;
  readonly regex: RegExp;
}

/** Reads every policy. Throws `CannotRehearse` for AWS's own identifiers, whose patterns are not published. */
export function masksOf(resources: readonly DeclaredResource[]): readonly Mask[] {
  return ofType(resources, "aws:cloudwatch/logDataProtectionPolicy:LogDataProtectionPolicy").flatMap((resource) => {
    const policy = document(resource, "policyDocument") ?? {};
    const group = requiredText(resource, "logGroupName");
    const custom = customIdentifiers(policy);
    return maskedIdentifiers(policy).map((identifier) => {
      const pattern = custom.get(identifier);
      if (pattern === undefined) {
        throw new CannotRehearse(
          resource.name,
          "policyDocument",
          `what ${identifier} matches is AWS's own and not published`,
        );
      }
      return { resource: resource.name, group, identifier, regex: new RegExp(pattern, "g") };
    });
  });
}

function customIdentifiers(policy: PlainObject): ReadonlyMap<string, string> {
  const configuration = isPlainObject(policy["Configuration"]) ? policy["Configuration"] : {};
  const identifiers = new Map<string, string>();
  for (const identifier of list(configuration["CustomDataIdentifier"])) {
    if (!isPlainObject(identifier)) continue;
    const { Name: name, Regex: regex } = identifier;
    if (typeof name === "string" && typeof regex === "string") identifiers.set(name, regex);
  }
  return identifiers;
}

function maskedIdentifiers(policy: PlainObject): readonly string[] {
  return list(policy["Statement"]).flatMap((statement) => {
    if (!isPlainObject(statement) || !isPlainObject(statement["Operation"])) return [];
    if (!("Deidentify" in statement["Operation"])) return [];
    return list(statement["DataIdentifier"]).filter((item): item is string => typeof item === "string");
  });
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The event with what the group masks replaced by asterisks, and the identifiers that were found. */
export function masked(
  masks: readonly Mask[],
  group: string,
  event: string,
): { readonly text: string; readonly found: readonly Mask[] } {
  const found: Mask[] = [];
  let text = event;
  for (const mask of masks.filter((candidate) => candidate.group === group)) {
    const replaced = text.replace(mask.regex, (hidden) => "*".repeat(hidden.length));
    if (replaced !== text) found.push(mask);
    text = replaced;
  }
  return { text, found };
}
