// CloudWatch's statistics over the values of one bucket.
// Source: CloudWatch user guide, "CloudWatch statistics definitions".

export type Statistic =
  | { readonly kind: "SampleCount" | "Average" | "Sum" | "Minimum" | "Maximum" }
  /** `percent` above 0, up to 100. */
  | { readonly kind: "percentile"; readonly percent: number };

/** Reads "Sum", "p99.9", ...; `undefined` for what the twin does not compute (trimmed means, ranks, ...). */
export function statisticOf(text: string): Statistic | undefined {
  switch (text) {
    case "SampleCount":
    case "Average":
    case "Sum":
    case "Minimum":
    case "Maximum":
      return { kind: text };
    default: {
      const percent = /^p(\d{1,3}(?:\.\d{1,10})?)$/.exec(text)?.[1];
      const value = Number(percent);
      return value > 0 && value <= 100 ? { kind: "percentile", percent: value } : undefined;
    }
  }
}

/**
 * The statistic of a bucket; `undefined` when it has no datapoint. A percentile is the smallest value that at least that
 * share of the samples does not exceed, and does not exist while a value is negative.
 */
export function compute(statistic: Statistic, values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  const sum = () => values.reduce((total, value) => total + value, 0);
  switch (statistic.kind) {
    case "SampleCount":
      return values.length;
    case "Sum":
      return sum();
    case "Average":
      return sum() / values.length;
    case "Minimum":
      return values.reduce((least, value) => Math.min(least, value));
    case "Maximum":
      return values.reduce((most, value) => Math.max(most, value));
    case "percentile": {
      const sorted = [...values].sort((a, b) => a - b);
      const [least] = sorted;
      if (least === undefined || least < 0) return undefined;
      // The subtraction keeps 0.9 * 10 = 9.000000000000002 from reaching for the tenth sample.
      const rank = Math.max(1, Math.ceil((statistic.percent / 100) * sorted.length - 1e-9));
      return sorted[rank - 1];
    }
  }
}

/** Samples below which a percentile says too little: 10/(1-p) from the median up, 10/p below it. */
export function enoughSamples(percent: number): number {
  const share = percent / 100;
  return share === 1 ? Number.POSITIVE_INFINITY : Math.round(10 / (share >= 0.5 ? 1 - share : share));
}
