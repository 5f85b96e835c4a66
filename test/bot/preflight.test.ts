// What a start reads from the ledger first: whose it is, and what an earlier process left.

import { describe, expect, it } from "vitest";
import { createMemoryLedger } from "../../bot/ledger/memory.ts";
import { readLedger } from "../../bot/preflight.ts";
import { recordingTelemetry } from "./telemetry/recordingTelemetry.ts";

const NOW = 1_750_000_000_000;

describe("a ledger", () => {
  it("is taken by one of several tasks of an application that start on it together, for all of them", async () => {
    const ledger = { ...createMemoryLedger(), persistent: true };
    const start = () => readLedger(ledger, recordingTelemetry(), NOW, "1100000000000000000");
    expect(await Promise.all([start(), start(), start()])).toHaveLength(3);
  });

  it("is refused to another application, also when both come at once", async () => {
    const ledger = { ...createMemoryLedger(), persistent: true };
    const start = (application: string) => readLedger(ledger, recordingTelemetry(), NOW, application);
    const [first, other] = await Promise.allSettled([start("1100000000000000000"), start("1100000000000000001")]);
    expect(first).toMatchObject({ status: "fulfilled" });
    expect(other).toMatchObject({
      status: "rejected",
      reason: { kind: "damaged", message: expect.stringContaining("belongs to application 1100000000000000000, and") },
    });
  });
});
