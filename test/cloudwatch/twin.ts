// CloudWatch for a rehearsal: the container's stdout in, the declared alarms' transitions and notifications out.
// Reads no clock and sets no timer: whoever uses it passes the time in.

import { holds } from "./alarmRule.ts";
import { type AlarmState, nextState } from "./alarmState.ts";
import { type Declaration, readDeclaration } from "./declaration.ts";
import { putOnBus } from "./eventBus.ts";
import { explainAlarm } from "./explain.ts";
import { Intake } from "./intake.ts";
import {
  breaches,
  evaluationIntervalMs,
  evaluationRange,
  lookBackMs,
  type Range,
  ruleText,
  warmedUp,
} from "./metricAlarm.ts";
import { MetricStore } from "./metricStore.ts";
import { changed, deadline, due, IDLE, suppressorMoved } from "./suppression.ts";
import { publish } from "./topics.ts";
import type { AlarmView, Notification, Transition, Twin, TwinOptions } from "./views.ts";
import {
  type CompositeWatch,
  type MetricWatch,
  newCompositeWatch,
  newMetricWatch,
  remember,
  type Watch,
} from "./watch.ts";

export type { AlarmState } from "./alarmState.ts";
export type { DeclaredResource } from "./declared.ts";
export { CannotRehearse } from "./refusal.ts";
export type { AlarmView, Notification, Transition, Twin, TwinOptions } from "./views.ts";

const DEFAULT_LAG_MS = 5000;
const MAX_HISTORY = 10_000;
const MINUTE_MS = 60_000;
const TEN_SECONDS_MS = 10_000;

/** Builds the twin. Throws `CannotRehearse` naming the first construct that it does not implement or AWS would reject. */
export function createTwin(options: TwinOptions): Twin {
  return new CloudWatchTwin(options);
}

class CloudWatchTwin implements Twin {
  readonly transitions: Transition[] = [];
  readonly notifications: Notification[] = [];
  readonly #options: TwinOptions;
  readonly #declaration: Declaration;
  readonly #lagMs: number;
  readonly #store = new MetricStore();
  readonly #intake: Intake;
  readonly #metrics: readonly MetricWatch[];
  readonly #composites: readonly CompositeWatch[];
  /** By AWS name and by ARN. */
  readonly #byReference = new Map<string, Watch>();
  readonly #tickMs: number;
  readonly #keepMs: number;
  #created: number | undefined;
  #now = 0;

  constructor(options: TwinOptions) {
    const declaration = readDeclaration(options);
    this.#options = options;
    this.#declaration = declaration;
    this.#lagMs = options.ingestLagMs ?? DEFAULT_LAG_MS;
    this.#intake = new Intake({ ...declaration, store: this.#store, lagMs: this.#lagMs });
    this.#metrics = declaration.metricAlarms.map(newMetricWatch);
    this.#composites = declaration.compositeAlarms.map(newCompositeWatch);
    for (const watch of this.#watches()) this.#byReference.set(watch.alarm.name, watch).set(watch.alarm.arn, watch);
    this.#tickMs = declaration.metricAlarms.some(({ periodMs }) => periodMs < MINUTE_MS) ? TEN_SECONDS_MS : MINUTE_MS;
    this.#keepMs = Math.max(0, ...declaration.metricAlarms.map(lookBackMs));
    if (options.createdAt !== undefined) this.#begin(options.createdAt);
  }

  receive(line: string, at: number): void {
    this.#begin(at);
    this.#intake.receive(line, at);
  }

  putMetric(
    namespace: string,
    name: string,
    dimensions: Readonly<Record<string, string>>,
    value: number,
    at: number,
  ): void {
    this.#begin(at);
    const sample = { timestamp: at, value, unit: undefined, visibleAt: at + this.#lagMs };
    this.#store.put({ namespace, name, dimensions }, sample, 60);
  }

  putEvent(event: Readonly<Record<string, unknown>>, at: number): void {
    this.#begin(at);
    const { rules } = this.#declaration;
    const sent = putOnBus(event, at, {
      resources: this.#options.resources,
      place: this.#options,
      rules,
      count: (metric, rule, time) => this.putMetric("AWS/Events", metric, { RuleName: rule }, 1, time),
      write: (group, text, time) => this.#intake.ingest(text, group, time),
    });
    for (const notification of sent) keep(this.notifications, notification);
  }

  advance(now: number): void {
    this.#begin(now);
    for (let at = this.#nextTime(); at <= now; at = this.#nextTime()) {
      this.#now = at;
      this.#evaluate(at);
    }
  }

  alarms(): readonly AlarmView[] {
    return this.#watches().map(({ alarm, state, since, reason }) => {
      const { name, arn, resource, kind } = alarm;
      return { name, arn, resource, kind, state, since, reason };
    });
  }

  explain(alarm: string): string {
    const watches = this.#watches();
    const watch = this.#byReference.get(alarm) ?? watches.find((candidate) => candidate.alarm.resource === alarm);
    if (watch === undefined) {
      const names = watches.map((candidate) => candidate.alarm.name).join(", ") || "none";
      return `no alarm ${alarm} is declared; declared are: ${names}`;
    }
    return explainAlarm(watch, {
      store: this.#store,
      intake: this.#intake,
      filters: this.#declaration.filters,
      rules: this.#declaration.rules,
      notifications: this.notifications,
      stateOf: (reference) => this.#stateOf(reference),
      now: this.#now,
      created: this.#created ?? this.#now,
    });
  }

  notes(): readonly string[] {
    return this.#intake.notes();
  }

  #begin(at: number): void {
    if (this.#created !== undefined) return;
    this.#created = at;
    this.#now = at;
    for (const watch of this.#watches()) watch.since = at;
  }

  #watches(): readonly Watch[] {
    return [...this.#metrics, ...this.#composites];
  }

  #stateOf(reference: string): AlarmState {
    return this.#byReference.get(reference)?.state ?? "INSUFFICIENT_DATA";
  }

  /** The next boundary, or the end of a suppressor's wait if that comes first. */
  #nextTime(): number {
    const tick = (Math.floor(this.#now / this.#tickMs) + 1) * this.#tickMs;
    const deadlines = this.#composites.flatMap(({ suppression }) => deadline(suppression) ?? []);
    return Math.min(tick, ...deadlines.filter((time) => time > this.#now));
  }

  #evaluate(at: number): void {
    for (const watch of this.#metrics) {
      if (at % evaluationIntervalMs(watch.alarm) === 0) this.#evaluateMetric(watch, at);
    }
    for (const watch of this.#composites) this.#evaluateComposite(watch, at);
    this.#store.prune(at - this.#keepMs);
  }

  #evaluateMetric(watch: MetricWatch, at: number): void {
    const { alarm } = watch;
    const range = evaluationRange(alarm, this.#store, at);
    remember(watch, range);
    if (watch.phase !== "evaluated") {
      watch.phase = warmedUp(alarm, range, this.#created ?? at, at) ? "evaluated" : "warmingUp";
    }
    if (watch.phase === "warmingUp") return;
    if (range.hold) {
      watch.held += 1;
      return;
    }
    const { datapoints } = range;
    const { evaluationPeriods, datapointsToAlarm, missing } = alarm;
    const state = nextState({ datapoints, evaluationPeriods, datapointsToAlarm, missing, previous: watch.state });
    if (this.#move(watch, state, at, reasonOf(watch, range))) this.#act(watch, state, at);
  }

  #evaluateComposite(watch: CompositeWatch, at: number): void {
    const { rule, ruleText: text, suppressor, dependencies } = watch.alarm;
    // It leaves INSUFFICIENT_DATA with its first evaluation, which makes sense once its children had theirs.
    if (dependencies.some((reference) => this.#byReference.get(reference)?.phase === "created")) return;
    watch.phase = "evaluated";
    const state: AlarmState = holds(rule, (reference) => this.#stateOf(reference)) ? "ALARM" : "OK";
    const reason = `${text} is ${state === "ALARM"}`;
    if (suppressor === undefined) {
      if (this.#move(watch, state, at, reason)) this.#act(watch, state, at);
      return;
    }
    const inAlarm = this.#stateOf(suppressor.alarm) === "ALARM";
    watch.suppression = suppressorMoved(watch.suppression, inAlarm, suppressor, at);
    if (this.#move(watch, state, at, reason)) {
      if (watch.suppression.kind !== "idle") watch.overtaken += 1;
      watch.suppression = changed(state, inAlarm, suppressor, at);
    }
    const acting = due(watch.suppression, at);
    if (acting === undefined) return;
    watch.suppression = IDLE;
    this.#act(watch, acting, at);
  }

  /** Changes the state, if it is another; whether it was. */
  #move(watch: Watch, to: AlarmState, at: number, reason: string): boolean {
    const { state: from } = watch;
    if (from === to) return false;
    watch.state = to;
    watch.since = at;
    watch.reason = reason;
    keep(this.transitions, { alarm: watch.alarm.name, from, to, at, reason });
    this.#announce(watch, from, at);
    return true;
  }

  #act(watch: Watch, state: AlarmState, at: number): void {
    const { name, arn, actions } = watch.alarm;
    if (!actions.enabled) return;
    for (const topicArn of actions.topics[state]) {
      const publication = { service: "cloudwatch.amazonaws.com", sourceArn: arn, topicArn } as const;
      const delivery = publish(this.#options.resources, this.#options, publication);
      keep(this.notifications, { alarm: name, state, topicArn, at, text: actions.description, ...delivery });
    }
  }

  /** CloudWatch puts every change of state on the default bus, whatever the alarm's actions. */
  #announce(watch: Watch, from: AlarmState, at: number): void {
    const { name, arn } = watch.alarm;
    const { region, account } = this.#options;
    const state = { value: watch.state, reason: watch.reason, timestamp: new Date(at).toISOString() };
    const detail = { alarmName: name, state, previousState: { value: from } };
    const kind = "CloudWatch Alarm State Change";
    this.putEvent({ source: "aws.cloudwatch", "detail-type": kind, account, region, resources: [arn], detail }, at);
  }
}

function keep<Item>(history: Item[], item: Item): void {
  history.push(item);
  if (history.length > MAX_HISTORY) history.shift();
}

function reasonOf(watch: MetricWatch, range: Range): string {
  const { alarm } = watch;
  const newest = range.values.slice(-alarm.evaluationPeriods);
  const breaching = newest.filter((value) => value !== undefined && breaches(alarm, value)).length;
  const shown = range.values.map((value) => value ?? "-").join(" ");
  const rule = `${ruleText(alarm)}, missing data ${alarm.missing}`;
  return `${breaching} of the last ${alarm.evaluationPeriods} datapoints breach, of [${shown}]; ${rule}`;
}
