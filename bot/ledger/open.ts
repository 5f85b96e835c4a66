// From a LEDGER setting to the ledger it names.

import type { LedgerLocation } from "../../shared/syntax.ts";
import { createFileLedger } from "./file.ts";
import type { Ledger } from "./ledger.ts";
import { createMemoryLedger } from "./memory.ts";

/** Touches nothing yet: what is wrong with the place shows at the first call. */
export function openLedger(location: LedgerLocation): Ledger {
  switch (location.kind) {
    case "memory":
      return createMemoryLedger();
    case "file":
      return createFileLedger(location.directory);
  }
}
