// The ledger that ends with the process.

import { describe, expect, it } from "vitest";
import { MOST_VALUES } from "../../../bot/ledger/ledger.ts";
import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import { conforms } from "./conformance.ts";

describe("the memory ledger", () => {
  const open = () => createMemoryLedger();
  conforms(open);

  it("keeps as many values as are allowed, those that last longest", async () => {
    const { values } = open();
    await values.write("lasts", "", 0, 1_000_000);
    for (let index = 0; index < MOST_VALUES; index++) await values.write(`${index}`, "", 0, 10 + index);
    expect(await values.read("0", 0)).toBeUndefined();
    expect(await values.read(`${MOST_VALUES - 1}`, 0)).toBe("");
    expect(await values.read("lasts", 0)).toBe("");
  });

  it("says that it keeps nothing", () => {
    expect(open().persistent).toBe(false);
  });
});
