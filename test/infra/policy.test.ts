// Each policy passes the real stacks and catches a program that breaks it.

import { beforeAll, describe, expect, it } from "vitest";
import { POLICIES, type Policy, raisingParts } from "./policy.ts";
import { type DeclaredProgram, declaredOnce, type RecordedResource, type StackName } from "./program.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];
const declared: DeclaredProgram[] = [];
beforeAll(async () => {
  for (const stack of STACKS) declared.push(await declaredOnce({ stack }));
  declared.push(
    await declaredOnce({
      stack: "prod",
      config: {
        natZones: '["a","b"]',
        ledger: "true",
        tasks: "3",
        rollout: "handoff",
        customerKey: "true",
        flowLogs: "true",
        monthlyBudgetUsd: "80",
        slackTeamId: "T01234567",
        slackChannelId: "C01234567",
        egressSlots: '{"green":{},"blue":{}}',
      },
      secrets: { discordWebhookUrl: "https://discord.com/api/webhooks/1/placeholder" },
    }),
  );
});

type Change = (resource: RecordedResource) => Partial<RecordedResource> | undefined;

/** The prod program with some resources changed. */
function broken(change: Change): DeclaredProgram {
  const prod = declared.find(({ stack }) => stack === "prod");
  if (prod === undefined) throw new Error("prod is not declared");
  let changes = 0;
  const resources = prod.resources.map((resource) => {
    const changed = change(resource);
    if (changed !== undefined) changes += 1;
    return { ...resource, ...changed };
  });
  if (changes === 0) throw new Error("nothing was changed");
  return { ...prod, resources };
}

const inputs =
  (type: string, changed: Readonly<Record<string, unknown>>, name = ""): Change =>
  (resource) =>
    resource.type.endsWith(`:${type}`) && resource.name.includes(name)
      ? { inputs: { ...resource.inputs, ...changed } }
      : undefined;

const replaced =
  (type: string, input: string, from: string, to: string, name = ""): Change =>
  (resource) => {
    const text = String(resource.inputs[input]);
    if (!resource.type.endsWith(`:${type}`) || !resource.name.includes(name) || !text.includes(from)) return undefined;
    return { inputs: { ...resource.inputs, [input]: text.replaceAll(from, to) } };
  };

/** One or more programs a policy must catch. */
const BROKEN: Readonly<Record<keyof typeof POLICIES, readonly Change[]>> = {
  "every word is one that AWS takes": [
    inputs("MetricAlarm", { treatMissingData: "notbreaching" }, "Memory"),
    inputs("Service", { availabilityZoneRebalancing: "OFF" }),
  ],
  "every alarm is a condition that CloudWatch takes": [
    inputs("MetricAlarm", { extendedStatistic: "p99" }, "Memory"),
    inputs("MetricAlarm", { statistic: undefined }, "Memory"),
    inputs("MetricAlarm", { datapointsToAlarm: 9 }, "Memory"),
    inputs("MetricAlarm", { period: 90 }, "Memory"),
  ],
  "every policy document follows IAM's grammar": [
    replaced("RolePolicy", "policy", "secretsmanager:GetSecretValue", "GetSecretValue"),
    replaced("RolePolicy", "policy", "Resource", "Ressource"),
    replaced("TopicPolicy", "policy", "Principal", "Principle"),
    replaced("Role", "assumeRolePolicy", "2012-10-17", "2012"),
  ],
  "no task has a public address": [
    inputs("Service", { networkConfiguration: { assignPublicIp: true, subnets: ["subnet-1"] } }),
    inputs("Service", { networkConfiguration: { subnets: ["subnet-1"] } }),
    inputs("Route", { gatewayId: "igw-1", natGatewayId: undefined }, "private"),
  ],
  "a task lets nothing in": [inputs("SecurityGroup", { ingress: [{ protocol: "tcp", fromPort: 80, toPort: 80 }] })],
  "addresses are protected in production": [
    (resource) => (resource.type.endsWith(":Eip") ? { options: { ...resource.options, protect: false } } : undefined),
  ],
  "every alarm reaches exactly one topic": [
    inputs("MetricAlarm", { alarmActions: undefined }, "RateLimitedGlobal"),
    inputs("MetricAlarm", { alarmActions: ["arn:aws:sns:us-east-1:111111111111:gone"] }, "Memory"),
    inputs("MetricAlarm", { okActions: [] }, "EdgeBannedRoutes"),
    inputs("MetricAlarm", { alarmActions: ["arn:aws:sns:us-east-1:111111111111:mooring-prod-page"] }, "ShardsNotReady"),
    inputs("CompositeAlarm", { alarmActions: [] }),
  ],
  "every composite names alarms that exist": [
    replaced("CompositeAlarm", "alarmRule", "DeployRunning", "DeploysRunning"),
  ],
  "every alarm has a runbook": [
    replaced("MetricAlarm", "alarmDescription", "#edgebanned", "#edge-banned"),
    inputs("CompositeAlarm", { alarmDescription: "" }),
  ],
  "every alarm's metric is published, by its one dimension": [
    inputs("MetricAlarm", { metricName: "RateLimitedShared" }, "RateLimitedGlobal"),
    inputs("MetricAlarm", { metricName: "Nothing" }, "RateLimitedGlobal"),
    inputs("MetricAlarm", { dimensions: { Stack: "mooring-dev" } }, "EdgeBanned"),
    inputs("MetricAlarm", { dimensions: { Stack: "mooring-prod", Shard: "0" } }, "EdgeBanned"),
  ],
  "no role may do everything, or to everything": [
    replaced("RolePolicy", "policy", "secretsmanager:GetSecretValue", "secretsmanager:*"),
    replaced("RolePolicy", "policy", "ecr:GetAuthorizationToken", "ecr:BatchGetImage"),
  ],
  "a service assumes a role for this account alone": [
    inputs("Role", {
      assumeRolePolicy:
        '{"Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
    }),
  ],
  "every log group forgets": [inputs("LogGroup", { retentionInDays: undefined })],
  "every topic lets its publishers in": [
    replaced("TopicPolicy", "policy", "cloudwatch.amazonaws.com", "events.amazonaws.com"),
    replaced("TopicPolicy", "policy", "111111111111", "222222222222"),
    inputs("TopicPolicy", { arn: "arn:aws:sns:us-east-1:111111111111:another" }),
  ],
  "what a pager does not take is kept, by a queue that the topic may write to": [
    inputs("TopicSubscription", { redrivePolicy: undefined }, "pager"),
    inputs("TopicSubscription", { redrivePolicy: '{"deadLetterTargetArn":"arn:aws:sqs:gone"}' }, "pager"),
    replaced("QueuePolicy", "policy", "mooring-prod-page", "mooring-prod-notify"),
  ],
  "no topic is encrypted with a key that alarms cannot use": [inputs("Topic", { kmsMasterKeyId: "alias/aws/sns" })],
};

const policies: readonly (readonly [string, Policy, readonly Change[]])[] = Object.entries(POLICIES).map(
  ([name, policy]) => [name, policy, Object.entries(BROKEN).find(([broke]) => broke === name)?.[1] ?? []],
);

describe.each(policies)("%s", (_, policy, changes) => {
  it("holds in every stack", () => {
    for (const program of declared) expect(policy(program), program.stack).toEqual([]);
  });

  it("catches a program that breaks it", () => {
    expect(changes.length).toBeGreaterThan(0);
    changes.forEach((change, place) => {
      expect(policy(broken(change)).length, `broken program ${place + 1}`).toBeGreaterThan(0);
    });
  });
});

describe("raisingParts", () => {
  it.each([
    ['ALARM("a")', ["a"]],
    ['ALARM("a") AND NOT ALARM("b")', ["a"]],
    ['(ALARM("a") OR ALARM("b")) AND NOT (ALARM("c") OR ALARM("d"))', ["a", "b"]],
    ['((ALARM("a") AND NOT (ALARM("b"))) OR (ALARM("c") AND NOT (ALARM("d")))) AND NOT (ALARM("e"))', ["a", "c"]],
  ])("of %s", (expression, parts) => {
    expect(raisingParts(expression)).toEqual(parts);
  });
});
