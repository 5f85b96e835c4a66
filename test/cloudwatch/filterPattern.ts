// A filter pattern of any dialect: its first character decides which, its events match and hand out their fields.
// Source: CloudWatch Logs user guide, "Filter pattern syntax for metric filters".

import { parseJsonPattern, parseSelector, select } from "./filterJson.ts";
import { filterRegex, invalid, undocumented } from "./filterScanner.ts";
import { parseSpacePattern } from "./filterSpace.ts";
import { parseTerms } from "./filterTerms.ts";

export { FilterPatternError } from "./filterScanner.ts";

/** A matching event; `field` gives what "$.latency" or "$bytes" refers to, `undefined` if it is missing. */
export interface FilterMatch {
  field(reference: string): unknown;
}

export interface FilterPattern {
  readonly dialect: "everything" | "terms" | "regex" | "json" | "space";
  /** Regular expressions in it: a log group takes 5 patterns that have any. */
  readonly regexes: number;
  /** The match, or `undefined`. Throws `FilterPatternError` (undocumented) where AWS's answer is not known. */
  match(message: string): FilterMatch | undefined;
  /** Throws `FilterPatternError` (invalid) for a reference that this pattern can never fill. */
  checkReference(reference: string): void;
}

const MAX_LENGTH = 1024;

/** Parses a pattern. Throws `FilterPatternError`. */
export function parseFilterPattern(text: string): FilterPattern {
  if (text.length > MAX_LENGTH) throw invalid(`the pattern is longer than ${MAX_LENGTH} characters`);
  const pattern = text.trim();
  if (pattern === "" || pattern === '" "') return plain("everything", 0, () => true);
  if (pattern.startsWith("{")) return json(pattern);
  if (pattern.startsWith("[")) return space(pattern);
  if (/^%(?:[^%\\]|\\.)*%$/.test(pattern)) {
    const regex = filterRegex(pattern.slice(1, -1));
    return plain("regex", 1, (message) => regex.test(message));
  }
  return plain("terms", 0, parseTerms(pattern));
}

function plain(dialect: FilterPattern["dialect"], regexes: number, test: (message: string) => boolean): FilterPattern {
  return {
    dialect,
    regexes,
    match: (message) => (test(message) ? { field: () => undefined } : undefined),
    checkReference(reference) {
      throw invalid(`${reference}: only JSON and space-delimited patterns have fields`);
    },
  };
}

function json(text: string): FilterPattern {
  const pattern = parseJsonPattern(text);
  return {
    dialect: "json",
    regexes: pattern.regexes,
    match(message) {
      const event = pattern.match(message);
      return event && { field: (reference) => only(reference, select(parseSelector(reference), event)) };
    },
    checkReference: (reference) => void parseSelector(reference),
  };
}

function only(reference: string, values: readonly unknown[]): unknown {
  if (values.length > 1) throw undocumented(`${reference} stands for ${values.length} values`);
  return values[0];
}

function space(text: string): FilterPattern {
  const pattern = parseSpacePattern(text);
  return {
    dialect: "space",
    regexes: pattern.regexes,
    match(message) {
      const columns = pattern.match(message);
      return columns && { field: (reference) => columns.get(reference.slice(1)) };
    },
    checkReference(reference) {
      if (!pattern.names.includes(reference.slice(1))) throw invalid(`${reference} is not a column of the pattern`);
    },
  };
}
