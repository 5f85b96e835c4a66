// A declared metric filter: which log events count, and the datapoint that each of them makes.
// Sources: CloudWatch Logs API reference, MetricTransformation; user guide, "Creating metric filters".

import {
  asTextMap,
  awsName,
  type DeclaredResource,
  flag,
  onlyKnown,
  optionalObject,
  type PlainObject,
  requiredText,
  sameRegion,
} from "./declared.ts";
import type { MetricPoints } from "./embeddedMetrics.ts";
import { type FilterMatch, type FilterPattern, FilterPatternError, parseFilterPattern } from "./filterPattern.ts";
import { CannotRehearse } from "./refusal.ts";

export type FilterOutcome =
  | { readonly kind: "nothing" }
  /** Matched, but no datapoint came of it. */
  | { readonly kind: "note"; readonly why: string }
  | { readonly kind: "value"; readonly point: Omit<MetricPoints, "timestamp" | "resolution"> };

export interface MetricFilter {
  readonly name: string;
  readonly resource: string;
  readonly group: string;
  readonly namespace: string;
  readonly metric: string;
  readonly hasDefault: boolean;
  readonly regexes: number;
  /** What one log event of the group makes. Throws `CannotRehearse` where AWS's answer is not documented. */
  apply(event: string): FilterOutcome;
}

// AWS may disable a filter at 1,000 distinct dimension values within an hour.
const MAX_DIMENSION_VALUES = 1000;
const MAX_DIMENSIONS = 3;

interface Transformation {
  readonly namespace: string;
  readonly name: string;
  readonly unit: string;
  readonly value: number | { readonly reference: string };
  readonly fallback: number | undefined;
  readonly dimensions: Readonly<Record<string, string>>;
}

/** Reads a metric filter. Throws `CannotRehearse` for what AWS rejects and for what is not documented. */
export function metricFilter(resource: DeclaredResource, region: string): MetricFilter {
  onlyKnown(resource, ["applyOnTransformedLogs", "logGroupName", "metricTransformation", "name", "pattern", "region"]);
  sameRegion(resource, region);
  if (flag(resource, "applyOnTransformedLogs", false)) {
    throw new CannotRehearse(resource.name, "applyOnTransformedLogs", "log transformation is not implemented");
  }
  const pattern = guarded(resource, "pattern", () => parseFilterPattern(requiredText(resource, "pattern")));
  const transformation = transformationOf(resource, pattern);
  const seen = new Set<string>();
  return {
    name: awsName(resource),
    resource: resource.name,
    group: requiredText(resource, "logGroupName"),
    namespace: transformation.namespace,
    metric: transformation.name,
    hasDefault: transformation.fallback !== undefined,
    regexes: pattern.regexes,
    apply(event) {
      const outcome = guarded(resource, "pattern", () => outcomeOf(resource, pattern, transformation, event));
      if (outcome.kind === "value") {
        seen.add(JSON.stringify(outcome.point.dimensions));
        if (seen.size > MAX_DIMENSION_VALUES) {
          throw new CannotRehearse(
            resource.name,
            "metricTransformation.dimensions",
            "more than 1,000 values: AWS may disable the filter",
          );
        }
      }
      return outcome;
    },
  };
}

/** Refuses what AWS limits per log group: 100 filters, 5 of them with regular expressions. */
export function checkFiltersPerGroup(filters: readonly MetricFilter[]): void {
  for (const [group, members] of Map.groupBy(filters, (filter) => filter.group)) {
    if (members.length > 100) throw new CannotRehearse(group, "metric filters", "AWS takes at most 100 to a log group");
    if (members.filter((filter) => filter.regexes > 0).length > 5) {
      throw new CannotRehearse(group, "metric filters", "AWS takes at most 5 with regular expressions to a log group");
    }
  }
}

function guarded<Result>(resource: DeclaredResource, property: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof FilterPatternError)) throw error;
    const why = error.kind === "invalid" ? `AWS rejects it: ${error.message}` : `not documented: ${error.message}`;
    throw new CannotRehearse(resource.name, property, why, { cause: error });
  }
}

function outcomeOf(
  resource: DeclaredResource,
  pattern: FilterPattern,
  transformation: Transformation,
  event: string,
): FilterOutcome {
  const match = pattern.match(event);
  const { namespace, name, unit, fallback } = transformation;
  if (match === undefined) {
    if (fallback === undefined) return { kind: "nothing" };
    return { kind: "value", point: { namespace, name, unit, dimensions: {}, values: [fallback] } };
  }
  const value = amountIn(transformation.value, match, pattern.dialect === "space");
  if (value === undefined) return { kind: "note", why: "an event matched but its value is missing or not a number" };
  return {
    kind: "value",
    point: { namespace, name, unit, dimensions: dimensionsOf(resource, transformation, match), values: [value] },
  };
}

function amountIn(value: Transformation["value"], match: FilterMatch, columns: boolean): number | undefined {
  if (typeof value === "number") return value;
  const field = match.field(value.reference);
  // Columns are text by nature; in JSON, text is not a number.
  const number = columns && typeof field === "string" && field.trim() !== "" ? Number(field) : field;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function dimensionsOf(
  resource: DeclaredResource,
  transformation: Transformation,
  match: FilterMatch,
): Record<string, string> {
  const dimensions: Record<string, string> = {};
  for (const [key, reference] of Object.entries(transformation.dimensions)) {
    const value = match.field(reference);
    if (typeof value !== "string" || value === "") {
      const why = `what happens when ${reference} is not text is not documented; add ${reference} = * to the pattern`;
      throw new CannotRehearse(resource.name, `metricTransformation.dimensions.${key}`, why);
    }
    dimensions[key] = value;
  }
  return dimensions;
}

function transformationOf(resource: DeclaredResource, pattern: FilterPattern): Transformation {
  const given = optionalObject(resource, "metricTransformation");
  if (given === undefined)
    throw new CannotRehearse(resource.name, "metricTransformation", "it is not set, and AWS requires it");
  const text = (property: string): string => {
    const value = given[property];
    if (typeof value === "string" && value !== "") return value;
    throw new CannotRehearse(resource.name, `metricTransformation.${property}`, "it is not text");
  };
  const dimensions = asTextMap(resource, "metricTransformation.dimensions", given["dimensions"] ?? {});
  const fallback = fallbackOf(resource, given);
  if (Object.keys(dimensions).length > MAX_DIMENSIONS) {
    throw new CannotRehearse(resource.name, "metricTransformation.dimensions", "AWS takes at most 3");
  }
  if (fallback !== undefined && Object.keys(dimensions).length > 0) {
    throw new CannotRehearse(resource.name, "metricTransformation.defaultValue", "AWS takes no dimensions beside it");
  }
  for (const [key, reference] of Object.entries(dimensions)) {
    guarded(resource, `metricTransformation.dimensions.${key}`, () => pattern.checkReference(reference));
  }
  const unit = given["unit"] ?? "None";
  if (typeof unit !== "string") throw new CannotRehearse(resource.name, "metricTransformation.unit", "it is not text");
  return {
    namespace: text("namespace"),
    name: text("name"),
    unit,
    value: declaredAmount(resource, pattern, text("value")),
    fallback,
    dimensions,
  };
}

function declaredAmount(resource: DeclaredResource, pattern: FilterPattern, value: string): Transformation["value"] {
  if (value.startsWith("$")) {
    guarded(resource, "metricTransformation.value", () => pattern.checkReference(value));
    return { reference: value };
  }
  const number = Number(value);
  if (value.trim() !== "" && Number.isFinite(number)) return number;
  throw new CannotRehearse(
    resource.name,
    "metricTransformation.value",
    `AWS rejects "${value}": a number, or a field starting with $`,
  );
}

/** Whether a default is stored once an event or once a minute is not documented; only for 0 does it make no difference. */
function fallbackOf(resource: DeclaredResource, given: PlainObject): number | undefined {
  const value = given["defaultValue"];
  if (value === undefined || value === null || value === "") return undefined;
  if (Number(value) === 0) return 0;
  throw new CannotRehearse(resource.name, "metricTransformation.defaultValue", "only 0 has a documented effect");
}
