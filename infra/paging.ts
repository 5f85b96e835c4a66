// Paging: two SNS topics, who may publish to them, whom they reach, and the month's budget.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Settings } from "./settings.ts";

export interface PagingArgs
  extends Pick<
    Settings,
    "name" | "region" | "pageEmails" | "notifyEmails" | "slackTeamId" | "slackChannelId" | "monthlyBudgetUsd"
  > {
  readonly account: pulumi.Input<string>;
  /** An HTTPS endpoint that understands SNS and confirms by itself, as PagerDuty's does. */
  readonly pagerUrl: pulumi.Output<string> | undefined;
  readonly keyArn: pulumi.Input<string> | undefined;
}

/** page wakes somebody; notify is read in working hours. */
export const SEVERITIES = ["page", "notify"] as const;
export type Severity = (typeof SEVERITIES)[number];

// SQS's most: a pager that was down is looked into within two weeks.
const UNDELIVERED_SECONDS = 14 * 86_400;

export class Paging extends pulumi.ComponentResource {
  /** Where pages wait that the pager did not take within the hour that SNS tries, if there is a pager. */
  readonly undelivered: { readonly name: pulumi.Output<string>; readonly url: pulumi.Output<string> } | undefined;
  readonly topics: Readonly<Record<Severity, pulumi.Output<string>>>;

  constructor(name: string, args: PagingArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:paging:Paging", name, {}, options);
    const child = { parent: this };
    const publisher = (
      sid: string,
      service: string,
      resource: pulumi.Output<string>,
      source: pulumi.Output<string>,
    ) => ({
      Sid: sid,
      Effect: "Allow",
      Principal: { Service: service },
      Action: "sns:Publish",
      Resource: resource,
      Condition: { StringEquals: { "aws:SourceAccount": args.account }, ArnLike: { "aws:SourceArn": source } },
    });
    const alarms = pulumi.interpolate`arn:aws:cloudwatch:${args.region}:${args.account}:alarm:${args.name}-*`;
    const budgets = pulumi.interpolate`arn:aws:budgets::${args.account}:*`;
    const topic = (severity: Severity): aws.sns.Topic => {
      const made = new aws.sns.Topic(
        `${name}-${severity}`,
        {
          name: `${args.name}-${severity}`,
          displayName: `${args.name} ${severity}`,
          ...(args.keyArn === undefined ? {} : { kmsMasterKeyId: args.keyArn }),
        },
        child,
      );
      // A policy of one's own replaces the default one, so it must name every publisher, alarms included.
      const statements = [publisher("Alarms", "cloudwatch.amazonaws.com", made.arn, alarms)];
      if (severity === "notify") statements.push(publisher("Budgets", "budgets.amazonaws.com", made.arn, budgets));
      new aws.sns.TopicPolicy(
        `${name}-${severity}`,
        { arn: made.arn, policy: pulumi.jsonStringify({ Version: "2012-10-17", Statement: statements }) },
        child,
      );
      return made;
    };
    const page = topic("page");
    const notify = topic("notify");
    this.topics = { page: page.arn, notify: notify.arn };

    const email = (severity: Severity, arn: pulumi.Output<string>, address: string): void => {
      new aws.sns.TopicSubscription(
        `${name}-${severity}-${address}`,
        { topic: arn, protocol: "email", endpoint: address },
        child,
      );
    };
    for (const address of args.pageEmails) email("page", page.arn, address);
    for (const address of args.notifyEmails) email("notify", notify.arn, address);
    if (args.pagerUrl !== undefined) {
      const undelivered = new aws.sqs.Queue(
        `${name}-undelivered`,
        {
          name: `${args.name}-undelivered-pages`,
          messageRetentionSeconds: UNDELIVERED_SECONDS,
          sqsManagedSseEnabled: true,
        },
        child,
      );
      const policy = new aws.sqs.QueuePolicy(
        `${name}-undelivered`,
        {
          queueUrl: undelivered.url,
          policy: pulumi.jsonStringify({
            Version: "2012-10-17",
            Statement: [
              {
                Effect: "Allow",
                Principal: { Service: "sns.amazonaws.com" },
                Action: "sqs:SendMessage",
                Resource: undelivered.arn,
                Condition: {
                  StringEquals: { "aws:SourceAccount": args.account },
                  ArnEquals: { "aws:SourceArn": page.arn },
                },
              },
            ],
          }),
        },
        child,
      );
      this.undelivered = { name: undelivered.name, url: undelivered.url };
      new aws.sns.TopicSubscription(
        `${name}-page-pager`,
        // The SNS envelope is what such a service parses, so raw delivery stays off.
        {
          topic: page.arn,
          protocol: "https",
          endpoint: args.pagerUrl,
          endpointAutoConfirms: true,
          rawMessageDelivery: false,
          redrivePolicy: pulumi.jsonStringify({ deadLetterTargetArn: undelivered.arn }),
        },
        { parent: this, dependsOn: [policy] },
      );
    }
    if (args.slackTeamId !== undefined && args.slackChannelId !== undefined) {
      const role = new aws.iam.Role(
        `${name}-slack`,
        {
          description: "Amazon Q Developer in chat applications: shows alarms in Slack, may do nothing",
          assumeRolePolicy: pulumi.jsonStringify({
            Version: "2012-10-17",
            Statement: [
              {
                Effect: "Allow",
                Principal: { Service: "chatbot.amazonaws.com" },
                Action: "sts:AssumeRole",
                Condition: { StringEquals: { "aws:SourceAccount": args.account } },
              },
            ],
          }),
        },
        child,
      );
      new aws.chatbot.SlackChannelConfiguration(
        `${name}-slack`,
        {
          // The service has no endpoint in most regions; from this one it reads topics of all (AWS: Amazon Q Developer in
          // chat applications endpoints and quotas).
          region: "us-east-2",
          configurationName: args.name,
          slackTeamId: args.slackTeamId,
          slackChannelId: args.slackChannelId,
          iamRoleArn: role.arn,
          snsTopicArns: [page.arn, notify.arn],
          // The channel's ceiling, whatever the role had: nobody runs commands from a page.
          guardrailPolicyArns: ["arn:aws:iam::aws:policy/AWSDenyAll"],
        },
        child,
      );
    }
    if (args.monthlyBudgetUsd > 0) {
      // The whole account: filtering by tag works only once somebody activates cost allocation tags by hand.
      new aws.budgets.Budget(
        `${name}-budget`,
        {
          name: args.name,
          budgetType: "COST",
          limitAmount: String(args.monthlyBudgetUsd),
          limitUnit: "USD",
          timeUnit: "MONTHLY",
          notifications: [
            {
              comparisonOperator: "GREATER_THAN",
              notificationType: "FORECASTED",
              threshold: 100,
              thresholdType: "PERCENTAGE",
              subscriberSnsTopicArns: [notify.arn],
            },
          ],
        },
        child,
      );
    }
    this.registerOutputs({ topics: this.topics });
  }
}
