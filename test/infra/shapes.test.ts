// The settings that shape the graph: what each adds, takes away or changes in the resources of a stack.

import { describe, expect, it } from "vitest";
import { secretNames } from "../../shared/environment.ts";
import { EXPIRY_ATTRIBUTE, KIND, TABLE_KEYS } from "../../shared/table.ts";
import { container, ofType, one, precedents } from "./graph.ts";
import { type DeclaredProgram, declaredOnce } from "./program.ts";

describe("settings that shape the graph", () => {
  it("takes an image by digest without Docker", async () => {
    const imageDigest = `sha256:${"d".repeat(64)}`;
    const program = await declaredOnce({ stack: "prod", config: { imageSource: "digest", imageDigest } });
    expect(ofType(program, "docker:index/image:Image")).toEqual([]);
    expect(String(container(program)["image"])).toMatch(new RegExp(`/mooring-prod@${imageDigest}$`));
  });

  it.each([
    ["arm64", "linux/arm64", "ARM64"],
    ["x86_64", "linux/amd64", "X86_64"],
  ])("%s drives the image's platform and the task's", async (architecture, platform, cpuArchitecture) => {
    const program = await declaredOnce({ stack: "prod", config: { architecture } });
    const image = one(program, "docker:index/image:Image").inputs;
    expect(image["build"]).toMatchObject({ platform });
    expect(image["imageName"]).toMatch(new RegExp(`-${architecture}$`));
    expect(one(program, "aws:ecs/taskDefinition:TaskDefinition").inputs["runtimePlatform"]).toMatchObject({
      cpuArchitecture,
    });
  });

  it("encrypts topics, logs and secrets with the stack's key, and lets alarms use it", async () => {
    const program = await declaredOnce({ stack: "prod", config: { customerKey: "true" } });
    const key = one(program, "aws:kms/key:Key");
    const arn = key.outputs["arn"];
    for (const topic of ofType(program, "aws:sns/topic:Topic")) expect(topic.inputs["kmsMasterKeyId"]).toBe(arn);
    for (const group of ofType(program, "aws:cloudwatch/logGroup:LogGroup")) expect(group.inputs["kmsKeyId"]).toBe(arn);
    for (const secret of ofType(program, "aws:secretsmanager/secret:Secret"))
      expect(secret.inputs["kmsKeyId"]).toBe(arn);
    expect(String(key.inputs["policy"])).toMatch(/cloudwatch\.amazonaws\.com/);
  });

  it("records flows, watches a budget and shows alarms in Slack when asked", async () => {
    const program = await declaredOnce({
      stack: "prod",
      config: { flowLogs: "true", monthlyBudgetUsd: "80", slackTeamId: "T01234567", slackChannelId: "C01234567" },
    });
    one(program, "aws:ec2/flowLog:FlowLog");
    expect(one(program, "aws:budgets/budget:Budget").inputs["limitAmount"]).toBe("80");
    expect(
      one(program, "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration").inputs["snsTopicArns"],
    ).toHaveLength(2);
  });

  it("tells a Discord channel what reaches a person, by a webhook that stays secret", async () => {
    const discordWebhookUrl = "https://discord.com/api/webhooks/1/placeholder";
    const program = await declaredOnce({ stack: "prod", secrets: { discordWebhookUrl } });
    const destination = one(program, "aws:cloudwatch/eventApiDestination:EventApiDestination");
    expect(destination.secretInputs).toEqual(["invocationEndpoint"]);
    const rule = ofType(program, "aws:cloudwatch/eventRule:EventRule").find(({ name }) => name.endsWith("-discord"));
    expect(String(rule?.inputs["eventPattern"])).toContain('"anything-but":["mooring-prod-EdgeBannedLately"');
    const others = program.resources.filter(({ inputs }) => JSON.stringify(inputs).includes(discordWebhookUrl));
    expect(others).toEqual([destination]);
  });

  it("gives the chat bot its keys by reference and its variables as text, and pages when the keys are spent", async () => {
    const program = await declaredOnce({
      stack: "prod",
      config: { variables: '{"UPSTREAM_MODEL":"a/model","CHAT_CHANNELS":"100000000000000001"}', egressEchoUrl: "" },
      secrets: { upstreamKeys: "placeholder-key", egressProxy: "http://user:placeholder-key@proxy:3128" },
    });
    const { secrets, environment } = container(program);
    expect(secrets.map(({ name }) => name)).toEqual(secretNames());
    expect(environment).toContainEqual({ name: "UPSTREAM_MODEL", value: "a/model" });
    expect(environment.map(({ name }) => name)).not.toContain("EGRESS_ECHO_URL");
    const ruleNames = ({ resources }: DeclaredProgram): string[] =>
      resources
        .filter(({ type }) => type === "aws:cloudwatch/metricAlarm:MetricAlarm")
        .map(({ inputs }) => String(inputs["name"]).replace("mooring-prod-", ""));
    const committed = ruleNames(await declaredOnce({ stack: "prod" }));
    const further = ruleNames(program).filter((rule) => !committed.includes(rule));
    expect(further.sort()).toEqual(["IntentDropped", "UpstreamDown", "UpstreamKeySpent", "UpstreamKeysExhausted"]);
    const holders = program.resources.filter(({ inputs }) => JSON.stringify(inputs).includes("placeholder-key"));
    expect(holders.map(({ secretInputs }) => secretInputs)).toEqual([["secretString"], ["secretString"]]);
  });

  it("watches the queue of undelivered pages where there is a pager, by the way that does not lead through it", async () => {
    const alarmOf = ({ resources }: DeclaredProgram) =>
      resources.find(({ inputs }) => String(inputs["name"]).endsWith("-PagesUndelivered"));
    const committed = await declaredOnce({ stack: "prod" });
    const queue = one(committed, "aws:sqs/queue:Queue");
    expect(alarmOf(committed)?.inputs).toMatchObject({
      dimensions: { QueueName: queue.inputs["name"] },
      alarmActions: [expect.stringMatching(/-notify$/)],
    });
    expect(alarmOf(await declaredOnce({ stack: "dev", secrets: { pagerUrl: "" } }))).toBeUndefined();
  });

  it.each([
    [{ egressProxyPort: "3128" }, { egressProxy: "http://203.0.113.9:3128" }, [443, 3128, 53, 53]],
    [{}, { egressProxy: "https://203.0.113.9" }, [443, 53, 53]],
    [{}, {}, [443, 53, 53]],
  ])("lets the task out to HTTPS, DNS and the proxy's port, with %j", async (config, secrets, ports) => {
    const program = await declaredOnce({ stack: "dev", config, secrets });
    const group = ofType(program, "aws:ec2/securityGroup:SecurityGroup").find(({ name }) => name.endsWith("-task"));
    const egress = group?.inputs["egress"];
    expect(Array.isArray(egress) && egress.map(({ toPort }) => toPort)).toEqual(ports);
  });

  it("keeps the ledger in a table of the stack's own, and lets the task touch its own kinds of items alone", async () => {
    const program = await declaredOnce({
      stack: "prod",
      config: { ledger: "true", rollout: "handoff", tasks: "3" },
    });
    const table = one(program, "aws:dynamodb/table:Table");
    expect(table.inputs).toMatchObject({
      billingMode: "PAY_PER_REQUEST",
      hashKey: TABLE_KEYS.partition,
      rangeKey: TABLE_KEYS.sort,
      ttl: { attributeName: EXPIRY_ATTRIBUTE, enabled: true },
      pointInTimeRecovery: { enabled: true },
      deletionProtectionEnabled: true,
    });
    const values = Object.fromEntries(container(program).environment.map(({ name, value }) => [name, value]));
    expect(values).toMatchObject({ LEDGER: "dynamodb:mooring-prod", TASKS: "3" });
    const service = one(program, "aws:ecs/service:Service");
    expect(service.inputs).toMatchObject({
      desiredCount: 3,
      deploymentMinimumHealthyPercent: 100,
      deploymentMaximumPercent: 200,
    });
    expect(precedents(program, service)).toContain(table.urn);
    const policy = ofType(program, "aws:iam/rolePolicy:RolePolicy").find(({ name }) => name.endsWith("-task"));
    expect(JSON.parse(String(policy?.inputs["policy"]))).toEqual({
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"],
          Resource: table.outputs["arn"],
          Condition: {
            "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": Object.values(KIND) },
            Null: { "dynamodb:LeadingKeys": "false" },
          },
        },
      ],
    });
    expect(precedents(program, service)).toContain(policy?.urn);
  });

  it("uses an address brought along, and allocates none in its place", async () => {
    const program = await declaredOnce({
      stack: "staging",
      config: { egressSlots: '{"green":{"allocationId":"eipalloc-0123456789abcdef0"}}' },
    });
    expect(ofType(program, "aws:ec2/eip:Eip")).toEqual([]);
    expect(one(program, "aws:ec2/natGateway:NatGateway").inputs["allocationId"]).toBe("eipalloc-0123456789abcdef0");
  });
});
