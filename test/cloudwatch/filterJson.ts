// JSON filter patterns: conditions on the fields of a log event that is one JSON object.
// Source: CloudWatch Logs user guide, "Matching terms in JSON log events".

import { isPlainObject, parseJson } from "./declared.ts";
import {
  invalid,
  type Literal,
  logical,
  matchesWildcard,
  type Operator,
  Scanner,
  undocumented,
} from "./filterScanner.ts";

type Step =
  | { readonly kind: "member"; readonly name: string }
  | { readonly kind: "element"; readonly index: number }
  | { readonly kind: "anyMember" | "anyElement" };

/** A path into a JSON object, such as $.users[0].email. */
export interface Selector {
  readonly text: string;
  readonly steps: readonly Step[];
}

type Condition =
  | { readonly kind: "compare"; readonly selector: Selector; readonly operator: Operator; readonly literal: Literal }
  | { readonly kind: "is"; readonly selector: Selector; readonly value: null | boolean }
  | { readonly kind: "notExists"; readonly selector: Selector }
  | { readonly kind: "all" | "any"; readonly rules: readonly Condition[] };

export interface JsonPattern {
  readonly regexes: number;
  /** The event if it matches; `undefined` if it does not, which every event that is no JSON object does not. */
  match(message: string): Readonly<Record<string, unknown>> | undefined;
}

const MAX_WILDCARDS = 3;

/** Parses a pattern in braces. */
export function parseJsonPattern(text: string): JsonPattern {
  if (!text.endsWith("}")) throw invalid("a pattern that starts with { must end with }");
  const scanner = new Scanner(text.slice(1, -1));
  const condition = expression(scanner);
  if (scanner.more()) throw invalid(`unreadable at "${scanner.rest()}"`);
  if (wildcards(condition) > MAX_WILDCARDS)
    throw invalid(`more than ${MAX_WILDCARDS} wildcard selectors in one pattern`);
  return {
    regexes: scanner.regexes,
    match(message) {
      const event = parseJson(message);
      return isPlainObject(event) && test(condition, event) ? event : undefined;
    },
  };
}

function expression(scanner: Scanner): Condition {
  return logical<Condition>(
    scanner,
    () => operand(scanner),
    (kind, rules) => ({ kind, rules }),
  );
}

function operand(scanner: Scanner): Condition {
  if (scanner.take("(")) {
    const inner = expression(scanner);
    if (!scanner.take(")")) throw invalid(`) is missing at "${scanner.rest()}"`);
    return inner;
  }
  scanner.more();
  const selector = readSelector(scanner);
  scanner.more();
  if (scanner.match(/NOT\s+EXISTS\b/y) !== undefined) return { kind: "notExists", selector };
  const constant = scanner.match(/IS\s+(NULL|TRUE|FALSE)\b/y)?.[1];
  if (constant !== undefined) return { kind: "is", selector, value: constant === "NULL" ? null : constant === "TRUE" };
  const operator = scanner.operator();
  if (operator === undefined) throw invalid(`a comparison is missing at "${scanner.rest()}"`);
  const literal = scanner.literal();
  if (literal.kind !== "number" && operator !== "=" && operator !== "!=")
    throw invalid(`${operator} compares numbers only`);
  return { kind: "compare", selector, operator, literal };
}

/** Reads a selector by itself, as a metric's value or dimension names it. */
export function parseSelector(text: string): Selector {
  const scanner = new Scanner(text);
  const selector = readSelector(scanner);
  if (scanner.position < text.length) throw invalid(`selector ${text} is unreadable at "${scanner.rest()}"`);
  return selector;
}

function readSelector(scanner: Scanner): Selector {
  const start = scanner.position;
  if (scanner.match(/\$(?=[.])/y) === undefined) throw invalid(`a selector starts with "$.": "${scanner.rest()}"`);
  const steps: Step[] = [];
  for (let step = readStep(scanner); step !== undefined; step = readStep(scanner)) steps.push(step);
  const text = scanner.text.slice(start, scanner.position);
  if (steps.length === 0) throw invalid(`selector ${text} names no field`);
  if (steps.filter((step) => step.kind === "anyMember" || step.kind === "anyElement").length > 1) {
    throw invalid(`selector ${text} has more than one wildcard`);
  }
  return { text, steps };
}

function readStep(scanner: Scanner): Step | undefined {
  const bracketed = scanner.match(/\.\['([^']*)'\]/y)?.[1];
  if (bracketed !== undefined) return { kind: "member", name: bracketed };
  if (scanner.match(/\.\*/y) !== undefined) return { kind: "anyMember" };
  if (scanner.match(/\[\*\]/y) !== undefined) return { kind: "anyElement" };
  const index = scanner.match(/\[(\d+)\]/y)?.[1];
  if (index !== undefined) return { kind: "element", index: Number(index) };
  const name = scanner.match(/\.([\w-]+)/y)?.[1];
  return name === undefined ? undefined : { kind: "member", name };
}

const hasWildcard = (selector: Selector): boolean =>
  selector.steps.some((step) => step.kind === "anyMember" || step.kind === "anyElement");

function wildcards(condition: Condition): number {
  if ("rules" in condition) {
    return condition.rules.reduce((total, rule) => total + wildcards(rule), 0);
  }
  return hasWildcard(condition.selector) ? 1 : 0;
}

/** The values that a selector lands on: none if the field is missing, several only through a wildcard. */
export function select(selector: Selector, event: unknown): readonly unknown[] {
  return selector.steps.reduce<readonly unknown[]>(
    (values, step) => values.flatMap((value) => follow(step, value)),
    [event],
  );
}

function follow(step: Step, value: unknown): readonly unknown[] {
  switch (step.kind) {
    case "member":
      return isPlainObject(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case "element":
      return Array.isArray(value) && step.index < value.length ? [value[step.index]] : [];
    case "anyMember":
      return isPlainObject(value) ? Object.values(value) : [];
    case "anyElement":
      return Array.isArray(value) ? value : [];
  }
}

function test(condition: Condition, event: unknown): boolean {
  switch (condition.kind) {
    case "all":
      return condition.rules.every((rule) => test(rule, event));
    case "any":
      return condition.rules.some((rule) => test(rule, event));
    case "is":
      return select(condition.selector, event).includes(condition.value);
    case "notExists":
      if (hasWildcard(condition.selector)) throw undocumented(`NOT EXISTS on ${condition.selector.text}`);
      return select(condition.selector, event).length === 0;
    case "compare":
      if (condition.operator === "!=" && hasWildcard(condition.selector)) {
        throw undocumented(`!= on ${condition.selector.text}: whether all or any must differ`);
      }
      // A missing field matches nothing, != included.
      return select(condition.selector, event).some((value) =>
        compare(condition.selector, condition.operator, condition.literal, value),
      );
  }
}

function compare(selector: Selector, operator: Operator, literal: Literal, value: unknown): boolean {
  // Arrays and objects match nothing, != included.
  if (typeof value === "object" && value !== null) return false;
  if (value === null || typeof value === "boolean") {
    const constant = literal.kind === "text" && ["true", "false", "null", "*"].includes(literal.text);
    if (constant)
      throw undocumented(`${selector.text} ${operator} ${literal.text} on ${String(value)}; use IS or NOT EXISTS`);
    return false;
  }
  if (typeof value === "number") return compareNumber(selector, operator, literal, value);
  if (typeof value !== "string") return false;
  switch (literal.kind) {
    case "number":
      throw undocumented(`${selector.text} is text ("${value}") and is compared with the number ${literal.text}`);
    case "regex":
      return literal.regex.test(value) === (operator === "=");
    case "text":
      return matchesWildcard(literal.text, value) === (operator === "=");
  }
}

function compareNumber(selector: Selector, operator: Operator, literal: Literal, value: number): boolean {
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    throw undocumented(`${selector.text} = ${value} is above 2^53`);
  switch (literal.kind) {
    case "number":
      return compareNumbers(operator, value, literal.value);
    case "regex":
      throw undocumented(`${selector.text} is a number and is compared with a regular expression`);
    case "text":
      if (literal.text === "*" || (!literal.quoted && /^[\d.*]+$/.test(literal.text))) {
        return matchesWildcard(literal.text, String(value)) === (operator === "=");
      }
      throw undocumented(`${selector.text} is a number (${value}) and is compared with the text "${literal.text}"`);
  }
}

/** The six comparisons; the field is the left operand. */
export function compareNumbers(operator: Operator, left: number, right: number): boolean {
  switch (operator) {
    case "=":
      return left === right;
    case "!=":
      return left !== right;
    case "<":
      return left < right;
    case ">":
      return left > right;
    case "<=":
      return left <= right;
    case ">=":
      return left >= right;
  }
}
