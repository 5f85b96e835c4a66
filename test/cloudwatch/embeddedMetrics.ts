// The embedded metric format: one log event in, the points that CloudWatch extracts from it out, or why there are none.
// Source: CloudWatch user guide, "Specification: Embedded metric format", and "Monitoring with CloudWatch metrics" (AWS/Logs).

import { isPlainObject, type PlainObject, parseJson } from "./declared.ts";

/** The values of one metric under one dimension set. */
export interface MetricPoints {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: string;
  /** Seconds: 1 or 60. */
  readonly resolution: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly values: readonly number[];
}

export type Extraction =
  /** Not an embedded metric document: an ordinary line. */
  | { readonly kind: "plain" }
  /** The line is kept, no metric is made, and AWS/Logs counts the error. */
  | { readonly kind: "invalid"; readonly counter: "EMFParsingErrors" | "EMFValidationErrors"; readonly why: string }
  /** Valid, but stamped outside the window that CloudWatch accepts: discarded without a trace. */
  | { readonly kind: "discarded"; readonly points: readonly MetricPoints[]; readonly why: string }
  | { readonly kind: "points"; readonly points: readonly MetricPoints[] };

// PutMetricData: timestamps from two weeks past to two hours ahead.
const OLDEST_MS = 14 * 86_400_000;
const NEWEST_MS = 2 * 3_600_000;
// A stamp below this is before 1973 in milliseconds, and a present day in seconds.
const LOOKS_LIKE_SECONDS = 100_000_000_000;
const MAX_DIMENSIONS = 30;
const MAX_METRICS = 100;
const MAX_VALUES = 100;
// The format's schema allows 1,024 for names; the CloudWatch API stops at 255 (metric, namespace) and 250 (dimension name).
const MAX_NAME = 255;
const MAX_DIMENSION_NAME = 250;
const MAX_DIMENSION_VALUE = 1024;
const MAX_MAGNITUDE = 2 ** 360;

const UNITS = new Set(
  (
    "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits " +
    "Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second " +
    "Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second None"
  ).split(" "),
);

/** One thing wrong with a document; which of the two counters of AWS/Logs it adds to is its kind. */
class Flaw extends Error {
  readonly counter: "EMFParsingErrors" | "EMFValidationErrors";
  constructor(counter: "EMFParsingErrors" | "EMFValidationErrors", message: string) {
    super(message);
    this.counter = counter;
  }
}
const malformed = (message: string): Flaw => new Flaw("EMFParsingErrors", message);
const unacceptable = (message: string): Flaw => new Flaw("EMFValidationErrors", message);

/** Reads one log event received at `at` (ms since the epoch). A flaw anywhere voids the whole document. */
export function extractMetrics(message: string, at: number): Extraction {
  const root = parseJson(message);
  if (!isPlainObject(root)) {
    if (!message.includes('"_aws"')) return { kind: "plain" };
    return { kind: "invalid", counter: "EMFParsingErrors", why: "the line is not exactly one JSON object" };
  }
  if (!("_aws" in root)) return { kind: "plain" };
  try {
    const { timestamp, directives } = metadata(root["_aws"]);
    const points = directives.flatMap((directive) => pointsOf(directive, root, timestamp));
    const why = outsideWindow(timestamp, at);
    return why === undefined ? { kind: "points", points } : { kind: "discarded", points, why };
  } catch (flaw) {
    if (flaw instanceof Flaw) return { kind: "invalid", counter: flaw.counter, why: flaw.message };
    throw flaw;
  }
}

/** Why CloudWatch discards a datapoint stamped so, or `undefined` if it takes it. */
export function outsideWindow(timestamp: number, at: number): string | undefined {
  if (timestamp > at + NEWEST_MS) return `Timestamp ${timestamp} is more than 2 h ahead`;
  if (timestamp >= at - OLDEST_MS) return undefined;
  return timestamp < LOOKS_LIKE_SECONDS
    ? `Timestamp ${timestamp} is in seconds; milliseconds are wanted, so it reads as 1970 and is dropped silently`
    : `Timestamp ${timestamp} is more than 14 days old`;
}

function metadata(value: unknown): { timestamp: number; directives: readonly PlainObject[] } {
  if (!isPlainObject(value)) throw malformed("_aws is not an object");
  const timestamp = value["Timestamp"];
  if (typeof timestamp !== "number" || !Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw malformed("_aws.Timestamp is not a whole number of milliseconds");
  }
  const directives = value["CloudWatchMetrics"];
  if (!Array.isArray(directives) || !directives.every(isPlainObject)) {
    throw malformed("_aws.CloudWatchMetrics is not a list of directives");
  }
  return { timestamp, directives };
}

function pointsOf(directive: PlainObject, root: PlainObject, timestamp: number): MetricPoints[] {
  const namespace = name(directive["Namespace"], "Namespace", MAX_NAME);
  if (namespace.startsWith("AWS/")) throw unacceptable(`namespace ${namespace}: AWS/ is reserved for AWS`);
  const sets = directive["Dimensions"];
  const definitions = directive["Metrics"];
  if (!Array.isArray(sets) || sets.length === 0)
    throw malformed("Dimensions needs at least one set; [[]] is the empty one");
  if (!Array.isArray(definitions)) throw malformed("Metrics is not a list");
  if (definitions.length > MAX_METRICS)
    throw unacceptable(`${definitions.length} metrics in one directive, at most 100`);
  const dimensionSets = sets.map((set) => dimensionsOf(set, root));
  return definitions.flatMap((definition) => {
    const metric = definitionOf(definition, root);
    return dimensionSets.map((dimensions) => ({ namespace, dimensions, timestamp, ...metric }));
  });
}

function dimensionsOf(set: unknown, root: PlainObject): Record<string, string> {
  if (!Array.isArray(set)) throw malformed("a dimension set is not a list of names");
  if (set.length > MAX_DIMENSIONS) throw unacceptable(`a dimension set of ${set.length} names, at most 30`);
  const dimensions: Record<string, string> = {};
  for (const item of set) {
    const key = name(item, "a dimension name", MAX_DIMENSION_NAME);
    const value = root[key];
    if (typeof value !== "string" || value === "") {
      throw unacceptable(`dimension ${key} is not a text member of the root (a number must be written as text)`);
    }
    if (value.length > MAX_DIMENSION_VALUE) throw unacceptable(`dimension ${key} is longer than 1,024 characters`);
    dimensions[key] = value;
  }
  return dimensions;
}

function definitionOf(
  definition: unknown,
  root: PlainObject,
): Pick<MetricPoints, "name" | "unit" | "resolution" | "values"> {
  if (!isPlainObject(definition)) throw malformed("a metric definition is not an object");
  const metric = name(definition["Name"], "a metric's Name", MAX_NAME);
  const unit = definition["Unit"] ?? "None";
  if (typeof unit !== "string" || !UNITS.has(unit))
    throw unacceptable(`metric ${metric}: no such Unit: ${String(unit)}`);
  const resolution = definition["StorageResolution"] ?? 60;
  if (resolution !== 1 && resolution !== 60) throw unacceptable(`metric ${metric}: StorageResolution must be 1 or 60`);
  return { name: metric, unit, resolution, values: valuesOf(metric, root[metric]) };
}

function valuesOf(metric: string, target: unknown): readonly number[] {
  const values: readonly unknown[] = Array.isArray(target) ? target : [target];
  if (values.length === 0 || values.length > MAX_VALUES) {
    throw unacceptable(`metric ${metric} has ${values.length} values; 1 to 100 are taken`);
  }
  return values.map((value) => {
    if (typeof value === "number" && Math.abs(value) <= MAX_MAGNITUDE) return value;
    throw unacceptable(`metric ${metric} is not a number, or a list of numbers, at the root of the document`);
  });
}

function name(value: unknown, what: string, longest: number): string {
  if (typeof value !== "string" || value.trim() === "") throw malformed(`${what} is missing or not text`);
  if (value.length > longest) throw unacceptable(`${what} is longer than ${longest} characters`);
  return value;
}
