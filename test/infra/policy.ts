// What every declared stack must keep, as rules over its recorded resources; each returns what breaks it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { METRIC_DIMENSION, METRIC_NAMESPACE, METRICS } from "../../shared/metrics.ts";
import { ofType } from "./graph.ts";
import type { DeclaredProgram, RecordedResource } from "./program.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

export type Policy = (program: DeclaredProgram) => readonly string[];

const METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm";
const COMPOSITE_ALARM = "aws:cloudwatch/compositeAlarm:CompositeAlarm";
const TOPIC = "aws:sns/topic:Topic";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const texts = (value: unknown): readonly string[] =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.flatMap(texts) : [];

interface Statement {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly services: readonly string[];
  readonly condition: string;
}

function statements(policy: unknown): readonly Statement[] {
  const document: unknown = JSON.parse(String(policy));
  const list = isRecord(document) && Array.isArray(document["Statement"]) ? document["Statement"] : [];
  return list.filter(isRecord).map((statement) => ({
    actions: texts(statement["Action"]),
    resources: texts(statement["Resource"]),
    services: isRecord(statement["Principal"]) ? texts(statement["Principal"]["Service"]) : [],
    condition: JSON.stringify(statement["Condition"] ?? {}),
  }));
}

const alarmName = ({ inputs }: RecordedResource): string => String(inputs["name"] ?? inputs["alarmName"]);

/** Alarms that a composite's expression raises on; what stands behind NOT only holds it back. */
export function raisingParts(expression: string): readonly string[] {
  const raising = expression.replace(/NOT \([^()]*(?:\([^()]*\)[^()]*)*\)/g, "").replace(/NOT ALARM\("[^"]*"\)/g, "");
  return [...raising.matchAll(/ALARM\("([^"]*)"\)/g)].map((match) => match[1] ?? "");
}

/** Words that AWS takes, by resource type and input (the provider's documentation of each); its types say only "string". */
const WORDS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  [METRIC_ALARM]: {
    comparisonOperator: [
      "GreaterThanOrEqualToThreshold",
      "GreaterThanThreshold",
      "LessThanThreshold",
      "LessThanOrEqualToThreshold",
    ],
    treatMissingData: ["missing", "ignore", "breaching", "notBreaching"],
    statistic: ["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    evaluateLowSampleCountPercentiles: ["evaluate", "ignore"],
  },
  "aws:dynamodb/table:Table": { billingMode: ["PAY_PER_REQUEST"] },
  "aws:budgets/budget:Budget": { budgetType: ["COST"], timeUnit: ["MONTHLY"] },
  "aws:ec2/eip:Eip": { domain: ["vpc"] },
  "aws:ec2/flowLog:FlowLog": { trafficType: ["ACCEPT", "REJECT", "ALL"] },
  "aws:ec2/natGateway:NatGateway": { connectivityType: ["public"] },
  "aws:ec2/vpcEndpoint:VpcEndpoint": { vpcEndpointType: ["Gateway"] },
  "aws:ecr/repository:Repository": { imageTagMutability: ["IMMUTABLE"] },
  "aws:ecs/service:Service": {
    availabilityZoneRebalancing: ["DISABLED", "ENABLED"],
    propagateTags: ["SERVICE", "TASK_DEFINITION", "NONE"],
  },
  "aws:ecs/taskDefinition:TaskDefinition": { networkMode: ["awsvpc"] },
  "aws:sns/topicSubscription:TopicSubscription": { protocol: ["email", "https"] },
};

/** Inputs that hold a policy document, by resource type. */
const DOCUMENTS: Readonly<Record<string, string>> = {
  "aws:iam/role:Role": "assumeRolePolicy",
  "aws:iam/rolePolicy:RolePolicy": "policy",
  "aws:sns/topicPolicy:TopicPolicy": "policy",
  "aws:kms/key:Key": "policy",
  "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyDocument",
  "aws:sqs/queuePolicy:QueuePolicy": "policy",
};

/** What is wrong with a policy document by IAM's grammar; trust policies name no resource. */
function documentProblems(text: unknown, isTrust: boolean, isIdentity: boolean): readonly string[] {
  const document: unknown = JSON.parse(String(text));
  if (!isRecord(document) || document["Version"] !== "2012-10-17") return ["has no version"];
  const list = document["Statement"];
  if (!Array.isArray(list) || list.length === 0) return ["has no statement"];
  return list.flatMap((statement: unknown, place) => {
    const at = `statement ${place + 1}`;
    if (!isRecord(statement) || statement["Effect"] !== "Allow") return [`${at} allows nothing`];
    const actions = texts(statement["Action"]);
    const problems = actions
      .filter((action) => !/^[a-z0-9-]+:[A-Za-z*]+$/.test(action))
      .map((action) => `${at} has ${action}`);
    if (actions.length === 0) problems.push(`${at} has no action`);
    if (
      !isTrust &&
      texts(statement["Resource"]).filter((part) => part === "*" || part.startsWith("arn:aws:")).length === 0
    ) {
      problems.push(`${at} has no resource`);
    }
    if (isIdentity === (statement["Principal"] !== undefined))
      problems.push(`${at} has a principal where none belongs, or lacks one`);
    return problems;
  });
}

export const POLICIES = {
  "every word is one that AWS takes": (program) =>
    program.resources.flatMap(({ type, name, inputs }) =>
      Object.entries(WORDS[type] ?? {}).flatMap(([input, words]) => {
        const given = inputs[input];
        return given === undefined || words.includes(String(given)) ? [] : [`${name} has ${input} ${String(given)}`];
      }),
    ),

  "every alarm is a condition that CloudWatch takes": (program) =>
    ofType(program, METRIC_ALARM).flatMap((alarm) => {
      const { statistic, extendedStatistic, datapointsToAlarm, evaluationPeriods, period } = alarm.inputs;
      const name = alarmName(alarm);
      if ((statistic === undefined) === (extendedStatistic === undefined)) return [`${name} needs one statistic`];
      if (!(Number(datapointsToAlarm) <= Number(evaluationPeriods))) return [`${name} waits for more than it looks at`];
      return Number(period) % 60 === 0 && Number(period) * Number(evaluationPeriods) <= 86_400
        ? []
        : [`${name} has an odd period`];
    }),

  "every policy document follows IAM's grammar": (program) =>
    program.resources.flatMap(({ type, name, inputs }) => {
      const input = DOCUMENTS[type];
      if (input === undefined) return [];
      return documentProblems(
        inputs[input],
        type === "aws:iam/role:Role",
        type === "aws:iam/rolePolicy:RolePolicy",
      ).map((problem) => `${name} ${problem}`);
    }),

  "no task has a public address": (program) => {
    const direct = new Set(
      ofType(program, "aws:ec2/route:Route")
        .filter(({ inputs }) => inputs["gatewayId"] !== undefined)
        .map(({ inputs }) => inputs["routeTableId"]),
    );
    const exposed = new Set(
      ofType(program, "aws:ec2/routeTableAssociation:RouteTableAssociation")
        .filter(({ inputs }) => direct.has(inputs["routeTableId"]))
        .map(({ inputs }) => inputs["subnetId"]),
    );
    return ofType(program, "aws:ecs/service:Service").flatMap(({ name, inputs }) => {
      const network = isRecord(inputs["networkConfiguration"]) ? inputs["networkConfiguration"] : {};
      const subnets = texts(network["subnets"]);
      if (network["assignPublicIp"] !== false) return [`${name} takes a public address`];
      if (subnets.length === 0) return [`${name} names no subnet`];
      return subnets.filter((subnet) => exposed.has(subnet)).map((subnet) => `${name} stands in public ${subnet}`);
    });
  },

  "a task lets nothing in": (program) =>
    ofType(program, "aws:ec2/securityGroup:SecurityGroup")
      .filter(({ name, inputs }) => name.endsWith("-task") && JSON.stringify(inputs["ingress"]) !== "[]")
      .map(({ name }) => `${name} has ingress`),

  "addresses are protected in production": (program) => {
    if (program.stack !== "prod") return [];
    return ofType(program, "aws:ec2/eip:Eip")
      .filter(({ options }) => !options.protect)
      .map(({ name }) => `${name} is not protected`);
  },

  "every alarm reaches exactly one topic": (program) => {
    const topics = new Set(ofType(program, TOPIC).map(({ outputs }) => String(outputs["arn"])));
    const composites = ofType(program, COMPOSITE_ALARM);
    const parts = new Set(composites.flatMap(({ inputs }) => raisingParts(String(inputs["alarmRule"]))));
    const mentioned = composites.map(({ inputs }) => String(inputs["alarmRule"])).join(" ");
    return [...ofType(program, METRIC_ALARM), ...composites].flatMap((alarm) => {
      const name = alarmName(alarm);
      const actions = texts(alarm.inputs["alarmActions"]);
      if (actions.length === 0) {
        // Reached through a composite, or only there to hold one back.
        return mentioned.includes(`"${name}"`) ? [] : [`${name} reaches nobody`];
      }
      if (parts.has(name)) return [`${name} pages by itself and through a composite`];
      if (actions.length > 1) return [`${name} reaches ${actions.length} topics`];
      if (!topics.has(actions[0] ?? "")) return [`${name} goes to ${actions[0]}, which is no topic of this stack`];
      return JSON.stringify(alarm.inputs["okActions"]) === JSON.stringify(actions)
        ? []
        : [`${name} never says that it is over`];
    });
  },

  "every composite names alarms that exist": (program) => {
    const names = new Set([...ofType(program, METRIC_ALARM), ...ofType(program, COMPOSITE_ALARM)].map(alarmName));
    return ofType(program, COMPOSITE_ALARM).flatMap((alarm) =>
      [...String(alarm.inputs["alarmRule"]).matchAll(/\w+\("?([^")]*)"?\)/g)]
        .map((match) => match[1] ?? "")
        .filter((name) => !names.has(name))
        .map((name) => `${alarmName(alarm)} names ${name}, which does not exist`),
    );
  },

  "every alarm has a runbook": (program) => {
    const book = readFileSync(join(REPOSITORY_ROOT, "infra/alarms/RUNBOOKS.md"), "utf8");
    const anchors = new Set([...book.matchAll(/^## (\S+)$/gm)].map((match) => (match[1] ?? "").toLowerCase()));
    return [...ofType(program, METRIC_ALARM), ...ofType(program, COMPOSITE_ALARM)].flatMap((alarm) => {
      const anchor = /RUNBOOKS\.md#([\w-]+)$/.exec(String(alarm.inputs["alarmDescription"]))?.[1];
      return anchor !== undefined && anchors.has(anchor) ? [] : [`${alarmName(alarm)} links ${anchor ?? "no runbook"}`];
    });
  },

  "every alarm's metric is published, by its one dimension": (program) =>
    ofType(program, METRIC_ALARM)
      .filter(({ inputs }) => inputs["namespace"] === METRIC_NAMESPACE)
      .flatMap((alarm) => {
        const metric = Object.entries(METRICS).find(([name]) => name === alarm.inputs["metricName"])?.[1];
        if (metric?.reach !== "published")
          return [`${alarmName(alarm)} watches ${alarm.inputs["metricName"]}, which nothing publishes`];
        const wanted = JSON.stringify({ [METRIC_DIMENSION]: `${program.project}-${program.stack}` });
        const given = JSON.stringify(alarm.inputs["dimensions"]);
        return given === wanted ? [] : [`${alarmName(alarm)} watches ${given} instead of ${wanted}`];
      }),

  "no role may do everything, or to everything": (program) =>
    ofType(program, "aws:iam/rolePolicy:RolePolicy").flatMap(({ name, inputs }) =>
      statements(inputs["policy"]).flatMap(({ actions, resources }) => [
        ...actions.filter((action) => action.includes("*")).map((action) => `${name} allows ${action}`),
        // The one action here that AWS defines no resource for.
        ...(resources.includes("*") ? actions.filter((action) => action !== "ecr:GetAuthorizationToken") : []).map(
          (action) => `${name} allows ${action} on everything`,
        ),
      ]),
    ),

  "a service assumes a role for this account alone": (program) =>
    ofType(program, "aws:iam/role:Role")
      .filter(({ inputs }) =>
        statements(inputs["assumeRolePolicy"]).some(({ condition }) => !condition.includes(program.account)),
      )
      .map(({ name }) => `${name} does not ask for the account`),

  "every log group forgets": (program) =>
    ofType(program, "aws:cloudwatch/logGroup:LogGroup")
      .filter(({ inputs }) => !(Number(inputs["retentionInDays"]) > 0))
      .map(({ name }) => `${name} keeps its log for ever`),

  "every topic lets its publishers in": (program) => {
    const policies = new Map(
      ofType(program, "aws:sns/topicPolicy:TopicPolicy").map(({ inputs }) => [
        String(inputs["arn"]),
        statements(inputs["policy"]),
      ]),
    );
    const budgets = ofType(program, "aws:budgets/budget:Budget").map(({ inputs }) =>
      JSON.stringify(inputs["notifications"]),
    );
    return ofType(program, TOPIC).flatMap(({ name, outputs }) => {
      const arn = String(outputs["arn"]);
      const needed = ["cloudwatch.amazonaws.com"];
      if (budgets.some((budget) => budget.includes(arn))) needed.push("budgets.amazonaws.com");
      return needed
        .filter(
          (service) =>
            !(policies.get(arn) ?? []).some(
              ({ services, actions, condition }) =>
                services.includes(service) && actions.includes("sns:Publish") && condition.includes(program.account),
            ),
        )
        .map((service) => `${name} refuses ${service}`);
    });
  },

  "what a pager does not take is kept, by a queue that the topic may write to": (program) => {
    const queues = new Map(
      ofType(program, "aws:sqs/queuePolicy:QueuePolicy").map(({ inputs }) => [
        String(inputs["queueUrl"]),
        JSON.stringify(inputs["policy"]),
      ]),
    );
    return ofType(program, "aws:sns/topicSubscription:TopicSubscription")
      .filter(({ inputs }) => inputs["protocol"] === "https")
      .flatMap(({ name, inputs }) => {
        const redrive = String(inputs["redrivePolicy"] ?? "");
        const queue = ofType(program, "aws:sqs/queue:Queue").find(({ outputs }) =>
          redrive.includes(`"${String(outputs["arn"])}"`),
        );
        if (queue === undefined) return [`${name} loses what is not taken`];
        return queues.get(String(queue.outputs["url"]))?.includes(String(inputs["topic"]))
          ? []
          : [`${name} cannot write to ${queue.name}`];
      });
  },

  "no topic is encrypted with a key that alarms cannot use": (program) =>
    ofType(program, TOPIC)
      .filter(({ inputs }) => String(inputs["kmsMasterKeyId"] ?? "").includes("alias/aws/"))
      .map(({ name }) => `${name} uses AWS's own key`),
} as const satisfies Record<string, Policy>;
