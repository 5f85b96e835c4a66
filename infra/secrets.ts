// BotSecrets: each secret variable of the bot in Secrets Manager, handed to the container by reference.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { VariableName } from "../shared/environment.ts";

export interface BotSecretsArgs {
  /** The values, encrypted in state; nothing here looks inside. */
  readonly values: Readonly<Partial<Record<VariableName, pulumi.Output<string>>>>;
  /** Deletes at once on destroy; otherwise AWS keeps a deleted secret for a month. */
  readonly disposable: boolean;
  readonly keyArn: pulumi.Input<string> | undefined;
}

/** A variable whose value ECS reads at the start of a task. */
export interface SecretReference {
  readonly name: string;
  /** `<arn>:::<version id>`: a new value is a new version, so a new task definition, so a new task. */
  readonly valueFrom: pulumi.Output<string>;
}

export class BotSecrets extends pulumi.ComponentResource {
  readonly references: SecretReference[] = [];
  readonly arns: pulumi.Output<string>[] = [];

  constructor(name: string, args: BotSecretsArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:secrets:BotSecrets", name, {}, options);
    for (const [variable, value] of Object.entries(args.values)) {
      const part = `${name}-${variable.toLowerCase().replaceAll("_", "-")}`;
      const secret = new aws.secretsmanager.Secret(
        part,
        {
          description: `${variable} of ${name}`,
          recoveryWindowInDays: args.disposable ? 0 : 30,
          ...(args.keyArn === undefined ? {} : { kmsKeyId: args.keyArn }),
        },
        { parent: this },
      );
      const version = new aws.secretsmanager.SecretVersion(
        part,
        { secretId: secret.id, secretString: value },
        { parent: this },
      );
      this.arns.push(secret.arn);
      this.references.push({ name: variable, valueFrom: pulumi.interpolate`${secret.arn}:::${version.versionId}` });
    }
    this.registerOutputs({ arns: this.arns });
  }
}
