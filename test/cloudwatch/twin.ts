// CloudWatch for a rehearsal: the container's stdout in, the declared alarms' transitions and notifications out.
// Reads no clock and sets no timer: whoever uses it passes the time in.

import { holds } from "./alarmRule.ts";
import type { AlarmState } from "./alarmState.ts";
import { nextState } from "./alarmState.ts";
import { compositeAlarm, dependenciesOf, inOrder } from "./compositeAlarm.ts";
import { type DeclaredResource, isPlainObject, ofType, type PlainObject } from "./declared.ts";
import { type EventRule, eventRules } from "./events.ts";
import { explainAlarm } from "./explain.ts";
import { Intake } from "./intake.ts";
import { routeLogs } from "./logRouting.ts";
import {
  breaches,
  evaluationIntervalMs,
  evaluationRange,
  lookBackMs,
  metricAlarm,
  type Range,
  ruleText,
  warmedUp,
} from "./metricAlarm.ts";
import { checkFiltersPerGroup, type MetricFilter, metricFilter } from "./metricFilter.ts";
import { MetricStore } from "./metricStore.ts";
import { CannotRehearse } from "./refusal.ts";
import { changed, deadline, due, IDLE, suppressorMoved } from "./suppression.ts";
import { publish } from "./topics.ts";
import {
  type CompositeWatch,
  isComposite,
  type MetricWatch,
  newCompositeWatch,
  newMetricWatch,
  remember,
  type Watch,
} from "./watch.ts";

export type { AlarmState } from "./alarmState.ts";
export type { DeclaredResource } from "./declared.ts";
export { CannotRehearse } from "./refusal.ts";

export interface TwinOptions {
  readonly resources: readonly DeclaredResource[];
  readonly region: string;
  readonly account: string;
  /** From a line's or value's arrival until an evaluation sees it, ms; 5,000 unless said otherwise (awslogs flushes every 5 s). */
  readonly ingestLagMs?: number;
  /** When the alarms were created, ms since the epoch; the first time the twin hears of, unless said otherwise. */
  readonly createdAt?: number;
  /** The container whose stdout is received, where the program declares several. */
  readonly container?: string;
}

export interface AlarmView {
  readonly name: string;
  readonly arn: string;
  /** The Pulumi program's name for it. */
  readonly resource: string;
  readonly kind: "metric" | "composite";
  readonly state: AlarmState;
  /** Of the last change, ms since the epoch; of its creation if there was none. */
  readonly since: number;
  readonly reason: string;
}

export interface Transition {
  readonly alarm: string;
  readonly from: AlarmState;
  readonly to: AlarmState;
  readonly at: number;
  readonly reason: string;
}

export interface Notification {
  /** The alarm, or the EventBridge rule. */
  readonly alarm: string;
  readonly state: AlarmState | "EVENT";
  readonly topicArn: string;
  readonly at: number;
  /** The alarm's description, or the rule's message. */
  readonly text: string;
  /** Whether the topic took it. */
  readonly delivered: boolean;
  /** What stopped it, or the protocols it went out by. */
  readonly why: string;
}

export interface Twin {
  /** One line of the container's stdout, received at `at` (ms since the epoch). */
  receive(line: string, at: number): void;
  /** Evaluates every alarm for each boundary up to `now`: minutes, or 10 s where an alarm has such a period. */
  advance(now: number): void;
  /** One value of a metric that AWS itself publishes (standard resolution). */
  putMetric(
    namespace: string,
    name: string,
    dimensions: Readonly<Record<string, string>>,
    value: number,
    at: number,
  ): void;
  /** One event on the default bus, such as an ECS task state change. */
  putEvent(event: Readonly<Record<string, unknown>>, at: number): void;
  alarms(): readonly AlarmView[];
  /** Oldest first; the newest 10,000. */
  readonly transitions: readonly Transition[];
  /** Oldest first; the newest 10,000. */
  readonly notifications: readonly Notification[];
  /** Why an alarm (by AWS name or Pulumi name) is silent, or is not, for a person. */
  explain(alarm: string): string;
}

const DEFAULT_LAG_MS = 5000;
const MAX_HISTORY = 10_000;
const MINUTE_MS = 60_000;

// What else the CloudWatch module declares without bearing on alarms. Anything not listed is refused.
const WITHOUT_EFFECT =
  /^aws:cloudwatch\/(dashboard|logStream|logResourcePolicy|logSubscriptionFilter|queryDefinition|eventPermission):/;
const IMPLEMENTED = /^aws:cloudwatch\/(metricAlarm|compositeAlarm|logMetricFilter|logGroup|eventRule|eventTarget):/;

/** Builds the twin. Throws `CannotRehearse` naming the first construct that it does not implement or AWS would reject. */
export function createTwin(options: TwinOptions): Twin {
  return new CloudWatchTwin(options);
}

class CloudWatchTwin implements Twin {
  readonly transitions: Transition[] = [];
  readonly notifications: Notification[] = [];
  readonly #options: TwinOptions;
  readonly #store = new MetricStore();
  readonly #intake: Intake;
  readonly #filters: readonly MetricFilter[];
  readonly #rules: readonly EventRule[];
  readonly #metrics: readonly MetricWatch[];
  readonly #composites: readonly CompositeWatch[];
  readonly #byReference = new Map<string, Watch>();
  readonly #tickMs: number;
  readonly #keepMs: number;
  #created: number | undefined;
  #now = 0;

  constructor(options: TwinOptions) {
    const { resources, region, account } = options;
    this.#options = options;
    for (const { type, name } of resources) {
      if (type.startsWith("aws:cloudwatch/") && !IMPLEMENTED.test(type) && !WITHOUT_EFFECT.test(type)) {
        throw new CannotRehearse(name, type, "the twin does not implement this kind of resource");
      }
    }
    this.#filters = ofType(resources, "aws:cloudwatch/logMetricFilter:LogMetricFilter").map((resource) =>
      metricFilter(resource, region),
    );
    checkFiltersPerGroup(this.#filters);
    this.#rules = eventRules(resources, region, account);
    this.#metrics = ofType(resources, "aws:cloudwatch/metricAlarm:MetricAlarm").map((resource) =>
      newMetricWatch(metricAlarm(resource, region, account)),
    );
    for (const watch of this.#metrics) this.#register(watch);
    const composites = ofType(resources, "aws:cloudwatch/compositeAlarm:CompositeAlarm").map((resource) =>
      newCompositeWatch(compositeAlarm(resource, region, account)),
    );
    for (const watch of composites) this.#register(watch);
    this.#composites = inOrder(
      composites.map(({ alarm }) => alarm),
      (reference) => this.#byReference.has(reference),
    ).flatMap((alarm) => composites.filter((watch) => watch.alarm === alarm));
    this.#checkDefaults();
    this.#intake = new Intake({
      store: this.#store,
      route: routeLogs(resources, { region, container: options.container }),
      filters: this.#filters,
      lagMs: this.#lagMs,
    });
    this.#tickMs = this.#metrics.some(({ alarm }) => alarm.periodMs < MINUTE_MS) ? 10_000 : MINUTE_MS;
    this.#keepMs = Math.max(0, ...this.#metrics.map(({ alarm }) => lookBackMs(alarm)));
    if (options.createdAt !== undefined) this.#begin(options.createdAt);
  }

  get #lagMs(): number {
    return this.#options.ingestLagMs ?? DEFAULT_LAG_MS;
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
    this.#store.put(
      { namespace, name, dimensions },
      { timestamp: at, value, unit: undefined, visibleAt: at + this.#lagMs },
      60,
    );
  }

  putEvent(event: Readonly<Record<string, unknown>>, at: number): void {
    this.#begin(at);
    for (const rule of this.#rules.filter(({ matches }) => matches(event))) {
      for (const { topicArn, ruleArn, text } of rule.messages(event)) {
        const delivery = publish(this.#options.resources, this.#options, {
          service: "events.amazonaws.com",
          sourceArn: ruleArn,
          topicArn,
        });
        this.#keep(this.notifications, { alarm: rule.name, state: "EVENT", topicArn, at, text, ...delivery });
      }
    }
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
    const watch =
      this.#byReference.get(alarm) ?? this.#watches().find((candidate) => candidate.alarm.resource === alarm);
    if (watch === undefined) {
      const names = this.#watches().map((candidate) => candidate.alarm.name);
      return `no alarm ${alarm} is declared; declared are: ${names.join(", ") || "none"}`;
    }
    return explainAlarm(watch, {
      store: this.#store,
      intake: this.#intake,
      filters: this.#filters,
      notifications: this.notifications,
      watches: this.#watches(),
      now: this.#now,
      created: this.#created ?? this.#now,
    });
  }

  #register(watch: Watch): void {
    const { name, arn, resource } = watch.alarm;
    if (this.#byReference.has(name))
      throw new CannotRehearse(resource, "name", `a second alarm is called ${name}; the later one overwrites it`);
    this.#byReference.set(name, watch).set(arn, watch);
  }

  /** A filter's default is stored once an event or once a minute, which is not documented: only Sum and Maximum do not care. */
  #checkDefaults(): void {
    for (const { alarm } of this.#metrics) {
      const { metric, statistic, statisticText } = alarm;
      const filter = this.#filters.find(
        ({ namespace, metric: name }) => namespace === metric.namespace && name === metric.name,
      );
      if (filter?.hasDefault && statistic.kind !== "Sum" && statistic.kind !== "Maximum") {
        throw new CannotRehearse(
          alarm.resource,
          "statistic",
          `${statisticText} of a metric with a default value is not documented; use Sum`,
        );
      }
    }
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
    watch.evaluated = true;
    remember(watch, range);
    watch.warm ||= warmedUp(alarm, range, this.#created ?? at, at);
    if (!watch.warm) return;
    if (range.hold) {
      watch.held += 1;
      return;
    }
    const { evaluationPeriods, datapointsToAlarm, missing } = alarm;
    const state = nextState({
      datapoints: range.datapoints,
      evaluationPeriods,
      datapointsToAlarm,
      missing,
      previous: watch.state,
    });
    if (this.#move(watch, state, at, reasonOf(watch, range))) this.#act(watch, state, at);
  }

  #evaluateComposite(watch: CompositeWatch, at: number): void {
    const { alarm } = watch;
    const children = dependenciesOf(alarm).flatMap((reference) => this.#byReference.get(reference) ?? []);
    // It leaves INSUFFICIENT_DATA with its first evaluation, which makes sense once its children had theirs.
    if (
      children.some((child) =>
        isComposite(child) ? child.reason === newCompositeWatch(child.alarm).reason : !child.evaluated,
      )
    )
      return;
    const stateOf = (reference: string): AlarmState => this.#byReference.get(reference)?.state ?? "INSUFFICIENT_DATA";
    const { suppressor } = alarm;
    const inAlarm = suppressor !== undefined && stateOf(suppressor.alarm) === "ALARM";
    if (suppressor !== undefined && inAlarm !== watch.suppressorInAlarm) {
      watch.suppression = suppressorMoved(watch.suppression, inAlarm, suppressor, at);
      watch.suppressorInAlarm = inAlarm;
    }
    const state: AlarmState = holds(alarm.rule, stateOf) ? "ALARM" : "OK";
    const reason = `${alarm.ruleText} is ${state === "ALARM"}`;
    if (this.#move(watch, state, at, reason)) {
      if (suppressor === undefined) this.#act(watch, state, at);
      else {
        if (watch.suppression.kind !== "idle") watch.suppressed += 1;
        watch.suppression = changed(state, inAlarm, suppressor, at);
      }
    }
    const acting = due(watch.suppression, at);
    if (acting !== undefined) {
      watch.suppression = IDLE;
      this.#act(watch, acting, at);
    }
  }

  /** Changes the state, if it is another; whether it was. */
  #move(watch: Watch, to: AlarmState, at: number, reason: string): boolean {
    const { state: from } = watch;
    if (from === to) return false;
    watch.state = to;
    watch.since = at;
    watch.reason = reason;
    this.#keep(this.transitions, { alarm: watch.alarm.name, from, to, at, reason });
    this.#announce(watch, from, at);
    return true;
  }

  #act(watch: Watch, state: AlarmState, at: number): void {
    const { name, arn, actions } = watch.alarm;
    if (!actions.enabled) return;
    for (const topicArn of actions.topics[state]) {
      const delivery = publish(this.#options.resources, this.#options, {
        service: "cloudwatch.amazonaws.com",
        sourceArn: arn,
        topicArn,
      });
      this.#keep(this.notifications, { alarm: name, state, topicArn, at, text: actions.description, ...delivery });
    }
  }

  /** CloudWatch puts every change of state on the default bus, whatever the alarm's actions. */
  #announce(watch: Watch, from: AlarmState, at: number): void {
    if (this.#rules.length === 0) return;
    const { name, arn } = watch.alarm;
    const detail: PlainObject = {
      alarmName: name,
      state: { value: watch.state, reason: watch.reason, timestamp: new Date(at).toISOString() },
      previousState: { value: from },
    };
    const { region, account } = this.#options;
    const event = {
      source: "aws.cloudwatch",
      "detail-type": "CloudWatch Alarm State Change",
      account,
      region,
      resources: [arn],
      detail,
    };
    if (isPlainObject(event)) this.putEvent(event, at);
  }

  #keep<Item>(history: Item[], item: Item): void {
    history.push(item);
    if (history.length > MAX_HISTORY) history.shift();
  }
}

function reasonOf(watch: MetricWatch, range: Range): string {
  const { alarm } = watch;
  const newest = range.values.slice(-alarm.evaluationPeriods);
  const breaching = newest.filter((value) => value !== undefined && breaches(alarm, value)).length;
  const shown = range.values.map((value) => value ?? "-").join(" ");
  return `${breaching} of the last ${alarm.evaluationPeriods} datapoints breach [${shown}], ${ruleText(alarm)}, missing data ${alarm.missing}`;
}
