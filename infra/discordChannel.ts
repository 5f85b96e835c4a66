// DiscordChannel: alarms in a Discord channel too, by its webhook. A second channel only: when Discord blocks the bot's
// address or is down itself, nobody should wait for it to say so.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface DiscordChannelArgs {
  /** `<project>-<stack>`. */
  readonly name: string;
  readonly region: string;
  readonly account: pulumi.Input<string>;
  readonly webhookUrl: pulumi.Output<string>;
  /** Rules that tell nobody by themselves. */
  readonly silentRules: readonly string[];
}

export class DiscordChannel extends pulumi.ComponentResource {
  constructor(name: string, args: DiscordChannelArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:paging:DiscordChannel", name, {}, options);
    const child = { parent: this };
    const connection = new aws.cloudwatch.EventConnection(
      `${name}-discord`,
      {
        description: "Discord's webhook carries its own key in its address; EventBridge asks for one in a header",
        authorizationType: "API_KEY",
        authParameters: { apiKey: { key: "X-Unused", value: "unused" } },
      },
      child,
    );
    const destination = new aws.cloudwatch.EventApiDestination(
      `${name}-discord`,
      {
        connectionArn: connection.arn,
        httpMethod: "POST",
        invocationEndpoint: args.webhookUrl,
        // Far below a webhook's own rate limit; EventBridge queues what is more.
        invocationRateLimitPerSecond: 1,
      },
      child,
    );
    const role = new aws.iam.Role(
      `${name}-discord`,
      {
        description: `Posts the alarms of ${args.name} to a Discord channel`,
        assumeRolePolicy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Principal: { Service: "events.amazonaws.com" },
              Action: "sts:AssumeRole",
              Condition: { StringEquals: { "aws:SourceAccount": args.account } },
            },
          ],
        }),
      },
      child,
    );
    const policy = new aws.iam.RolePolicy(
      `${name}-discord`,
      {
        role: role.id,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [{ Effect: "Allow", Action: "events:InvokeApiDestination", Resource: destination.arn }],
        }),
      },
      child,
    );
    const rule = new aws.cloudwatch.EventRule(
      `${name}-discord`,
      {
        description: `Alarms of ${args.name}, for Discord`,
        eventPattern: pulumi.jsonStringify({
          source: ["aws.cloudwatch"],
          "detail-type": ["CloudWatch Alarm State Change"],
          resources: [
            { prefix: pulumi.interpolate`arn:aws:cloudwatch:${args.region}:${args.account}:alarm:${args.name}-` },
          ],
          detail: {
            alarmName: [{ "anything-but": args.silentRules.map((silent) => `${args.name}-${silent}`) }],
            state: { value: ["ALARM", "OK"] },
          },
        }),
      },
      child,
    );
    new aws.cloudwatch.EventTarget(
      `${name}-discord`,
      {
        rule: rule.name,
        arn: destination.arn,
        roleArn: role.arn,
        inputTransformer: {
          // An alarm's reason has quotes in it and would break the message's JSON.
          inputPaths: { alarm: "$.detail.alarmName", state: "$.detail.state.value" },
          inputTemplate: '{"content": "<alarm> is <state>"}',
        },
      },
      { parent: this, dependsOn: [policy] },
    );
    this.registerOutputs({});
  }
}
