// The plan of the shards on an emulated table, as somebody beside the bot reads and writes it.

import { createDynamoItems } from "../../bot/ledger/dynamodb.ts";
import { createItemLedger } from "../../bot/ledger/itemLedger.ts";
import type { ShardPlans } from "../../bot/ledger/ledger.ts";
import type { Tables } from "../bot/ledger/table.ts";

export function plansOnTable(tables: Tables, table: string): ShardPlans {
  Object.assign(process.env, tables.environment);
  return createItemLedger(createDynamoItems(table), "somebody beside").shardPlans;
}
