// TaskEvents: what ECS reports about the bot's tasks, as EventBridge rules. Each writes the event into a log group, for
// the post-mortem; alarms count how often a rule matched, since an event itself has neither an alarm's shape nor an end.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface TaskEventsArgs {
  /** `<project>-<stack>`, also the cluster's and the service's name. */
  readonly name: string;
  readonly region: string;
  readonly account: pulumi.Input<string>;
  readonly retentionInDays: number;
  readonly keyArn: pulumi.Input<string> | undefined;
}

/**
 * Event patterns by rule name (AWS: Amazon ECS task state change events). They match stop codes and not the wording of
 * reasons, which may change; where a reason's first word is documented, it is matched besides. A task that ECS stops for a
 * deploy (ServiceSchedulerInitiated) or that exits with 0 matches none.
 */
export const TASK_EVENTS = {
  TaskCrashed: {
    "detail-type": ["ECS Task State Change"],
    detail: {
      lastStatus: ["STOPPED"],
      stopCode: ["EssentialContainerExited"],
      // 137 is OutOfMemory's.
      containers: { exitCode: [{ "anything-but": [0, 137] }] },
    },
  },
  OutOfMemory: {
    "detail-type": ["ECS Task State Change"],
    detail: {
      lastStatus: ["STOPPED"],
      $or: [
        { stopCode: ["EssentialContainerExited"], containers: { exitCode: [137] } },
        // "OutOfMemoryError: Container killed due to memory usage", of a container or of the whole task.
        { containers: { reason: [{ prefix: "OutOfMemory" }] } },
        { stoppedReason: [{ prefix: "OutOfMemory" }] },
      ],
    },
  },
  TaskFailedToStart: {
    "detail-type": ["ECS Task State Change"],
    detail: { lastStatus: ["STOPPED"], stopCode: ["TaskFailedToStart"] },
  },
  TaskInterrupted: {
    "detail-type": ["ECS Task State Change"],
    // The notice comes while the task still runs.
    detail: { stopCode: ["TerminationNotice", "SpotInterruption"] },
  },
  DeployFailed: {
    "detail-type": ["ECS Deployment State Change"],
    detail: { eventName: ["SERVICE_DEPLOYMENT_FAILED"] },
  },
} as const;

export type TaskEventName = keyof typeof TASK_EVENTS;

/** The pattern that EventBridge gets: the event's, bound to one service. `Text` may still be unknown. */
export function eventPattern<Text>(event: TaskEventName, clusterArn: Text, serviceArn: Text, service: string) {
  const pattern = TASK_EVENTS[event];
  if (pattern["detail-type"][0] === "ECS Deployment State Change") {
    // A deployment event names its service in `resources` alone.
    return { source: ["aws.ecs"], resources: [serviceArn], ...pattern };
  }
  return {
    source: ["aws.ecs"],
    "detail-type": pattern["detail-type"],
    detail: { clusterArn: [clusterArn], group: [`service:${service}`], ...pattern.detail },
  };
}

export class TaskEvents extends pulumi.ComponentResource {
  readonly logGroupName: pulumi.Output<string>;

  constructor(name: string, args: TaskEventsArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:events:TaskEvents", name, {}, options);
    const child = { parent: this };
    const log = new aws.cloudwatch.LogGroup(
      `${name}-events`,
      {
        name: `/aws/events/${args.name}`,
        retentionInDays: args.retentionInDays,
        ...(args.keyArn === undefined ? {} : { kmsKeyId: args.keyArn }),
      },
      child,
    );
    // By name: the rules stand before the service does, so that its first start is seen.
    const ecs = pulumi.interpolate`arn:aws:ecs:${args.region}:${args.account}`;
    const clusterArn = pulumi.interpolate`${ecs}:cluster/${args.name}`;
    const serviceArn = pulumi.interpolate`${ecs}:service/${args.name}/${args.name}`;
    const events = Object.keys(TASK_EVENTS).filter((event): event is TaskEventName => event in TASK_EVENTS);
    const rules = events.map((event) => {
      const rule = new aws.cloudwatch.EventRule(
        `${name}-${event}`,
        {
          name: `${args.name}-${event}`,
          description: `${event} of ${args.name}`,
          eventPattern: pulumi.jsonStringify(
            eventPattern<pulumi.Input<string>>(event, clusterArn, serviceArn, args.name),
          ),
        },
        child,
      );
      new aws.cloudwatch.EventTarget(`${name}-${event}`, { rule: rule.name, arn: log.arn }, child);
      return rule;
    });
    const writers = { Service: ["events.amazonaws.com", "delivery.logs.amazonaws.com"] };
    new aws.cloudwatch.LogResourcePolicy(
      `${name}-events`,
      {
        policyName: `${args.name}-events`,
        policyDocument: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Principal: writers,
              Action: "logs:CreateLogStream",
              Resource: pulumi.interpolate`${log.arn}:*`,
            },
            {
              Effect: "Allow",
              Principal: writers,
              Action: "logs:PutLogEvents",
              Resource: pulumi.interpolate`${log.arn}:*`,
              Condition: { ArnEquals: { "aws:SourceArn": rules.map((rule) => rule.arn) } },
            },
          ],
        }),
      },
      child,
    );
    this.logGroupName = log.name;
    this.registerOutputs({ logGroupName: this.logGroupName });
  }
}
