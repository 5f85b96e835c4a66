// The alarms on what AWS publishes: the task, the way out, and ECS's events. No log line can set these off.

import type { Severity } from "../paging.ts";
import type { TaskEventName } from "../taskEvents.ts";
import { type AlarmRule, COUNTER, type Condition } from "./rule.ts";

export interface PlatformRuleArgs<Text> {
  /** `<project>-<stack>`, also the cluster's and the service's name. */
  readonly name: string;
  readonly logGroup: string;
  readonly nats: readonly {
    readonly kind: "gateway" | "instance";
    readonly zone: string;
    readonly id: Text;
  }[];
  /** The name of the queue of undelivered pages; undefined without a pager. */
  readonly undelivered: Text | undefined;
}

/** The alarms on what AWS publishes about the task and its way out; no log line can set these off. */
export function platformRules<Text>(args: PlatformRuleArgs<Text | string>): readonly AlarmRule<Text | string>[] {
  const service = { ClusterName: args.name, ServiceName: args.name };
  const counted = { ...COUNTER, comparison: "GreaterThanOrEqualToThreshold", threshold: 1 } as const;
  return [
    {
      name: "Memory",
      source: { namespace: "AWS/ECS", metric: "MemoryUtilization", dimensions: service },
      when: { ...counted, statistic: "Maximum", threshold: 85 },
      reaction: "page",
      meaning: "The task uses most of its memory; at 100 % it is killed.",
      firstAction: "Raise memory in the stack's configuration, and look for a leak since the last deploy.",
    },
    {
      name: "Processor",
      source: { namespace: "AWS/ECS", metric: "CPUUtilization", dimensions: service },
      // A quarter of a processor is busy while it starts; a quarter of an hour is not a start.
      when: { ...counted, statistic: "Average", threshold: 90, period: 300, breaching: 3, of: 3 },
      reaction: "notify",
      meaning: "The task has used nearly all of its processor for 15 minutes: heartbeats will be late.",
      firstAction: "Raise cpu in the stack's configuration.",
    },
    {
      name: "MetricLinesBroken",
      // AWS counts values that are no numbers apart, as EMFValidationErrors: the bot's recorder lets none through.
      source: { namespace: "AWS/Logs", metric: "EMFParsingErrors", dimensions: { LogGroupName: args.logGroup } },
      when: counted,
      reaction: "notify",
      meaning: "CloudWatch cannot read some of the bot's metric lines: alarms built on them are blind.",
      firstAction: "Roll back to the last good image; the line's own text says what is wrong with it.",
    },
    ...(args.undelivered === undefined
      ? []
      : [
          {
            name: "PagesUndelivered",
            source: {
              namespace: "AWS/SQS",
              metric: "ApproximateNumberOfMessagesVisible",
              dimensions: { QueueName: args.undelivered },
            },
            when: { ...counted, statistic: "Maximum" as const },
            // Not by the way that has just failed.
            reaction: "notify" as const,
            meaning: "The pager did not take a page within the hour that SNS tries.",
            firstAction: "Read the messages in the queue undeliveredPages; then ask why the pager did not take them.",
          },
        ]),
    ...args.nats.flatMap(({ kind, zone, id }): readonly AlarmRule<Text | string>[] => {
      const suffix = `-${zone}`;
      if (kind === "gateway") {
        const dimensions = { NatGatewayId: id };
        return [
          {
            name: `NatPortErrors${suffix}`,
            source: { namespace: "AWS/NATGateway", metric: "ErrorPortAllocation", dimensions },
            when: counted,
            reaction: "page",
            meaning: "The NAT gateway has no port left for another connection to one destination.",
            firstAction: "Look for connections that are opened and not kept: 55,000 to one address are the limit.",
          },
          {
            name: `NatPacketDrops${suffix}`,
            source: { namespace: "AWS/NATGateway", metric: "PacketsDropCount", dimensions },
            // AWS: some drops are normal; a sustained rise points to the gateway itself.
            when: { ...counted, threshold: 100 },
            reaction: "notify",
            meaning: "The NAT gateway drops packets.",
            firstAction: "Look at AWS Health for the zone; switch natZones if it lasts.",
          },
        ];
      }
      const dimensions = { InstanceId: id };
      return [
        {
          name: `NatStatus${suffix}`,
          source: { namespace: "AWS/EC2", metric: "StatusCheckFailed", dimensions },
          when: { ...counted, statistic: "Maximum", missing: "breaching", warmUp: 15 },
          reaction: "page",
          meaning: "The NAT instance is gone or does not answer: nothing gets out.",
          firstAction: "Look at the instance in EC2; pulumi up --replace makes a new one with the same address.",
        },
        {
          name: `NatProcessor${suffix}`,
          source: { namespace: "AWS/EC2", metric: "CPUUtilization", dimensions },
          when: { ...counted, statistic: "Average", threshold: 80, period: 300, breaching: 3, of: 3 },
          reaction: "notify",
          meaning: "The NAT instance's processor is nearly full: traffic will be slow.",
          firstAction: "Choose a larger natInstanceType, or natMode gateway.",
        },
      ];
    }),
  ];
}

/** The alarms on what ECS reports; one event is one fault, so the first one counts. */
export function eventRules(name: string): readonly AlarmRule[] {
  const triggered = (
    alarm: string,
    event: TaskEventName,
    reaction: Severity,
    when: Partial<Condition>,
    meaning: string,
    firstAction: string,
  ): AlarmRule => ({
    name: alarm,
    source: { namespace: "AWS/Events", metric: "TriggeredRules", dimensions: { RuleName: `${name}-${event}` } },
    when: {
      ...COUNTER,
      comparison: "GreaterThanOrEqualToThreshold",
      threshold: 1,
      breaching: 1,
      of: 1,
      ...when,
    },
    reaction,
    meaning,
    firstAction,
  });
  return [
    triggered(
      "TaskCrashed",
      "TaskCrashed",
      "page",
      {},
      "The bot ended by itself with an error; ECS starts it again.",
      "Read the last lines of the stopped task's log stream; exit code 70 is a fault, 78 the configuration.",
    ),
    triggered(
      "CrashLoop",
      "TaskCrashed",
      "page",
      // Each start may spend an IDENTIFY for every shard; three in a quarter of an hour are 288 a day.
      { period: 900, threshold: 3 },
      "The bot crashes again and again; every start may spend IDENTIFYs, and with the last one the token.",
      "Put back the last good image, or scale the service to 0.",
    ),
    triggered(
      "OutOfMemory",
      "OutOfMemory",
      "page",
      {},
      "The task was killed: out of memory, or deaf to SIGTERM.",
      "Raise memory in the stack's configuration, and look for a leak since the last deploy.",
    ),
    triggered(
      "TaskFailedToStart",
      "TaskFailedToStart",
      "page",
      {},
      "ECS cannot start the task: image, secret, log group or network.",
      "Read the stopped task's reason in ECS.",
    ),
    triggered(
      "DeployFailed",
      "DeployFailed",
      "page",
      {},
      "A deploy failed; ECS goes back to the one before, if there is one.",
      "Read the service's events in ECS, then the log of the new task.",
    ),
    triggered(
      "TaskInterrupted",
      "TaskInterrupted",
      "notify",
      {},
      "AWS takes the task's machine back; another task starts.",
      "Nothing; set spot to false if it happens too often.",
    ),
  ];
}
