// A ban of the address that outlives the process that met it.

import { describe, expect, it } from "vitest";
import { createMemoryLedger } from "../../bot/ledger/memory.ts";
import type { ToldBan } from "../../bot/ledger/traffic.ts";
import { createKeptBan } from "../../bot/runtime/keptBan.ts";
import { virtualClock } from "../virtualClock.ts";
import { recordingTelemetry } from "./telemetry/recordingTelemetry.ts";

function kept() {
  const clock = virtualClock();
  const { values } = createMemoryLedger();
  const telemetry = recordingTelemetry();
  const process = (address = "203.0.113.7") => createKeptBan({ clock, telemetry, values, address });
  return { clock, values, telemetry, process };
}

const BAN: ToldBan = { sinceMs: 1_000, endsInMs: 600_000, probeInMs: 60_000 };

describe("a kept ban", () => {
  it("is there for the next process, as old as it is by then, and for no other address", async () => {
    const { clock, process } = kept();
    process().note(BAN);
    await clock.advance(20_000);
    expect(await process().recall()).toEqual({ sinceMs: 21_000, endsInMs: 580_000, probeInMs: 40_000 });
    expect(await process("203.0.113.8").recall()).toBeUndefined();
  });

  it.each([
    ["a ban with an end is kept till then", BAN, 599_000, { sinceMs: 600_000, endsInMs: 1_000, probeInMs: 0 }],
    ["and not longer", BAN, 600_001, undefined],
    ["one without an end is kept until it is asked about", { sinceMs: 0, probeInMs: 60_000 }, 60_001, undefined],
  ])("%s", async (_, ban, laterMs, expected) => {
    const { clock, process } = kept();
    process().note(ban);
    await clock.advance(laterMs);
    expect(await process().recall()).toEqual(expected);
  });

  it("is forgotten once it is over, by whoever has met or recalled it", async () => {
    const { clock, process } = kept();
    process().note(BAN);
    await clock.advance(1);
    const second = process();
    await second.recall();
    second.note(undefined);
    await clock.advance(1);
    expect(await process().recall()).toBeUndefined();
  });

  it("is done without where the ledger is out of reach", async () => {
    const { clock, values, telemetry } = kept();
    const broken = {
      ...values,
      read: () => Promise.reject(new Error("cut")),
      write: () => Promise.reject(new Error("cut")),
    };
    const one = createKeptBan({ clock, telemetry, values: broken, address: "203.0.113.7" });
    expect(await one.recall()).toBeUndefined();
    one.note(BAN);
    await clock.advance(1);
    expect(telemetry.named("ledger.unreachable")).toHaveLength(2);
  });
});
