// A composite alarm's rule: read into a tree, then judged by the states of its children.
// Source: CloudWatch user guide, "Create a composite alarm"; API reference, PutCompositeAlarm (AlarmRule).

import type { AlarmState } from "./alarmState.ts";

export type AlarmRule =
  | { readonly kind: "constant"; readonly value: boolean }
  | { readonly kind: "state"; readonly state: AlarmState; readonly alarm: string }
  | { readonly kind: "not"; readonly rule: AlarmRule }
  | { readonly kind: "all" | "any"; readonly rules: readonly AlarmRule[] }
  | {
      readonly kind: "atLeast";
      readonly count: number;
      readonly negated: boolean;
      readonly state: AlarmState;
      readonly alarms: readonly string[];
    };

/** A rule that AWS would reject, or whose meaning is not documented; the message says what and where. */
export class AlarmRuleError extends Error {
  readonly kind = "alarm-rule";
}

const MAX_LENGTH = 10_240;
const MAX_CHILDREN = 100;
const MAX_ELEMENTS = 500;
const STATES: readonly AlarmState[] = ["ALARM", "OK", "INSUFFICIENT_DATA"];
const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([(),])|([^\s"(),]+))/y;

interface Token {
  readonly text: string;
  readonly quoted: boolean;
}

/** Parses a rule. Throws `AlarmRuleError`. */
export function parseAlarmRule(text: string): AlarmRule {
  if (text.length > MAX_LENGTH) throw new AlarmRuleError(`the rule is longer than ${MAX_LENGTH} characters`);
  const parser = new RuleParser(tokens(text));
  const rule = parser.parse();
  if (childrenOf(rule).length > MAX_CHILDREN)
    throw new AlarmRuleError(`the rule names more than ${MAX_CHILDREN} alarms`);
  return rule;
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new AlarmRuleError(`unreadable at "${text.slice(start, start + 20)}"`);
    const [, quoted, mark, word] = match;
    found.push(
      quoted === undefined ? { text: mark ?? word ?? "", quoted: false } : { text: unquote(quoted), quoted: true },
    );
  }
  if (found.length > MAX_ELEMENTS * 4) throw new AlarmRuleError(`the rule has more than ${MAX_ELEMENTS} elements`);
  return found;
}

const unquote = (text: string): string => text.slice(1, -1).replace(/\\(.)/g, "$1");

class RuleParser {
  readonly #tokens: readonly Token[];
  #position = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): AlarmRule {
    const rule = this.#expression();
    const rest = this.#tokens[this.#position];
    if (rest !== undefined) throw new AlarmRuleError(`"${rest.text}" is left over`);
    return rule;
  }

  #expression(): AlarmRule {
    const first = this.#operand();
    const operator = this.#peek("AND") ? "AND" : this.#peek("OR") ? "OR" : undefined;
    if (operator === undefined) return first;
    const rules = [first];
    while (this.#take(operator)) rules.push(this.#operand());
    if (this.#peek("AND") || this.#peek("OR")) {
      throw new AlarmRuleError("AND and OR are mixed; which binds tighter is not documented, so write parentheses");
    }
    return { kind: operator === "AND" ? "all" : "any", rules };
  }

  #operand(): AlarmRule {
    if (this.#take("NOT")) return { kind: "not", rule: this.#operand() };
    if (this.#take("(")) {
      const rule = this.#expression();
      this.#expect(")");
      return rule;
    }
    if (this.#take("TRUE")) return { kind: "constant", value: true };
    if (this.#take("FALSE")) return { kind: "constant", value: false };
    if (this.#take("AT_LEAST")) return this.#atLeast();
    const state = this.#state();
    this.#expect("(");
    const alarm = this.#name();
    this.#expect(")");
    return { kind: "state", state, alarm };
  }

  #atLeast(): AlarmRule {
    this.#expect("(");
    const amount = this.#next().text;
    this.#expect(",");
    const negated = this.#take("NOT");
    const state = this.#state();
    this.#expect(",");
    this.#expect("(");
    const alarms = [this.#name()];
    while (this.#take(",")) alarms.push(this.#name());
    this.#expect(")");
    this.#expect(")");
    return { kind: "atLeast", count: countOf(amount, alarms.length), negated, state, alarms };
  }

  #state(): AlarmState {
    const word = this.#next().text;
    const state = STATES.find((candidate) => candidate === word);
    if (state === undefined) throw new AlarmRuleError(`"${word}" is neither a state nor an operator`);
    return state;
  }

  #name(): string {
    const token = this.#next();
    if (!token.quoted && ["(", ")", ","].includes(token.text)) throw new AlarmRuleError("an alarm's name is missing");
    return token.text;
  }

  #peek(text: string): boolean {
    const token = this.#tokens[this.#position];
    return token !== undefined && !token.quoted && token.text === text;
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#position += 1;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text))
      throw new AlarmRuleError(`"${text}" expected before "${this.#tokens[this.#position]?.text ?? "the end"}"`);
  }

  #next(): Token {
    const token = this.#tokens[this.#position];
    if (token === undefined) throw new AlarmRuleError("the rule ends too early");
    this.#position += 1;
    return token;
  }
}

function countOf(amount: string, alarms: number): number {
  const percent = /^(\d+)%$/.exec(amount)?.[1];
  const count = percent === undefined ? Number(amount) : (Number(percent) / 100) * alarms;
  if (!Number.isInteger(count)) {
    throw new AlarmRuleError(`AT_LEAST ${amount} of ${alarms} is no whole number; how it rounds is not documented`);
  }
  if (count < 1 || count > alarms) throw new AlarmRuleError(`AT_LEAST ${amount} of ${alarms} alarms`);
  return count;
}

/** The names or ARNs that the rule mentions, each once. */
export function childrenOf(rule: AlarmRule): readonly string[] {
  switch (rule.kind) {
    case "constant":
      return [];
    case "state":
      return [rule.alarm];
    case "not":
      return childrenOf(rule.rule);
    case "all":
    case "any":
      return [...new Set(rule.rules.flatMap(childrenOf))];
    case "atLeast":
      return [...new Set(rule.alarms)];
  }
}

/** Whether the rule holds, given each child's state. */
export function holds(rule: AlarmRule, stateOf: (alarm: string) => AlarmState): boolean {
  switch (rule.kind) {
    case "constant":
      return rule.value;
    case "state":
      return stateOf(rule.alarm) === rule.state;
    case "not":
      return !holds(rule.rule, stateOf);
    case "all":
      return rule.rules.every((part) => holds(part, stateOf));
    case "any":
      return rule.rules.some((part) => holds(part, stateOf));
    case "atLeast":
      return rule.alarms.filter((alarm) => (stateOf(alarm) === rule.state) !== rule.negated).length >= rule.count;
  }
}
