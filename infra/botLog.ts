// BotLog: the log group that the bot's stdout goes to, kept for a set time, with bot tokens masked.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface BotLogArgs {
  readonly logGroupName: string;
  readonly retentionInDays: number;
  readonly keyArn: pulumi.Input<string> | undefined;
}

/**
 * A bot token as text: three parts of URL-safe base64 with dots between them, the first being the application's id
 * (reference#authentication shows one). CloudWatch takes at most 200 characters of plain regular expression.
 */
export const TOKEN_PATTERN = "[A-Za-z0-9_-]{23,28}[.][A-Za-z0-9_-]{6,7}[.][A-Za-z0-9_-]{27,45}";

export class BotLog extends pulumi.ComponentResource {
  readonly group: aws.cloudwatch.LogGroup;

  constructor(name: string, args: BotLogArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:log:BotLog", name, {}, options);
    this.group = new aws.cloudwatch.LogGroup(
      `${name}-log`,
      {
        name: args.logGroupName,
        retentionInDays: args.retentionInDays,
        ...(args.keyArn === undefined ? {} : { kmsKeyId: args.keyArn }),
      },
      { parent: this },
    );
    // The bot never prints its token; this is for what a handler or a library prints.
    const identifiers = ["DiscordBotToken"];
    new aws.cloudwatch.LogDataProtectionPolicy(
      `${name}-log`,
      {
        logGroupName: this.group.name,
        policyDocument: JSON.stringify({
          Name: "mask-bot-tokens",
          Version: "2021-06-01",
          Configuration: { CustomDataIdentifier: [{ Name: "DiscordBotToken", Regex: TOKEN_PATTERN }] },
          Statement: [
            { Sid: "audit", DataIdentifier: identifiers, Operation: { Audit: { FindingsDestination: {} } } },
            { Sid: "mask", DataIdentifier: identifiers, Operation: { Deidentify: { MaskConfig: {} } } },
          ],
        }),
      },
      { parent: this },
    );
    this.registerOutputs({ logGroupName: this.group.name });
  }
}
