// EventBridge event patterns: which events they match, and which filters are refused.
// Source: EventBridge user guide, "Amazon EventBridge event patterns".

import { type DeclaredResource, isPlainObject, type PlainObject } from "./declared.ts";
import { CannotRehearse } from "./refusal.ts";

const OPERATORS = new Set(["prefix", "suffix", "anything-but", "exists", "equals-ignore-case", "numeric"]);

/** Refuses filters that `matchesPattern` does not implement. */
export function checkPattern(resource: DeclaredResource, pattern: PlainObject): void {
  for (const [key, value] of Object.entries(pattern)) {
    if (key === "$or") {
      if (!Array.isArray(value) || value.length < 2 || !value.every(isPlainObject)) {
        throw new CannotRehearse(resource.name, "eventPattern", "$or wants a list of two patterns or more");
      }
      for (const part of value) checkPattern(resource, part);
    } else if (isPlainObject(value)) checkPattern(resource, value);
    else if (!Array.isArray(value))
      throw new CannotRehearse(resource.name, `eventPattern.${key}`, "AWS wants a list of values");
    else for (const filter of value) checkFilter(resource, key, filter);
  }
}

function checkFilter(resource: DeclaredResource, key: string, filter: unknown): void {
  if (!isPlainObject(filter)) return;
  const [operator, ...more] = Object.keys(filter);
  const nested = Object.values(filter).some(isPlainObject);
  if (operator === undefined || more.length > 0 || nested || !OPERATORS.has(operator)) {
    throw new CannotRehearse(
      resource.name,
      `eventPattern.${key}`,
      `the filter ${JSON.stringify(filter)} is not implemented`,
    );
  }
}

/** Whether every field of the pattern is matched; a field in an array counts as any of its elements. */
export function matchesPattern(pattern: PlainObject, event: unknown): boolean {
  if (Array.isArray(event)) return event.some((element) => matchesPattern(pattern, element));
  if (event !== undefined && !isPlainObject(event)) return false;
  return Object.entries(pattern).every(([key, wanted]) => {
    // Patterns of which one must match, beside the other fields of this level.
    if (key === "$or") return Array.isArray(wanted) && wanted.some((part) => matchesPattern(part, event));
    const value = event?.[key];
    return isPlainObject(wanted) ? matchesPattern(wanted, value) : Array.isArray(wanted) && matchesAny(wanted, value);
  });
}

function matchesAny(filters: readonly unknown[], value: unknown): boolean {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return filters.some((filter) =>
    isPlainObject(filter) && "exists" in filter
      ? (value !== undefined) === filter["exists"]
      : values.some((candidate) => matchesOne(filter, candidate)),
  );
}

function matchesOne(filter: unknown, value: unknown): boolean {
  if (value === undefined) return false;
  if (!isPlainObject(filter)) return filter === value;
  const [[operator, operand] = []] = Object.entries(filter);
  switch (operator) {
    case "prefix":
      return typeof value === "string" && typeof operand === "string" && value.startsWith(operand);
    case "suffix":
      return typeof value === "string" && typeof operand === "string" && value.endsWith(operand);
    case "equals-ignore-case":
      return typeof value === "string" && typeof operand === "string" && value.toLowerCase() === operand.toLowerCase();
    case "anything-but":
      return Array.isArray(operand) ? !operand.includes(value) : operand !== value;
    case "numeric":
      return typeof value === "number" && Array.isArray(operand) && matchesNumeric(operand, value);
    default:
      return false;
  }
}

function matchesNumeric(terms: readonly unknown[], value: number): boolean {
  for (let index = 0; index < terms.length; index += 2) {
    const bound = terms[index + 1];
    if (typeof bound !== "number" || !holds(terms[index], value, bound)) return false;
  }
  return true;
}

function holds(operator: unknown, value: number, bound: number): boolean {
  switch (operator) {
    case "=":
      return value === bound;
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
    default:
      return false;
  }
}
