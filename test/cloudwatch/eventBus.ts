// The default event bus: an event goes to every rule that matches it, and from there to topics and log groups.
// Sources: EventBridge user guide, "Monitoring Amazon EventBridge" (AWS/Events) and "Using resource-based policies".

import { awsName, type DeclaredResource, document, ofType, type PlainObject } from "./declared.ts";
import type { EventRule } from "./events.ts";
import { allows } from "./policy.ts";
import { type Delivery, type Place, publish } from "./topics.ts";
import type { Notification } from "./views.ts";

export interface EventBusOptions {
  readonly resources: readonly DeclaredResource[];
  readonly place: Place;
  readonly rules: readonly EventRule[];
  /** Adds 1 to a metric of AWS/Events {RuleName}. */
  readonly count: (metric: string, rule: string, at: number) => void;
  /** Writes an event into a log group. */
  readonly write: (group: string, text: string, at: number) => void;
}

/** Puts one event on the bus at `at` (ms since the epoch); what went to topics, arrived or not, is returned. */
export function putOnBus(event: PlainObject, at: number, options: EventBusOptions): readonly Notification[] {
  const notifications: Notification[] = [];
  for (const rule of options.rules.filter(({ matches }) => matches(event))) {
    options.count("MatchedEvents", rule.name, at);
    options.count("TriggeredRules", rule.name, at);
    for (const { target, text } of rule.messages(event)) {
      options.count("Invocations", rule.name, at);
      const delivery = target.kind === "topic" ? toTopic(rule, target.arn, options) : toLog(rule, target.arn, options);
      if (!delivery.delivered) options.count("FailedInvocations", rule.name, at);
      if (target.kind === "topic") {
        notifications.push({ alarm: rule.name, state: "EVENT", topicArn: target.arn, at, text, ...delivery });
      } else if (delivery.delivered) options.write(groupOf(target.arn), text, at);
    }
  }
  return notifications;
}

function toTopic(rule: EventRule, topicArn: string, options: EventBusOptions): Delivery {
  return publish(options.resources, options.place, { service: "events.amazonaws.com", sourceArn: rule.arn, topicArn });
}

/** EventBridge writes into a log group only under a resource policy of CloudWatch Logs that lets it. */
function toLog(rule: EventRule, arn: string, options: EventBusOptions): Delivery {
  const group = groupOf(arn);
  const declared = ofType(options.resources, "aws:cloudwatch/logGroup:LogGroup").some(
    (resource) => awsName(resource) === group,
  );
  if (!declared) return { delivered: false, why: `log group ${group} is not declared` };
  const request = {
    service: "events.amazonaws.com",
    action: "logs:PutLogEvents",
    resource: `${arn.replace(/:\*$/, "")}:log-stream:event`,
    sourceArn: rule.arn,
    account: options.place.account,
  };
  const allowed = ofType(options.resources, "aws:cloudwatch/logResourcePolicy:LogResourcePolicy").some((policy) => {
    const place = { resource: policy.name, property: "policyDocument" };
    return allows(document(policy, "policyDocument") ?? {}, request, place);
  });
  return allowed
    ? { delivered: true, why: `to ${group}` }
    : { delivered: false, why: `no resource policy lets EventBridge write to ${group}` };
}

const groupOf = (arn: string): string => arn.replace(/^.*:log-group:/, "").replace(/:\*$/, "");
