// A declared metric alarm, read and checked the way PutMetricAlarm checks it, and the datapoints it looks at.
// Sources: CloudWatch API reference, PutMetricAlarm; user guide, "Using CloudWatch alarms", evaluation of metric alarms.

import { type AlarmActions, alarmActions } from "./alarmActions.ts";
import type { Datapoint, MissingData } from "./alarmState.ts";
import {
  asTextMap,
  awsArn,
  awsName,
  type DeclaredResource,
  isPlainObject,
  onlyKnown,
  optionalNumber,
  optionalObject,
  optionalText,
  requiredNumber,
  requiredText,
  sameRegion,
  textMap,
} from "./declared.ts";
import type { MetricIdentity, MetricStore } from "./metricStore.ts";
import { CannotRehearse } from "./refusal.ts";
import { compute, enoughSamples, type Statistic, statisticOf } from "./statistics.ts";

export type Comparison = ">" | ">=" | "<" | "<=";

export interface WarmUp {
  readonly durationMs: number;
  /** `true`: lasts its whole time; `false`: ends as soon as the evaluation window is full of data. */
  readonly whole: boolean;
}

/** What a metric alarm watches and how it judges. */
export interface MetricAlarm {
  readonly kind: "metric";
  readonly name: string;
  readonly arn: string;
  readonly resource: string;
  readonly actions: AlarmActions;
  readonly metric: MetricIdentity;
  readonly unit: string | undefined;
  readonly statistic: Statistic;
  readonly statisticText: string;
  readonly periodMs: number;
  readonly evaluationPeriods: number;
  readonly datapointsToAlarm: number;
  readonly comparison: Comparison;
  readonly threshold: number;
  readonly missing: MissingData;
  /** Percentiles of too few samples leave the state as it is. */
  readonly holdOnFewSamples: boolean;
  readonly warmUp: WarmUp | undefined;
}

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const HOUR_MS = 3_600_000;

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  GreaterThanThreshold: ">",
  GreaterThanOrEqualToThreshold: ">=",
  LessThanThreshold: "<",
  LessThanOrEqualToThreshold: "<=",
};

const MISSING: readonly MissingData[] = ["missing", "ignore", "breaching", "notBreaching"];

const KNOWN = [
  "actionsEnabled",
  "alarmActions",
  "alarmDescription",
  "comparisonOperator",
  "datapointsToAlarm",
  "dimensions",
  "evaluateLowSampleCountPercentiles",
  "evaluationPeriods",
  "extendedStatistic",
  "insufficientDataActions",
  "metricName",
  "metricQueries",
  "name",
  "namespace",
  "okActions",
  "period",
  "region",
  "statistic",
  "tags",
  "tagsAll",
  "threshold",
  "treatMissingData",
  "unit",
  "warmUpConfiguration",
]; // anomaly bands (thresholdMetricId) and PromQL (evaluationCriteria, evaluationInterval) are missing on purpose

/** Reads a metric alarm. Throws `CannotRehearse` for what AWS rejects and for what the twin does not implement. */
export function metricAlarm(resource: DeclaredResource, region: string, account: string): MetricAlarm {
  onlyKnown(resource, KNOWN);
  sameRegion(resource, region);
  const watched = watchedMetric(resource);
  const evaluationPeriods = requiredNumber(resource, "evaluationPeriods");
  const datapointsToAlarm = optionalNumber(resource, "datapointsToAlarm") ?? evaluationPeriods;
  checkWindow(resource, watched.periodMs, evaluationPeriods, datapointsToAlarm);
  const comparison = COMPARISONS[requiredText(resource, "comparisonOperator")];
  if (comparison === undefined)
    throw refuse(resource, "comparisonOperator", "only the four threshold comparisons are implemented");
  const missingText = optionalText(resource, "treatMissingData") ?? "missing";
  const missing = MISSING.find((candidate) => candidate === missingText);
  if (missing === undefined) throw refuse(resource, "treatMissingData", `AWS knows no "${missingText}"`);
  const name = awsName(resource);
  return {
    kind: "metric",
    name,
    arn: awsArn(resource, `arn:aws:cloudwatch:${region}:${account}:alarm:${name}`),
    resource: resource.name,
    actions: alarmActions(resource),
    ...watched,
    evaluationPeriods,
    datapointsToAlarm,
    comparison,
    threshold: requiredNumber(resource, "threshold"),
    missing,
    holdOnFewSamples: holdsOnFewSamples(resource, watched.statistic),
    warmUp: warmUpOf(resource),
  };
}

function refuse(resource: DeclaredResource, property: string, why: string): CannotRehearse {
  return new CannotRehearse(resource.name, property, why);
}

type Watched = Pick<MetricAlarm, "metric" | "unit" | "statistic" | "statisticText" | "periodMs">;

function watchedMetric(resource: DeclaredResource): Watched {
  const queries = resource.inputs["metricQueries"];
  if (Array.isArray(queries) && queries.length > 0) return queriedMetric(resource, queries);
  const simple = optionalText(resource, "statistic");
  const extended = optionalText(resource, "extendedStatistic");
  if ((simple === undefined) === (extended === undefined)) {
    throw refuse(resource, "statistic", "AWS wants either statistic or extendedStatistic");
  }
  const statisticText = simple ?? extended ?? "";
  return {
    metric: {
      namespace: requiredText(resource, "namespace"),
      name: requiredText(resource, "metricName"),
      dimensions: textMap(resource, "dimensions"),
    },
    unit: optionalText(resource, "unit"),
    statistic: statistic(resource, simple === undefined ? "extendedStatistic" : "statistic", statisticText),
    statisticText,
    periodMs: requiredNumber(resource, "period") * 1000,
  };
}

/** A query is taken if it is one plain metric; expressions are metric math, which the twin does not compute. */
function queriedMetric(resource: DeclaredResource, queries: readonly unknown[]): Watched {
  const [query] = queries;
  const metric = isPlainObject(query) ? query["metric"] : undefined;
  if (queries.length !== 1 || !isPlainObject(query) || !isPlainObject(metric) || query["returnData"] !== true) {
    throw refuse(resource, "metricQueries", "metric math is not implemented; only one metric with returnData is taken");
  }
  for (const property of ["expression", "accountId", "period"]) {
    if (query[property] !== undefined && query[property] !== null) {
      throw refuse(resource, `metricQueries[0].${property}`, "the twin does not implement this property");
    }
  }
  const text = (property: string): string => {
    const value = metric[property];
    if (typeof value === "string") return value;
    throw refuse(resource, `metricQueries[0].metric.${property}`, "it is not text");
  };
  const period = metric["period"];
  if (typeof period !== "number") throw refuse(resource, "metricQueries[0].metric.period", "it is not a number");
  const statisticText = text("stat");
  return {
    metric: {
      namespace: text("namespace"),
      name: text("metricName"),
      dimensions: asTextMap(resource, "metricQueries[0].metric.dimensions", metric["dimensions"] ?? {}),
    },
    unit: metric["unit"] === undefined || metric["unit"] === null ? undefined : text("unit"),
    statistic: statistic(resource, "metricQueries[0].metric.stat", statisticText),
    statisticText,
    periodMs: period * 1000,
  };
}

function statistic(resource: DeclaredResource, property: string, text: string): Statistic {
  const known = statisticOf(text);
  if (known === undefined) throw refuse(resource, property, `statistic ${text} is not implemented`);
  return known;
}

function checkWindow(resource: DeclaredResource, periodMs: number, periods: number, toAlarm: number): void {
  const seconds = periodMs / 1000;
  if (!([10, 20, 30].includes(seconds) || (seconds > 0 && seconds % 60 === 0))) {
    throw refuse(resource, "period", `AWS rejects ${seconds} s: it takes 10, 20, 30 or a multiple of 60`);
  }
  if (!Number.isInteger(periods) || periods < 1)
    throw refuse(resource, "evaluationPeriods", "AWS wants a whole number from 1");
  if (!Number.isInteger(toAlarm) || toAlarm < 1 || toAlarm > periods) {
    throw refuse(resource, "datapointsToAlarm", `AWS wants a whole number from 1 to evaluationPeriods (${periods})`);
  }
  const longest = periodMs >= HOUR_MS ? WEEK_MS : DAY_MS;
  if (periodMs * periods > longest)
    throw refuse(resource, "evaluationPeriods", "AWS rejects a window of more than a day (a week from 1 h periods)");
}

function holdsOnFewSamples(resource: DeclaredResource, statistic: Statistic): boolean {
  const text = optionalText(resource, "evaluateLowSampleCountPercentiles");
  if (text === undefined || text === "evaluate") return false;
  if (text !== "ignore") throw refuse(resource, "evaluateLowSampleCountPercentiles", `AWS knows no "${text}"`);
  if (statistic.kind !== "percentile") {
    throw refuse(resource, "evaluateLowSampleCountPercentiles", "it is for percentiles only");
  }
  if (statistic.percent === 100)
    throw refuse(resource, "extendedStatistic", "how many samples p100 needs is not documented");
  return true;
}

function warmUpOf(resource: DeclaredResource): WarmUp | undefined {
  const warmUp = optionalObject(resource, "warmUpConfiguration");
  if (warmUp === undefined) return undefined;
  const minutes = warmUp["warmUpPeriodDurationInMinutes"];
  if (typeof minutes !== "number" || !Number.isInteger(minutes) || minutes < 1 || minutes > 2880) {
    throw refuse(resource, "warmUpConfiguration.warmUpPeriodDurationInMinutes", "AWS wants 1 to 2,880 minutes");
  }
  return { durationMs: minutes * 60_000, whole: warmUp["onlyStartEvaluatingAfterWarmUpPeriodEnds"] === true };
}

/** How often it is evaluated: every 10 s below one-minute periods, hourly for windows over a day, else every minute. */
export function evaluationIntervalMs(alarm: MetricAlarm): number {
  if (alarm.periodMs < 60_000) return 10_000;
  return alarm.periodMs * alarm.evaluationPeriods > DAY_MS ? HOUR_MS : 60_000;
}

// Documented by one example (3 evaluation periods, 5 datapoints); AWS says no more than "depends on the period".
const EXTRA_DATAPOINTS = 2;

/** How far back an evaluation looks. */
export function lookBackMs(alarm: MetricAlarm): number {
  return (alarm.evaluationPeriods + EXTRA_DATAPOINTS) * alarm.periodMs;
}

/** The evaluation range at one moment. */
export interface Range {
  readonly datapoints: readonly Datapoint[];
  /** The statistic of each bucket, oldest first; `undefined` is missing. */
  readonly values: readonly (number | undefined)[];
  /** A percentile among them rests on too few samples, and the alarm holds its state then. */
  readonly hold: boolean;
}

/** Reads the buckets that end at `at` (ms since the epoch): they slide, and are not aligned to multiples of the period. */
export function evaluationRange(alarm: MetricAlarm, store: MetricStore, at: number): Range {
  const values: (number | undefined)[] = [];
  const datapoints: Datapoint[] = [];
  let hold = false;
  for (let start = at - lookBackMs(alarm); start < at; start += alarm.periodMs) {
    const samples = store.values(alarm.metric, start, start + alarm.periodMs, at, alarm.unit);
    const value = compute(alarm.statistic, samples);
    values.push(value);
    datapoints.push(value === undefined ? "missing" : breaches(alarm, value) ? "breaching" : "ok");
    if (alarm.holdOnFewSamples && alarm.statistic.kind === "percentile" && value !== undefined) {
      hold ||= samples.length < enoughSamples(alarm.statistic.percent);
    }
  }
  return { datapoints, values, hold };
}

/** Whether a datapoint is on the wrong side: the statistic is the left operand. */
export function breaches(alarm: Pick<MetricAlarm, "comparison" | "threshold">, value: number): boolean {
  switch (alarm.comparison) {
    case ">":
      return value > alarm.threshold;
    case ">=":
      return value >= alarm.threshold;
    case "<":
      return value < alarm.threshold;
    case "<=":
      return value <= alarm.threshold;
  }
}

/** The alarm in one line, for people. */
export function ruleText(alarm: MetricAlarm): string {
  const rule = `${alarm.statisticText} ${alarm.comparison} ${alarm.threshold}`;
  return `${rule} in ${alarm.datapointsToAlarm} of ${alarm.evaluationPeriods} periods of ${alarm.periodMs / 1000} s`;
}

/** Whether the warm-up has ended at `at` for an alarm created at `created`. */
export function warmedUp(alarm: MetricAlarm, range: Range, created: number, at: number): boolean {
  if (alarm.warmUp === undefined || at >= created + alarm.warmUp.durationMs) return true;
  return (
    !alarm.warmUp.whole && range.datapoints.filter((point) => point !== "missing").length >= alarm.evaluationPeriods
  );
}
