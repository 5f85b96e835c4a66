// Reading a declared resource's properties: each comes back with its type checked, or is refused by name.

import { CannotRehearse } from "./refusal.ts";

/**
 * A resource as the Pulumi program declared it: type token such as "aws:cloudwatch/metricAlarm:MetricAlarm", logical
 * name, resolved plain inputs, resolved outputs (arn, name, id).
 */
export interface DeclaredResource {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly id: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

export type PlainObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object with members, not an array. */
export function isPlainObject(value: unknown): value is PlainObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The resources of one type token. */
export function ofType(resources: readonly DeclaredResource[], type: string): DeclaredResource[] {
  return resources.filter((resource) => resource.type === type);
}

/** Refuses every set input that is not in `known`: what is not read must not be silently ignored. */
export function onlyKnown(resource: DeclaredResource, known: readonly string[]): void {
  for (const [property, value] of Object.entries(resource.inputs)) {
    if (value === undefined || value === null || property.startsWith("__") || known.includes(property)) continue;
    throw new CannotRehearse(resource.name, property, "the twin does not implement this property");
  }
}

/** Refuses a resource that is placed in another Region than the twin's. */
export function sameRegion(resource: DeclaredResource, region: string): void {
  const placed = optionalText(resource, "region");
  if (placed !== undefined && placed !== region) {
    throw new CannotRehearse(resource.name, "region", `it is in ${placed}, everything else is in ${region}`);
  }
}

const absent = (value: unknown): value is undefined | null => value === undefined || value === null;

/** An input as text; absent is `undefined`. */
export function optionalText(resource: DeclaredResource, property: string): string | undefined {
  const value = resource.inputs[property];
  if (absent(value)) return undefined;
  if (typeof value === "string") return value;
  throw new CannotRehearse(resource.name, property, `it is ${typeof value}, not text`);
}

/** An input as text that must be there. */
export function requiredText(resource: DeclaredResource, property: string): string {
  const value = optionalText(resource, property);
  if (value === undefined) throw new CannotRehearse(resource.name, property, "it is not set, and AWS requires it");
  return value;
}

/** An input as a finite number; absent is `undefined`. */
export function optionalNumber(resource: DeclaredResource, property: string): number | undefined {
  const value = resource.inputs[property];
  if (absent(value)) return undefined;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number === "number" && Number.isFinite(number)) return number;
  throw new CannotRehearse(resource.name, property, `it is ${JSON.stringify(value)}, not a number`);
}

/** An input as a finite number that must be there. */
export function requiredNumber(resource: DeclaredResource, property: string): number {
  const value = optionalNumber(resource, property);
  if (value === undefined) throw new CannotRehearse(resource.name, property, "it is not set, and AWS requires it");
  return value;
}

/** An input as true or false; absent is `fallback`. */
export function flag(resource: DeclaredResource, property: string, fallback: boolean): boolean {
  const value = resource.inputs[property];
  if (absent(value)) return fallback;
  if (typeof value === "boolean") return value;
  throw new CannotRehearse(resource.name, property, `it is ${JSON.stringify(value)}, not true or false`);
}

/** An input as a list of texts; absent is empty. */
export function texts(resource: DeclaredResource, property: string): readonly string[] {
  const value = resource.inputs[property];
  if (absent(value)) return [];
  if (Array.isArray(value) && value.every((item): item is string => typeof item === "string")) return value;
  throw new CannotRehearse(resource.name, property, "it is not a list of texts (an output that is not resolved?)");
}

/** An input as a map of texts; absent is empty. */
export function textMap(resource: DeclaredResource, property: string): Readonly<Record<string, string>> {
  const value = resource.inputs[property];
  if (absent(value)) return {};
  return asTextMap(resource, property, value);
}

/** A nested value as a map of texts. */
export function asTextMap(resource: DeclaredResource, property: string, value: unknown): Record<string, string> {
  const map: Record<string, string> = {};
  if (!isPlainObject(value)) throw new CannotRehearse(resource.name, property, "it is not a map of texts");
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") throw new CannotRehearse(resource.name, `${property}.${key}`, "it is not text");
    map[key] = item;
  }
  return map;
}

/** An input as an object; absent is `undefined`. */
export function optionalObject(resource: DeclaredResource, property: string): PlainObject | undefined {
  const value = resource.inputs[property];
  if (absent(value)) return undefined;
  if (isPlainObject(value)) return value;
  throw new CannotRehearse(resource.name, property, "it is not an object");
}

/** A JSON document, given as text or as an object. */
export function document(resource: DeclaredResource, property: string): PlainObject | undefined {
  const value = resource.inputs[property];
  if (absent(value)) return undefined;
  const parsed = typeof value === "string" ? parseJson(value) : value;
  if (isPlainObject(parsed)) return parsed;
  throw new CannotRehearse(resource.name, property, "it is not a JSON object");
}

/** JSON text to a value; `undefined` for anything that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The name that AWS knows the resource by. */
export function awsName(resource: DeclaredResource, property = "name"): string {
  for (const value of [resource.outputs[property], resource.inputs[property], resource.id]) {
    if (typeof value === "string" && value !== "") return value;
  }
  return resource.name;
}

/** The ARN, or `fallback` where the declaration has none. */
export function awsArn(resource: DeclaredResource, fallback: string): string {
  const arn = resource.outputs["arn"] ?? resource.inputs["arn"];
  return typeof arn === "string" && arn !== "" ? arn : fallback;
}
