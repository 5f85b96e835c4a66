// From a LEDGER setting to the ledger it names.

import { randomUUID } from "node:crypto";
import type { LedgerLocation } from "../../shared/syntax.ts";
import { createFileLedger } from "./file.ts";
import { createItemLedger } from "./itemLedger.ts";
import type { Ledger } from "./ledger.ts";
import { createMemoryLedger } from "./memory.ts";

/** Touches nothing yet: what is wrong with the place shows at the first call. */
export async function openLedger(location: LedgerLocation): Promise<Ledger> {
  switch (location.kind) {
    case "memory":
      return createMemoryLedger();
    case "file":
      return createFileLedger(location.directory);
    case "dynamodb": {
      // AWS's client takes a tenth of a second to load, and memory that the other ledgers do without.
      const { createDynamoItems } = await import("./dynamodb.ts");
      return createItemLedger(createDynamoItems(location.table), randomUUID());
    }
  }
}
