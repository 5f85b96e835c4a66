// Declared resources for the twin's own tests: a small program with one container, one log group and one topic.

import type { DeclaredResource } from "./declared.ts";

export const REGION = "eu-central-1";
export const ACCOUNT = "123456789012";
export const TOPIC_ARN = `arn:aws:sns:${REGION}:${ACCOUNT}:pages`;
/** A whole minute, ms since the epoch. */
export const START = 1_750_000_020_000;
export const MINUTE = 60_000;

type Inputs = Readonly<Record<string, unknown>>;

/** A resource whose outputs are its inputs and what AWS would add. */
export function declared(type: string, name: string, inputs: Inputs, outputs: Inputs = {}): DeclaredResource {
  const urn = `urn:pulumi:test::mooring::${type}::${name}`;
  return { type, name, urn, id: String(inputs["name"] ?? name), inputs, outputs: { ...inputs, ...outputs } };
}

export const topic = (inputs: Inputs = {}): DeclaredResource =>
  declared("aws:sns/topic:Topic", "pages", { name: "pages", ...inputs }, { arn: TOPIC_ARN });

export const subscription = (protocol = "email"): DeclaredResource =>
  declared("aws:sns/topicSubscription:TopicSubscription", `by-${protocol}`, {
    topic: TOPIC_ARN,
    protocol,
    endpoint: "someone",
  });

export const topicPolicy = (policy: unknown): DeclaredResource =>
  declared("aws:sns/topicPolicy:TopicPolicy", "pages-policy", { arn: TOPIC_ARN, policy: JSON.stringify(policy) });

export const logGroup = (name = "/mooring/bot", inputs: Inputs = {}): DeclaredResource =>
  declared("aws:cloudwatch/logGroup:LogGroup", "logs", { name, ...inputs });

/** A task definition with one container; `options` are changed or, when `undefined`, taken away. */
export function task(options: Inputs = {}, logDriver = "awslogs"): DeclaredResource {
  const merged = {
    "awslogs-group": "/mooring/bot",
    "awslogs-region": REGION,
    "awslogs-stream-prefix": "bot",
    ...options,
  };
  const container = { name: "bot", image: "bot", logConfiguration: { logDriver, options: merged } };
  return declared("aws:ecs/taskDefinition:TaskDefinition", "task", {
    containerDefinitions: JSON.stringify([container]),
  });
}

/** An alarm on Mooring/RateLimited {Stack=test}: Sum > 10 in one period of a minute, unless `inputs` say otherwise. */
export const alarm = (name: string, inputs: Inputs = {}): DeclaredResource =>
  declared("aws:cloudwatch/metricAlarm:MetricAlarm", name, {
    name,
    namespace: "Mooring",
    metricName: "RateLimited",
    dimensions: { Stack: "test" },
    statistic: "Sum",
    period: 60,
    evaluationPeriods: 1,
    threshold: 10,
    comparisonOperator: "GreaterThanThreshold",
    treatMissingData: "notBreaching",
    alarmActions: [TOPIC_ARN],
    okActions: [TOPIC_ARN],
    alarmDescription: `what ${name} means`,
    ...inputs,
  });

export const composite = (alarmName: string, alarmRule: string, inputs: Inputs = {}): DeclaredResource =>
  declared("aws:cloudwatch/compositeAlarm:CompositeAlarm", alarmName, {
    alarmName,
    alarmRule,
    alarmActions: [TOPIC_ARN],
    okActions: [TOPIC_ARN],
    ...inputs,
  });

export const filter = (pattern: string, transformation: Inputs = {}, inputs: Inputs = {}): DeclaredResource =>
  declared("aws:cloudwatch/logMetricFilter:LogMetricFilter", "filter", {
    name: "filter",
    logGroupName: "/mooring/bot",
    pattern,
    metricTransformation: { name: "Hits", namespace: "Logs", value: "1", ...transformation },
    ...inputs,
  });

/** What every program here has: a container that logs to a declared group, and a topic. */
export const base = (): DeclaredResource[] => [task(), logGroup(), topic(), subscription()];

/** An embedded metric line, as the bot writes it. */
export function metricLine(metrics: Readonly<Record<string, unknown>>, timestamp: number, root: Inputs = {}): string {
  const definitions = Object.keys(metrics).map((name) => ({ Name: name, Unit: "Count" }));
  const directive = { Namespace: "Mooring", Dimensions: [["Stack"]], Metrics: definitions };
  return JSON.stringify({
    _aws: { Timestamp: timestamp, CloudWatchMetrics: [directive] },
    Stack: "test",
    ...metrics,
    ...root,
  });
}
