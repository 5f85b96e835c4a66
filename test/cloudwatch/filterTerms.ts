// Unstructured filter patterns: terms that a log event must, may or must not contain.
// Source: CloudWatch Logs user guide, "Matching terms in unstructured log events".

import { invalid, Scanner, undocumented } from "./filterScanner.ts";

interface Terms {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  readonly excluded: readonly string[];
}

/** Parses the terms; the result tells whether a message matches. */
export function parseTerms(text: string): (message: string) => boolean {
  const terms = read(text);
  return (message) => {
    const has = (term: string): boolean => message.includes(term);
    if (!terms.required.every(has) || terms.excluded.some(has)) return false;
    // Beside any other term, AWS ignores the optional ones altogether.
    const alone = terms.required.length === 0 && terms.excluded.length === 0;
    return !alone || terms.optional.some(has);
  };
}

function read(text: string): Terms {
  const scanner = new Scanner(text);
  const required: string[] = [];
  const optional: string[] = [];
  const excluded: string[] = [];
  while (scanner.more()) {
    const prefix = scanner.match(/[?-]/y)?.[0];
    const list = prefix === "?" ? optional : prefix === "-" ? excluded : required;
    const quoted = scanner.match(/"((?:[^"\\]|\\.)*)"/y)?.[1];
    const term = quoted === undefined ? scanner.match(/\w+/y)?.[0] : quoted.replace(/\\(.)/g, "$1");
    if (term === undefined || scanner.match(/[^\s]/y) !== undefined) {
      if (text.includes("%")) throw undocumented("a regular expression beside other terms");
      throw invalid(`a term with more than letters, digits and _ needs double quotes: ${text}`);
    }
    list.push(term);
  }
  return { required, optional, excluded };
}
