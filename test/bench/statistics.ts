// Medians and markdown tables: how measurements are told.

/** The middle of the values, or of the two in the middle their mean. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) return Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** A markdown table, its columns padded so that it reads well in a terminal too. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(3, ...lines.map((line) => line[column]?.length ?? 0)));
  const print = (line: readonly string[]): string =>
    `| ${widths.map((width, column) => pad(line[column] ?? "", width, column)).join(" | ")} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [print(head), rule, ...rows.map(print)].join("\n");
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}

/** Values by key, in order of first sight. */
export class Samples {
  readonly #byKey = new Map<string, number[]>();

  add(key: string, value: number): void {
    const values = this.#byKey.get(key);
    if (values === undefined) this.#byKey.set(key, [value]);
    else values.push(value);
  }

  /** The median, or undefined without a sample. */
  median(key: string): number | undefined {
    const values = this.#byKey.get(key);
    return values === undefined ? undefined : median(values);
  }

  /** The greatest value, or undefined without a sample. */
  highest(key: string): number | undefined {
    const values = this.#byKey.get(key);
    return values === undefined ? undefined : Math.max(...values);
  }

  all(key: string): readonly number[] {
    return this.#byKey.get(key) ?? [];
  }
}
