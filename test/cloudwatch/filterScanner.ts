// What the filter pattern dialects share: their error, a scanner, and the literals that a field is compared with.
// Source: CloudWatch Logs user guide, "Filter pattern syntax".

/** `invalid`: AWS rejects the pattern. `undocumented`: AWS does something that its documentation does not tell. */
export class FilterPatternError extends Error {
  readonly kind: "invalid" | "undocumented";

  constructor(kind: "invalid" | "undocumented", message: string) {
    super(message);
    this.name = "FilterPatternError";
    this.kind = kind;
  }
}

export const invalid = (message: string): FilterPatternError => new FilterPatternError("invalid", message);
export const undocumented = (message: string): FilterPatternError => new FilterPatternError("undocumented", message);

export type Operator = "=" | "!=" | "<" | ">" | "<=" | ">=";

export type Literal =
  | { readonly kind: "number"; readonly value: number; readonly text: string }
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "regex"; readonly regex: RegExp };

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const OPERATOR = /(!=|<=|>=|=|<|>)/y;
const BARE = /[\w.*:/@+-]+/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const REGEX = /%((?:[^%\\]|\\.)*)%/y;

/** A cursor over a pattern's text. */
export class Scanner {
  readonly text: string;
  position = 0;
  /** Regular expressions met so far: AWS takes two to a pattern. */
  regexes = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Moves past blanks; whether anything is left. */
  more(): boolean {
    this.match(/\s*/y);
    return this.position < this.text.length;
  }

  /** Takes what the sticky expression matches here. */
  match(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.position;
    const found = expression.exec(this.text);
    if (found === null) return undefined;
    this.position += found[0].length;
    return found;
  }

  /** Takes exactly this text, past blanks, if it is next. */
  take(expected: string): boolean {
    this.more();
    if (!this.text.startsWith(expected, this.position)) return false;
    this.position += expected.length;
    return true;
  }

  /** A comparison operator, if one is next. */
  operator(): Operator | undefined {
    this.more();
    const found = this.match(OPERATOR)?.[1];
    switch (found) {
      case "=":
      case "!=":
      case "<":
      case ">":
      case "<=":
      case ">=":
        return found;
      default:
        return undefined;
    }
  }

  /** What a comparison compares with. */
  literal(): Literal {
    this.more();
    const regex = this.match(REGEX)?.[1];
    if (regex !== undefined) {
      this.regexes += 1;
      if (this.regexes > 2) throw invalid("more than 2 regular expressions in one pattern");
      return { kind: "regex", regex: filterRegex(regex) };
    }
    const quoted = this.match(QUOTED)?.[1];
    if (quoted !== undefined) return { kind: "text", text: quoted.replace(/\\(.)/g, "$1"), quoted: true };
    const bare = this.match(BARE)?.[0];
    if (bare === undefined) throw invalid(`a value is missing at "${this.rest()}"`);
    return NUMBER.test(bare)
      ? { kind: "number", value: Number(bare), text: bare }
      : { kind: "text", text: bare, quoted: false };
  }

  /** What is left, shortened, for messages. */
  rest(): string {
    return this.text.slice(this.position, this.position + 30);
  }
}

/** Reads "A op B op C" with && binding tighter than ||. */
export function logical<Rule>(
  scanner: Scanner,
  operand: () => Rule,
  join: (kind: "all" | "any", rules: readonly Rule[]) => Rule,
): Rule {
  const series = (symbol: string, part: () => Rule, kind: "all" | "any"): Rule => {
    const first = part();
    const rules = [first];
    while (scanner.take(symbol)) rules.push(part());
    return rules.length === 1 ? first : join(kind, rules);
  };
  return series("||", () => series("&&", operand, "all"), "any");
}

/**
 * Text against a value in which `*` at either end stands for anything. A `*` inside was once documented as itself and is now
 * called a wildcard: where the two readings differ, `undocumented` is thrown.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  const open = pattern.startsWith("*");
  const close = pattern.length > 1 && pattern.endsWith("*");
  const core = pattern.slice(open ? 1 : 0, close ? -1 : undefined);
  const within = (part: string): boolean => {
    if (open && close) return text.includes(part);
    if (open) return text.endsWith(part);
    return close ? text.startsWith(part) : text === part;
  };
  const literal = within(core);
  if (!core.includes("*")) return literal;
  const source = pattern
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  if (new RegExp(`^${source}$`, "s").test(text) !== literal) throw undocumented(`* in the middle of "${pattern}"`);
  return literal;
}

// Letters, digits, the listed symbols and operators, blanks (they occur in documented examples); no parentheses.
const REGEX_CHARACTERS = /^(?:\\(?:[dDsSwW]|x[0-9A-Fa-f]{2}|[^A-Za-z0-9])|[A-Za-z0-9 :_#=@/;,^$?[\]{}|*+.-])*$/;

/** Compiles the regular expression between two percent signs. */
export function filterRegex(body: string): RegExp {
  if (body === "") throw invalid("the regular expression is empty");
  if (!REGEX_CHARACTERS.test(body))
    throw invalid(`%${body}% has characters that AWS does not take; write them as \\xHH`);
  try {
    return new RegExp(body);
  } catch (error) {
    throw invalid(`%${body}% is no regular expression: ${error instanceof Error ? error.message : String(error)}`);
  }
}
