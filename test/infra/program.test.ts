// The program as a whole: every stack registers, twice and from both directories alike, and keeps its promises.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { secretNames, VARIABLES } from "../../shared/environment.ts";
import { container, ofType, one, precedents } from "./graph.ts";
import { type DeclaredProgram, declaredOnce, declareProgram, PLACEHOLDER_SECRETS, type StackName } from "./program.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];
const declared = new Map<StackName, DeclaredProgram>();

beforeAll(async () => {
  for (const stack of STACKS) declared.set(stack, await declaredOnce({ stack }));
});
afterEach(() => process.chdir(REPOSITORY_ROOT));

function of(stack: StackName): DeclaredProgram {
  const program = declared.get(stack);
  if (program === undefined) throw new Error(`${stack} is not declared`);
  return program;
}

const comparable = (program: DeclaredProgram) =>
  [...program.resources]
    .sort((left, right) => left.urn.localeCompare(right.urn))
    .map(({ urn, inputs, options, secretInputs }) => ({ urn, inputs, options, secretInputs }));

describe.each(STACKS)("stack %s", (stack) => {
  it("gives identical inputs when it runs again", async () => {
    expect(comparable(await declareProgram({ stack }))).toEqual(comparable(of(stack)));
  });

  it("gives identical inputs from infra/, where the CLI runs it, up to the way to the build's files", async () => {
    process.chdir(join(REPOSITORY_ROOT, "infra"));
    const fromInfra = await declareProgram({ stack });
    expect(one(fromInfra, "docker:index/image:Image").inputs["build"]).toMatchObject({
      context: "..",
      dockerfile: "../bot/Dockerfile",
    });
    expect(one(of(stack), "docker:index/image:Image").inputs["build"]).toMatchObject({
      context: ".",
      dockerfile: "bot/Dockerfile",
    });
    const withoutBuild = (program: DeclaredProgram) =>
      comparable(program).map((resource) => ({ ...resource, inputs: { ...resource.inputs, build: undefined } }));
    expect(withoutBuild(fromInfra)).toEqual(withoutBuild(of(stack)));
  });

  it("lets no absolute path of this machine into any input", () => {
    expect(JSON.stringify(of(stack).resources.map(({ inputs }) => inputs))).not.toContain(REPOSITORY_ROOT);
  });

  it("keeps the token in one secret input and nowhere else", () => {
    const program = of(stack);
    for (const secret of Object.values(PLACEHOLDER_SECRETS)) {
      const holders = program.resources.flatMap(({ type, inputs, secretInputs }) =>
        Object.entries(inputs)
          .filter(([, value]) => JSON.stringify(value ?? null).includes(secret))
          .map(([input]) => ({ type, input, isSecret: secretInputs.includes(input) })),
      );
      expect(holders).toHaveLength(1);
      expect(holders[0]?.isSecret).toBe(true);
    }
    expect(JSON.stringify(program.outputs)).not.toContain(PLACEHOLDER_SECRETS.discordToken);
  });

  it("hands every secret variable over by the reference of its version, and no other", () => {
    const { secrets, environment } = container(of(stack));
    const names = secrets.map(({ name }) => name);
    expect(secretNames()).toEqual(expect.arrayContaining(names));
    expect(names).toContain("DISCORD_TOKEN");
    for (const { valueFrom } of secrets) {
      expect(valueFrom).toMatch(/^arn:aws:secretsmanager:us-east-1:\d{12}:secret:[^:]+:::[0-9a-f-]{36}$/);
    }
    for (const { name } of environment) expect(secretNames()).not.toContain(name);
  });

  it("gives the container variables that the bot knows, each well-formed", () => {
    const { environment } = container(of(stack));
    for (const { name, value } of environment) {
      const variable = Object.entries(VARIABLES).find(([known]) => known === name)?.[1];
      expect(variable?.syntax.read(value), name).toMatchObject({ ok: true });
    }
    const values = Object.fromEntries(environment.map(({ name, value }) => [name, value]));
    expect(values).toMatchObject({ STACK: `mooring-${stack}`, ON_FATAL: "park" });
    expect(values["EGRESS_ADDRESSES"]).toBe((of(stack).outputs["publicAddresses"] as readonly string[]).join(","));
  });

  it("starts the service after everything a task needs, and after what pages when it fails", () => {
    const program = of(stack);
    const service = one(program, "aws:ecs/service:Service");
    const needed = precedents(program, service);
    const mustStand = [
      "aws:ec2/route:Route",
      "aws:ec2/routeTableAssociation:RouteTableAssociation",
      "aws:ec2/vpcEndpoint:VpcEndpoint",
      "aws:ec2/eip:Eip",
      stack === "dev" ? "aws:ec2/eipAssociation:EipAssociation" : "aws:ec2/natGateway:NatGateway",
      "aws:iam/rolePolicy:RolePolicy",
      "aws:secretsmanager/secretVersion:SecretVersion",
      "aws:cloudwatch/logGroup:LogGroup",
      "docker:index/image:Image",
      "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders",
      "aws:sns/topicPolicy:TopicPolicy",
      "aws:sns/topicSubscription:TopicSubscription",
      "aws:cloudwatch/metricAlarm:MetricAlarm",
      "aws:cloudwatch/compositeAlarm:CompositeAlarm",
      "aws:cloudwatch/eventTarget:EventTarget",
    ];
    for (const type of mustStand) {
      const all = ofType(program, type);
      expect(all.length, type).toBeGreaterThan(0);
      for (const resource of all) expect(needed, resource.name).toContain(resource.urn);
    }
  });

  it("gives addresses and NAT only once the internet gateway stands", () => {
    const program = of(stack);
    const internet = one(program, "aws:ec2/internetGateway:InternetGateway");
    const dependents = [
      ...ofType(program, "aws:ec2/eip:Eip"),
      ...ofType(program, "aws:ec2/natGateway:NatGateway"),
      ...ofType(program, "aws:ec2/instance:Instance"),
    ];
    expect(dependents.length).toBeGreaterThan(1);
    for (const resource of dependents) expect(precedents(program, resource), resource.name).toContain(internet.urn);
  });

  it("gives nothing a public address by itself: what has one is named", () => {
    const subnets = ofType(of(stack), "aws:ec2/subnet:Subnet");
    expect(subnets.length).toBeGreaterThan(1);
    for (const { name, inputs } of subnets) expect(inputs["mapPublicIpOnLaunch"], name).toBe(false);
  });

  it("lets a NAT gateway that is replaced go first, since an address serves one at a time", () => {
    for (const { options } of ofType(of(stack), "aws:ec2/natGateway:NatGateway")) {
      expect(options.deleteBeforeReplace).toBe(true);
    }
  });

  it("declares the container as the rehearsal and ECS need it", () => {
    expect(container(of(stack))).toMatchObject({
      essential: true,
      readonlyRootFilesystem: true,
      user: "1000:1000",
      stopTimeout: 120,
      linuxParameters: { initProcessEnabled: true },
      healthCheck: {
        command: ["CMD", "node", "bot/healthCheck.ts"],
        startPeriod: 120,
        interval: 10,
        timeout: 5,
        retries: 6,
      },
      logConfiguration: {
        logDriver: "awslogs",
        options: { "awslogs-group": `/mooring/mooring-${stack}/bot`, mode: "non-blocking", "max-buffer-size": "4m" },
      },
    });
    expect(String(container(of(stack))["image"])).toMatch(
      /^\d{12}\.dkr\.ecr\.us-east-1\.amazonaws\.com\/mooring-\w+@sha256:[0-9a-f]{64}$/,
    );
  });

  it("runs two tasks at once only where a ledger tells them apart, and calls a rolled-back deploy a failure", () => {
    const hasLedger = of(stack).resources.some(({ type }) => type === "aws:dynamodb/table:Table");
    expect(hasLedger).toBe(stack !== "dev");
    expect(one(of(stack), "aws:ecs/service:Service").inputs).toMatchObject({
      desiredCount: 1,
      deploymentMinimumHealthyPercent: hasLedger ? 100 : 0,
      deploymentMaximumPercent: hasLedger ? 200 : 100,
      availabilityZoneRebalancing: "DISABLED",
      deploymentCircuitBreaker: { enable: true, rollback: true },
      waitForSteadyState: true,
    });
  });

  it("is made of components whose children are named after them", () => {
    for (const { type, name, parent } of of(stack).resources) {
      if (type === "pulumi:pulumi:Stack") continue;
      expect(name.startsWith(`mooring-${stack}`), name).toBe(true);
      expect(parent, name).toBeDefined();
    }
    const components = of(stack).resources.filter(({ type }) => type.startsWith("mooring:"));
    for (const { type } of components) expect(type).toMatch(/^mooring:[a-z]+:[A-Z]\w+$/);
  });
});

describe("the program's modules", () => {
  const sources = readdirSync(join(REPOSITORY_ROOT, "infra"), { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  // Tools are programs of their own, started by a person.
  const programSources = sources.filter((path) => !path.startsWith("tools"));

  it("are imported without a stack: nothing is created, nothing is read", async () => {
    expect(sources.length).toBeGreaterThan(10);
    for (const path of sources) await import(join(REPOSITORY_ROOT, "infra", path));
    expect(Object.keys(await import("../../infra/index.ts"))).toEqual(["default"]);
  });

  it.each([
    ["the environment", /process\.env/],
    ["the clock", /\bDate\b|performance\.|hrtime/],
    ["chance", /Math\.random|randomBytes|randomUUID|@pulumi\/random/],
    ["another process", /child_process|@pulumi\/command/],
    ["the network", /\bfetch\(|node:https?|node:net|undici/],
    ["resources that only exist later", /\.apply\(/],
    ["transforms and hooks", /transforms?:|transformations|hooks:|registerStackTransform/],
    ["dynamic and foreign components", /pulumi\.dynamic|@pulumi\/awsx/],
    ["the bot or the tests", /from "(\.\.\/)+(bot|test)\//],
  ])("do not use %s", (_, pattern) => {
    for (const path of programSources) {
      expect(readFileSync(join(REPOSITORY_ROOT, "infra", path), "utf8"), path).not.toMatch(pattern);
    }
  });
});

describe("a wrong configuration", () => {
  it("ends the program with every problem, before any resource", async () => {
    const run = declareProgram({ stack: "prod", config: { cpu: "300", spot: "true" }, secrets: { pagerUrl: "" } });
    await expect(run).rejects.toThrow(/3 problem\(s\)[\s\S]*cpu is 300[\s\S]*pageEmails is empty[\s\S]*spot is true/);
  });

  it("is told when the token is missing", async () => {
    await expect(declareProgram({ stack: "dev", secrets: { discordToken: "" } })).rejects.toThrow(
      /discordToken is not set/,
    );
  });

  it("is told when the token is stored in plain", async () => {
    const run = declareProgram({ stack: "dev", config: { discordToken: "plain" }, secrets: { discordToken: "" } });
    await expect(run).rejects.toThrow(/discordToken is stored in plain text; replace it now/);
  });

  it("does not hinder the next run", async () => {
    expect((await declareProgram({ stack: "dev" })).resources.length).toBe(of("dev").resources.length);
  });
});
