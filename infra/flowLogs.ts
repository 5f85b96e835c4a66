// FlowLogs: the VPC's connections, recorded in a log group; off by default, since every record is paid for.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface FlowLogsArgs {
  readonly name: string;
  readonly region: string;
  readonly account: pulumi.Input<string>;
  readonly vpcId: pulumi.Input<string>;
  readonly retentionInDays: number;
  readonly keyArn: pulumi.Input<string> | undefined;
}

export class FlowLogs extends pulumi.ComponentResource {
  constructor(name: string, args: FlowLogsArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:network:FlowLogs", name, {}, options);
    const child = { parent: this };
    const log = new aws.cloudwatch.LogGroup(
      `${name}-flows`,
      {
        name: `/mooring/${args.name}/flows`,
        retentionInDays: args.retentionInDays,
        ...(args.keyArn === undefined ? {} : { kmsKeyId: args.keyArn }),
      },
      child,
    );
    const role = new aws.iam.Role(
      `${name}-flows`,
      {
        description: `Writes the flow log of ${args.name}`,
        assumeRolePolicy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Principal: { Service: "vpc-flow-logs.amazonaws.com" },
              Action: "sts:AssumeRole",
              Condition: {
                StringEquals: { "aws:SourceAccount": args.account },
                ArnLike: {
                  "aws:SourceArn": pulumi.interpolate`arn:aws:ec2:${args.region}:${args.account}:vpc-flow-log/*`,
                },
              },
            },
          ],
        }),
      },
      child,
    );
    const policy = new aws.iam.RolePolicy(
      `${name}-flows`,
      {
        role: role.id,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Action: ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
              Resource: pulumi.interpolate`${log.arn}:*`,
            },
          ],
        }),
      },
      child,
    );
    new aws.ec2.FlowLog(
      `${name}-flows`,
      { vpcId: args.vpcId, trafficType: "ALL", logDestination: log.arn, iamRoleArn: role.arn },
      { parent: this, dependsOn: [policy] },
    );
    this.registerOutputs({});
  }
}
