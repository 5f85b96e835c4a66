// Ledger: the DynamoDB table that sessions, leases and budgets outlive their task in, and a task's rights on it.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { EXPIRY_ATTRIBUTE, KIND, TABLE_KEYS } from "../shared/table.ts";

export interface LedgerArgs {
  /** `<project>-<stack>`, also the table's name. */
  readonly name: string;
  readonly production: boolean;
}

export class Ledger extends pulumi.ComponentResource {
  readonly tableName: pulumi.Output<string>;
  readonly tableArn: pulumi.Output<string>;

  constructor(name: string, args: LedgerArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:ledger:Ledger", name, {}, options);
    const table = new aws.dynamodb.Table(
      `${name}-ledger`,
      {
        name: args.name,
        billingMode: "PAY_PER_REQUEST",
        hashKey: TABLE_KEYS.partition,
        rangeKey: TABLE_KEYS.sort,
        attributes: [
          { name: TABLE_KEYS.partition, type: "S" },
          { name: TABLE_KEYS.sort, type: "S" },
        ],
        ttl: { attributeName: EXPIRY_ATTRIBUTE, enabled: true },
        pointInTimeRecovery: { enabled: true },
        deletionProtectionEnabled: args.production,
      },
      { parent: this },
    );
    this.tableName = table.name;
    this.tableArn = table.arn;
    this.registerOutputs({ tableName: this.tableName });
  }
}

/** What the bot's task may do with the table: the four calls that it makes, on the kinds of items that it knows. */
export function ledgerStatement(tableArn: pulumi.Input<string>) {
  return {
    Effect: "Allow",
    Action: ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"],
    Resource: tableArn,
    Condition: {
      // True of no key at all, too; the second condition asks that there is one.
      "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": Object.values(KIND) },
      Null: { "dynamodb:LeadingKeys": "false" },
    },
  };
}
