// The ledger that ends with the process.

import { describe, expect, it } from "vitest";
import { openLedger } from "../../../bot/ledger/open.ts";
import { conforms } from "./conformance.ts";

describe("the memory ledger", () => {
  const open = () => openLedger({ kind: "memory" });
  conforms(open);

  it("says that it keeps nothing", () => {
    expect(open().persistent).toBe(false);
  });
});
