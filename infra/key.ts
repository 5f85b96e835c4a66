// StackKey: a KMS key of the stack's own for topics, logs and secrets, with every AWS service that must use it.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface StackKeyArgs {
  readonly name: string;
  readonly region: string;
  readonly account: pulumi.Input<string>;
  readonly disposable: boolean;
}

export class StackKey extends pulumi.ComponentResource {
  readonly arn: pulumi.Output<string>;

  constructor(name: string, args: StackKeyArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:key:StackKey", name, {}, options);
    const sameAccount = { StringEquals: { "aws:SourceAccount": args.account } };
    const key = new aws.kms.Key(
      `${name}-key`,
      {
        description: `Topics, logs and secrets of ${args.name}`,
        enableKeyRotation: true,
        // KMS waits at least a week before it forgets a key.
        deletionWindowInDays: args.disposable ? 7 : 30,
        policy: pulumi.jsonStringify({
          Version: "2012-10-17",
          Statement: [
            {
              Sid: "Account",
              Effect: "Allow",
              Principal: { AWS: pulumi.interpolate`arn:aws:iam::${args.account}:root` },
              Action: "kms:*",
              // In a key's policy this is the key itself.
              Resource: "*",
            },
            {
              // Without it an alarm's message to an encrypted topic is lost, and no state tells.
              Sid: "Publishers",
              Effect: "Allow",
              Principal: { Service: ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] },
              Action: ["kms:Decrypt", "kms:GenerateDataKey*"],
              Resource: "*",
              Condition: sameAccount,
            },
            {
              Sid: "Logs",
              Effect: "Allow",
              Principal: { Service: `logs.${args.region}.amazonaws.com` },
              Action: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
              Resource: "*",
              Condition: {
                ArnLike: {
                  "kms:EncryptionContext:aws:logs:arn": pulumi.interpolate`arn:aws:logs:${args.region}:${args.account}:log-group:*`,
                },
              },
            },
          ],
        }),
      },
      { parent: this },
    );
    new aws.kms.Alias(`${name}-key`, { name: `alias/${args.name}`, targetKeyId: key.keyId }, { parent: this });
    this.arn = key.arn;
    this.registerOutputs({ arn: this.arn });
  }
}
