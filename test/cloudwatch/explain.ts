// Why an alarm is silent, or is not: for the person whose rehearsal came out otherwise than expected.

import type { EventRule } from "./events.ts";
import type { Intake } from "./intake.ts";
import { ruleText } from "./metricAlarm.ts";
import type { MetricFilter } from "./metricFilter.ts";
import { type MetricIdentity, type MetricStore, metricText, type Series } from "./metricStore.ts";
import type { Notification } from "./views.ts";
import { type CompositeWatch, isComposite, type MetricWatch, type Watch } from "./watch.ts";

export interface Evidence {
  readonly store: MetricStore;
  readonly intake: Intake;
  readonly filters: readonly MetricFilter[];
  readonly rules: readonly EventRule[];
  readonly notifications: readonly Notification[];
  readonly stateOf: (alarm: string) => string;
  /** Time of the last evaluation and of the alarms' creation, ms. */
  readonly now: number;
  readonly created: number;
}

const MAX_CLOSE_NAMES = 3;

/** One finding a line, the most telling first. */
export function explainAlarm(watch: Watch, evidence: Evidence): string {
  const head = `${watch.alarm.name} is ${watch.state}: ${watch.reason}`;
  const body = isComposite(watch) ? explainComposite(watch, evidence) : explainMetric(watch, evidence);
  return [head, ...body, ...explainActions(watch, evidence)].join("\n");
}

function explainMetric(watch: MetricWatch, evidence: Evidence): string[] {
  const { alarm } = watch;
  if (watch.state === "ALARM") return [];
  const findings: string[] = [];
  if (watch.phase === "created")
    findings.push("it was never evaluated: time has not reached a boundary since it was created");
  if (alarm.warmUp !== undefined && watch.phase === "warmingUp") {
    const left = Math.ceil((evidence.created + alarm.warmUp.durationMs - evidence.now) / 60_000);
    findings.push(`it warms up for another ${left} min at most, without evaluation or actions`);
  }
  const series = evidence.store.series(alarm.metric);
  if (series === undefined) findings.push(...explainNoData(alarm.metric, evidence));
  else if (alarm.unit !== undefined && !series.units.has(alarm.unit) && series.units.size > 0) {
    findings.push(
      `no datapoint: it wants unit ${alarm.unit}, published are ${[...series.units].join(", ")}; nothing is converted`,
    );
  } else if (watch.extreme === undefined) {
    findings.push(
      `no datapoint yet: ${metricText(alarm.metric)} has ${series.count} values, none in an evaluated period`,
    );
  } else {
    const extreme = alarm.comparison.startsWith(">") ? "highest" : "lowest";
    findings.push(
      `threshold not met: ${extreme} datapoint ${watch.extreme}, needs ${ruleText(alarm)}; ` +
        `at most ${watch.mostBreaching} of ${alarm.evaluationPeriods} breached`,
    );
  }
  if (watch.held > 0)
    findings.push(`${watch.held} evaluations left the state alone: too few samples for ${alarm.statisticText}`);
  const discarded = evidence.intake.discarded(alarm.metric);
  if (discarded !== undefined) findings.push(`datapoints were discarded: ${discarded}`);
  return findings;
}

function explainNoData(metric: MetricIdentity, evidence: Evidence): string[] {
  const close = closeNames(metric, evidence.store.all());
  const hint = close.length > 0 ? `; published names close to it: ${close.join(", ")}` : "";
  const findings = [`no datapoint: nothing published ${metricText(metric)}${hint}`];
  if (metric.namespace.startsWith("AWS/") && metric.namespace !== "AWS/Logs") {
    return [...findings, awsFinding(metric, evidence.rules)];
  }
  const { route, lines } = evidence.intake;
  if (route.kind === "nowhere") findings.push(`log lines went nowhere (${lines} of them): ${route.why}`);
  else if (lines === 0) findings.push("no log line was received");
  const filters = evidence.filters.filter(
    (filter) => filter.namespace === metric.namespace && filter.metric === metric.name,
  );
  for (const filter of filters) {
    if (route.kind === "group" && filter.group !== route.group) {
      findings.push(`metric filter ${filter.name} watches ${filter.group}, the lines go to ${route.group}`);
    } else findings.push(`metric filter ${filter.name} makes it, and matched no line`);
  }
  return [...findings, ...evidence.intake.notes()];
}

function awsFinding(metric: MetricIdentity, rules: readonly EventRule[]): string {
  const rule = metric.dimensions["RuleName"];
  if (metric.namespace !== "AWS/Events" || rule === undefined)
    return "AWS publishes this metric itself; nobody played AWS";
  return rules.some(({ name }) => name === rule) ? `no event matched rule ${rule}` : `no rule ${rule} is declared`;
}

function closeNames(metric: MetricIdentity, published: readonly Series[]): string[] {
  const wanted = metricText(metric).toLowerCase();
  const distance = (series: Series): number => editDistance(wanted, metricText(series.identity).toLowerCase());
  return published
    .filter((series) => series.identity.name === metric.name || series.identity.namespace === metric.namespace)
    .map((series) => ({ text: metricText(series.identity), distance: distance(series) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_CLOSE_NAMES)
    .map(({ text }) => text);
}

/** Levenshtein's. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

function explainComposite(watch: CompositeWatch, evidence: Evidence): string[] {
  const states = watch.alarm.dependencies.map((alarm) => `${alarm} is ${evidence.stateOf(alarm)}`);
  const findings = [`rule ${watch.alarm.ruleText}: ${states.join(", ")}`];
  const { suppressor } = watch.alarm;
  if (suppressor === undefined) return findings;
  switch (watch.suppression.kind) {
    case "idle":
      break;
    case "waiting":
      findings.push(
        `its actions wait for ${suppressor.alarm} until ${new Date(watch.suppression.until).toISOString()}`,
      );
      break;
    case "extending":
      findings.push(
        `its actions wait after ${suppressor.alarm} until ${new Date(watch.suppression.until).toISOString()}`,
      );
      break;
    case "suppressed":
      findings.push(`its actions are suppressed: ${suppressor.alarm} is in ALARM`);
      break;
  }
  if (watch.overtaken > 0)
    findings.push(`the actions of ${watch.overtaken} changes never ran: the next change came first`);
  return findings;
}

function explainActions(watch: Watch, evidence: Evidence): string[] {
  const { name, actions } = watch.alarm;
  const findings: string[] = [];
  if (!actions.enabled) findings.push("its actions are disabled");
  if (actions.topics.ALARM.length === 0) findings.push("it has no alarmActions: it tells nobody");
  const lost = evidence.notifications.filter((sent) => sent.alarm === name && !sent.delivered).map((sent) => sent.why);
  for (const why of new Set(lost)) findings.push(`a notification was lost: ${why}`);
  return findings;
}
