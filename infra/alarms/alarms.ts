// Alarms: rules -> CloudWatch alarms that reach a topic, each with its runbook in its text.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Severity } from "../paging.ts";
import { type AlarmRule, type CompositeRule, type Reaction, runbookSection } from "./rule.ts";

export interface AlarmsArgs {
  /** `<project>-<stack>`; alarm names are `<name>-<rule>`, and the topics let only those publish. */
  readonly name: string;
  readonly rules: readonly AlarmRule<pulumi.Input<string>>[];
  readonly composites: readonly CompositeRule[];
  readonly topics: Readonly<Record<Severity, pulumi.Input<string>>>;
  /** URL of RUNBOOKS.md; without one the alarm's text names the file. */
  readonly runbookUrl: string | undefined;
}

export class Alarms extends pulumi.ComponentResource {
  /** Alarm names by rule name. */
  readonly names: Readonly<Record<string, pulumi.Output<string>>>;
  readonly arns: readonly pulumi.Output<string>[];

  constructor(name: string, args: AlarmsArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:alarms:Alarms", name, {}, options);
    const runbooks = args.runbookUrl ?? "infra/alarms/RUNBOOKS.md";
    const text = (rule: AlarmRule<unknown> | CompositeRule): string =>
      `${rule.meaning} First: ${rule.firstAction} Runbook: ${runbooks}#${runbookSection(rule.name).toLowerCase()}`;
    // OK actions too: a pager resolves its incident by them.
    const actions = (reaction: Reaction) =>
      reaction === "part" ? {} : { alarmActions: [args.topics[reaction]], okActions: [args.topics[reaction]] };

    const names: Record<string, pulumi.Output<string>> = {};
    const arns: pulumi.Output<string>[] = [];
    const leaves: pulumi.Resource[] = [];
    for (const rule of args.rules) {
      const { when, source } = rule;
      const alarm = new aws.cloudwatch.MetricAlarm(
        `${name}-${rule.name}`,
        {
          name: `${args.name}-${rule.name}`,
          alarmDescription: text(rule),
          namespace: source.namespace,
          metricName: source.metric,
          dimensions: source.dimensions,
          ...(when.statistic === "p99"
            ? { extendedStatistic: when.statistic, evaluateLowSampleCountPercentiles: "evaluate" }
            : { statistic: when.statistic }),
          comparisonOperator: when.comparison,
          threshold: when.threshold,
          period: when.period,
          evaluationPeriods: when.of,
          datapointsToAlarm: when.breaching,
          treatMissingData: when.missing,
          ...(when.warmUp === undefined
            ? {}
            : {
                warmUpConfiguration: {
                  warmUpPeriodDurationInMinutes: when.warmUp,
                  onlyStartEvaluatingAfterWarmUpPeriodEnds: false,
                },
              }),
          ...actions(rule.reaction),
        },
        { parent: this },
      );
      names[rule.name] = alarm.name;
      arns.push(alarm.arn);
      leaves.push(alarm);
    }
    for (const rule of args.composites) {
      const alarm = new aws.cloudwatch.CompositeAlarm(
        `${name}-${rule.name}`,
        {
          alarmName: `${args.name}-${rule.name}`,
          alarmDescription: text(rule),
          alarmRule: rule.expression.replace(/ALARM\((\w+)\)/g, (_, part: string) => `ALARM("${args.name}-${part}")`),
          ...actions(rule.reaction),
        },
        { parent: this, dependsOn: leaves },
      );
      names[rule.name] = alarm.alarmName;
      arns.push(alarm.arn);
    }
    this.names = names;
    this.arns = arns;
    this.registerOutputs({ names: this.names });
  }
}
