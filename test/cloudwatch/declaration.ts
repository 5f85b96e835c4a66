// The Pulumi program as the twin sees it: alarms, filters, rules and the log route, read once and checked against each other.

import { type CompositeAlarm, compositeAlarm, inOrder } from "./compositeAlarm.ts";
import { type Mask, masksOf } from "./dataProtection.ts";
import { type DeclaredResource, ofType } from "./declared.ts";
import { type EventRule, eventRules } from "./events.ts";
import { type Route, routeLogs } from "./logRouting.ts";
import { type MetricAlarm, metricAlarm } from "./metricAlarm.ts";
import { checkFiltersPerGroup, type MetricFilter, metricFilter } from "./metricFilter.ts";
import { CannotRehearse } from "./refusal.ts";
import type { TwinOptions } from "./views.ts";

export interface Declaration {
  readonly metricAlarms: readonly MetricAlarm[];
  /** Children come before the composites that look at them. */
  readonly compositeAlarms: readonly CompositeAlarm[];
  readonly filters: readonly MetricFilter[];
  readonly masks: readonly Mask[];
  readonly rules: readonly EventRule[];
  readonly route: Route;
}

// What else the CloudWatch module declares without bearing on alarms. Anything not listed is refused.
const WITHOUT_EFFECT = /^aws:cloudwatch\/(dashboard|logStream|logSubscriptionFilter|queryDefinition|eventPermission):/;
const IMPLEMENTED =
  /^aws:cloudwatch\/(metricAlarm|compositeAlarm|logMetricFilter|logGroup|logDataProtectionPolicy|logResourcePolicy|eventRule|eventTarget):/;

/** Reads the program. Throws `CannotRehearse` naming the first construct that is not implemented or that AWS would reject. */
export function readDeclaration(options: TwinOptions): Declaration {
  const { resources, region, account } = options;
  for (const { type, name } of resources) {
    if (type.startsWith("aws:cloudwatch/") && !IMPLEMENTED.test(type) && !WITHOUT_EFFECT.test(type)) {
      throw new CannotRehearse(name, type, "the twin does not implement this kind of resource");
    }
  }
  const each = <Item>(type: string, read: (resource: DeclaredResource) => Item): Item[] =>
    ofType(resources, type).map(read);
  const metricAlarms = each("aws:cloudwatch/metricAlarm:MetricAlarm", (resource) =>
    metricAlarm(resource, region, account),
  );
  const composites = each("aws:cloudwatch/compositeAlarm:CompositeAlarm", (resource) =>
    compositeAlarm(resource, region, account),
  );
  const filters = each("aws:cloudwatch/logMetricFilter:LogMetricFilter", (resource) => metricFilter(resource, region));
  checkFiltersPerGroup(filters);
  checkDefaults(metricAlarms, filters);
  const references = namesAndArns([...metricAlarms, ...composites]);
  return {
    metricAlarms,
    compositeAlarms: inOrder(composites, (reference) => references.has(reference)),
    filters,
    masks: masksOf(resources),
    rules: eventRules(resources, region, account),
    route: routeLogs(resources, { region, container: options.container }),
  };
}

function namesAndArns(alarms: readonly (MetricAlarm | CompositeAlarm)[]): ReadonlySet<string> {
  const references = new Set<string>();
  for (const { name, arn, resource } of alarms) {
    if (references.has(name))
      throw new CannotRehearse(resource, "name", `a second alarm is called ${name}; the later one overwrites it`);
    references.add(name).add(arn);
  }
  return references;
}

/** A filter's default is stored once an event or once a minute, which is not documented: only Sum and Maximum do not care. */
function checkDefaults(alarms: readonly MetricAlarm[], filters: readonly MetricFilter[]): void {
  for (const { metric, statistic, statisticText, resource } of alarms) {
    const filter = filters.find(
      ({ namespace, metric: name }) => namespace === metric.namespace && name === metric.name,
    );
    if (filter?.hasDefault && statistic.kind !== "Sum" && statistic.kind !== "Maximum") {
      throw new CannotRehearse(
        resource,
        "statistic",
        `${statisticText} of a metric with a default value is not documented; use Sum`,
      );
    }
  }
}
