// BotService: the Fargate service with one task, its roles, its log group and its container definition.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type PlainVariableName, renderEnvironment } from "../shared/environment.ts";
import type { SecretReference } from "./secrets.ts";
import type { Settings } from "./settings.ts";

export interface BotServiceArgs
  extends Pick<Settings, "name" | "region" | "architecture" | "cpu" | "memory" | "spot" | "rollout" | "tasks"> {
  readonly account: pulumi.Input<string>;
  readonly logGroup: aws.cloudwatch.LogGroup;
  readonly image: pulumi.Input<string>;
  readonly repositoryArn: pulumi.Input<string>;
  readonly environment: Readonly<Partial<Record<PlainVariableName, pulumi.Input<string>>>>;
  readonly secrets: readonly SecretReference[];
  readonly secretArns: readonly pulumi.Input<string>[];
  /** The customer-managed key of the secrets, if there is one. */
  readonly keyArn: pulumi.Input<string> | undefined;
  /** What the bot itself may do in AWS, as statements of a policy. */
  readonly taskRights: readonly object[];
  readonly subnetIds: readonly pulumi.Input<string>[];
  readonly securityGroupId: pulumi.Input<string>;
  /** What must stand before the first task starts, beyond what the definition itself names. */
  readonly after: readonly pulumi.Resource[];
}

/** Seconds between SIGTERM and SIGKILL; Fargate's most, and what a Spot interruption gives. */
export const STOP_TIMEOUT = 120;

// Percent of the tasks that must and may run in a rollout. recreate never has two sessions of one bot.
const ROLLOUT = {
  recreate: { deploymentMinimumHealthyPercent: 0, deploymentMaximumPercent: 100 },
  handoff: { deploymentMinimumHealthyPercent: 100, deploymentMaximumPercent: 200 },
} as const;

export class BotService extends pulumi.ComponentResource {
  readonly clusterName: pulumi.Output<string>;
  readonly serviceName: pulumi.Output<string>;
  readonly taskRoleName: pulumi.Output<string>;

  constructor(name: string, args: BotServiceArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:service:BotService", name, {}, options);
    const child = { parent: this };
    const cluster = new aws.ecs.Cluster(
      `${name}-cluster`,
      // What Container Insights would add is paid by the metric; the alarms do without.
      { name: args.name, settings: [{ name: "containerInsights", value: "disabled" }] },
      child,
    );
    const capacityProvider = args.spot ? "FARGATE_SPOT" : "FARGATE";
    const capacity = new aws.ecs.ClusterCapacityProviders(
      `${name}-capacity`,
      { clusterName: cluster.name, capacityProviders: ["FARGATE", "FARGATE_SPOT"] },
      child,
    );

    const trust = pulumi.jsonStringify({
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Principal: { Service: "ecs-tasks.amazonaws.com" },
          Action: "sts:AssumeRole",
          // Not on behalf of a task in somebody else's account.
          Condition: {
            StringEquals: { "aws:SourceAccount": args.account },
            ArnLike: { "aws:SourceArn": pulumi.interpolate`arn:aws:ecs:${args.region}:${args.account}:*` },
          },
        },
      ],
    });
    const executionRole = new aws.iam.Role(
      `${name}-execution`,
      { description: `Starts the tasks of ${args.name}: image, log, secrets`, assumeRolePolicy: trust },
      child,
    );
    const allow = (actions: readonly string[], resources: unknown) => ({
      Effect: "Allow",
      Action: actions,
      Resource: resources,
    });
    const executionPolicy = new aws.iam.RolePolicy(
      `${name}-execution`,
      {
        role: executionRole.id,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            // AWS knows no resource for this one.
            allow(["ecr:GetAuthorizationToken"], "*"),
            allow(
              ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
              args.repositoryArn,
            ),
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], pulumi.interpolate`${args.logGroup.arn}:*`),
            allow(["secretsmanager:GetSecretValue"], args.secretArns),
            ...(args.keyArn === undefined ? [] : [allow(["kms:Decrypt"], args.keyArn)]),
          ],
        }),
      },
      child,
    );
    const taskRole = new aws.iam.Role(
      `${name}-task`,
      { description: `What the bot of ${args.name} itself may do in AWS`, assumeRolePolicy: trust },
      child,
    );
    const taskPolicies =
      args.taskRights.length === 0
        ? []
        : [
            new aws.iam.RolePolicy(
              `${name}-task`,
              {
                role: taskRole.id,
                policy: pulumi.jsonStringify({ Version: "2012-10-17", Statement: args.taskRights }),
              },
              child,
            ),
          ];

    const container = {
      name: "bot",
      image: args.image,
      essential: true,
      environment: renderEnvironment<pulumi.Input<string>>(args.environment),
      secrets: args.secrets,
      user: "1000:1000",
      readonlyRootFilesystem: true,
      linuxParameters: { initProcessEnabled: true, capabilities: { drop: ["ALL"] } },
      stopTimeout: STOP_TIMEOUT,
      // Ready is not asked for: under handoff a new task is ready only once the old one lets go. Each check is a Node process
      // of 0.13 s of a processor (measured on x86_64), every 10 s: a twentieth of a task of 0.25 vCPU.
      healthCheck: {
        command: ["CMD", "node", "bot/healthCheck.ts"],
        startPeriod: 120,
        interval: 10,
        timeout: 5,
        retries: 6,
      },
      logConfiguration: {
        logDriver: "awslogs",
        options: {
          "awslogs-group": args.logGroup.name,
          "awslogs-region": args.region,
          "awslogs-stream-prefix": "bot",
          // A slow CloudWatch must not stop the bot; what overflows the buffer is lost, and the dead man notices.
          mode: "non-blocking",
          "max-buffer-size": "4m",
        },
      },
    };
    const definition = new aws.ecs.TaskDefinition(
      `${name}-task`,
      {
        family: args.name,
        cpu: String(args.cpu),
        memory: String(args.memory),
        networkMode: "awsvpc",
        requiresCompatibilities: ["FARGATE"],
        runtimePlatform: {
          cpuArchitecture: args.architecture === "arm64" ? "ARM64" : "X86_64",
          operatingSystemFamily: "LINUX",
        },
        executionRoleArn: executionRole.arn,
        taskRoleArn: taskRole.arn,
        containerDefinitions: pulumi.jsonStringify([container]),
      },
      child,
    );
    const service = new aws.ecs.Service(
      `${name}-service`,
      {
        name: args.name,
        cluster: cluster.arn,
        taskDefinition: definition.arn,
        desiredCount: args.tasks,
        capacityProviderStrategies: [{ capacityProvider, weight: 1, base: 1 }],
        // ECS takes a changed capacity provider only with a new deployment.
        forceNewDeployment: true,
        ...ROLLOUT[args.rollout],
        availabilityZoneRebalancing: "DISABLED",
        deploymentCircuitBreaker: { enable: true, rollback: true },
        networkConfiguration: {
          subnets: [...args.subnetIds],
          securityGroups: [args.securityGroupId],
          assignPublicIp: false,
        },
        enableEcsManagedTags: true,
        enableExecuteCommand: false,
        propagateTags: "SERVICE",
        // Without it a deploy that ECS rolled back would look like a success.
        waitForSteadyState: true,
      },
      {
        parent: this,
        dependsOn: [capacity, executionPolicy, ...taskPolicies, args.logGroup, ...args.after],
        // Its name is taken while it exists, and two at once would be two bots.
        deleteBeforeReplace: true,
        customTimeouts: { create: "20m", update: "20m", delete: "20m" },
      },
    );
    this.clusterName = cluster.name;
    this.serviceName = service.name;
    this.taskRoleName = taskRole.name;
    this.registerOutputs({ clusterName: this.clusterName, serviceName: this.serviceName });
  }
}
