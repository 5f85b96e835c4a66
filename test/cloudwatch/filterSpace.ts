// Space-delimited filter patterns: a log event cut into columns, with conditions on them.
// Source: CloudWatch Logs user guide, "Matching terms in space-delimited log events".

import { compareNumbers } from "./filterJson.ts";
import {
  invalid,
  type Literal,
  logical,
  matchesWildcard,
  type Operator,
  Scanner,
  undocumented,
} from "./filterScanner.ts";

type Condition =
  | { readonly kind: "compare"; readonly operator: Operator; readonly literal: Literal }
  | { readonly kind: "all" | "any"; readonly rules: readonly Condition[] };

type Column =
  | { readonly kind: "ellipsis" }
  | { readonly kind: "column"; readonly name: string; readonly condition: Condition | undefined };

export interface SpacePattern {
  readonly regexes: number;
  readonly names: readonly string[];
  /** Each named column's text if the event matches. */
  match(message: string): ReadonlyMap<string, string> | undefined;
}

interface Field {
  readonly text: string;
  readonly start: number;
}

/** Parses a pattern in brackets. */
export function parseSpacePattern(text: string): SpacePattern {
  if (!text.endsWith("]")) throw invalid("a pattern that starts with [ must end with ]");
  const scanner = new Scanner(text.slice(1, -1));
  const columns: Column[] = [];
  do columns.push(readColumn(scanner, columns.length + 1));
  while (scanner.take(","));
  if (scanner.more()) throw invalid(`unreadable at "${scanner.rest()}"`);
  if (columns.filter((column) => column.kind === "ellipsis").length > 1)
    throw invalid("more than one ... in a pattern");
  return {
    regexes: scanner.regexes,
    names: columns.flatMap((column) => (column.kind === "column" ? [column.name] : [])),
    match: (message) => matchColumns(columns, message),
  };
}

function readColumn(scanner: Scanner, position: number): Column {
  if (scanner.take("...")) return { kind: "ellipsis" };
  scanner.more();
  const start = scanner.position;
  const name = scanner.match(/[\w-]+/y)?.[0];
  // A column without a name is known by its place.
  if (name === undefined) return { kind: "column", name: String(position), condition: undefined };
  if (scanner.operator() === undefined) return { kind: "column", name, condition: undefined };
  scanner.position = start;
  const condition = logical<Condition>(
    scanner,
    () => readCondition(scanner, name),
    (kind, rules) => ({ kind, rules }),
  );
  return { kind: "column", name, condition };
}

function readCondition(scanner: Scanner, column: string): Condition {
  scanner.more();
  const name = scanner.match(/[\w-]+/y)?.[0];
  if (name !== column) throw invalid(`the conditions of one column must be about it: ${String(name)} within ${column}`);
  const operator = scanner.operator();
  if (operator === undefined) throw invalid(`a comparison is missing at "${scanner.rest()}"`);
  const literal = scanner.literal();
  if (literal.kind !== "number" && operator !== "=" && operator !== "!=")
    throw invalid(`${operator} compares numbers only`);
  return { kind: "compare", operator, literal };
}

function matchColumns(columns: readonly Column[], message: string): ReadonlyMap<string, string> | undefined {
  const fields = fieldsOf(message);
  const gap = columns.findIndex((column) => column.kind === "ellipsis");
  const named = gap < 0 ? columns.length : columns.length - 1;
  if (fields.length < named) return undefined;
  const extracted = new Map<string, string>();
  for (const [index, column] of columns.entries()) {
    if (column.kind === "ellipsis") continue;
    const place = gap >= 0 && index > gap ? fields.length - (columns.length - index) : index;
    const rest = gap < 0 && index === columns.length - 1 && fields.length > columns.length;
    if (rest && column.condition !== undefined)
      throw undocumented(`column ${column.name} takes the rest of the line and has a condition`);
    const field = fields[place];
    const text = rest ? message.slice(field?.start) : (field?.text ?? "");
    if (column.condition !== undefined && !test(column.condition, text)) return undefined;
    extracted.set(column.name, text);
  }
  return extracted;
}

/** Cuts at blanks; what stands in double quotes or brackets is one field without them. */
function fieldsOf(message: string): readonly Field[] {
  return [...message.matchAll(/"([^"]*)"|\[([^\]]*)\]|\S+/g)].map((found) => ({
    text: found[1] ?? found[2] ?? found[0],
    start: found.index,
  }));
}

function test(condition: Condition, text: string): boolean {
  switch (condition.kind) {
    case "all":
      return condition.rules.every((rule) => test(rule, text));
    case "any":
      return condition.rules.some((rule) => test(rule, text));
    case "compare":
      return compare(condition.operator, condition.literal, text);
  }
}

function compare(operator: Operator, literal: Literal, text: string): boolean {
  switch (literal.kind) {
    case "regex":
      return literal.regex.test(text) === (operator === "=");
    case "text":
      return matchesWildcard(literal.text, text) === (operator === "=");
    case "number": {
      const value = text.trim() === "" ? Number.NaN : Number(text);
      if (!Number.isNaN(value)) return compareNumbers(operator, value, literal.value);
      return operator === "!=";
    }
  }
}
