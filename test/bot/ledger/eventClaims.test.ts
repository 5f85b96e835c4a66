// Events that two sets of shards receive: one of them handles each.

import { describe, expect, it } from "vitest";
import { createEventClaims, eventIdentity } from "../../../bot/ledger/eventClaims.ts";
import type { Values } from "../../../bot/ledger/ledger.ts";
import { LedgerError } from "../../../bot/ledger/ledgerError.ts";
import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import { virtualClock } from "../../virtualClock.ts";

describe("an event", () => {
  it.each([
    ["a message by its number", "MESSAGE_CREATE", { id: "1", nonce: "a" }, { id: "1" }, true],
    ["two messages", "MESSAGE_CREATE", { id: "1" }, { id: "2" }, false],
    [
      "what comes again and again under one number, by its content",
      "MESSAGE_UPDATE",
      { id: "1", t: 1 },
      { id: "1", t: 2 },
      false,
    ],
    ["what has no number, by its content", "TYPING_START", { user_id: "1", t: 1 }, { user_id: "1", t: 1 }, true],
  ])("is the same in two sessions: %s", (_what, type, one, other, same) => {
    expect(eventIdentity(type, one) === eventIdentity(type, other)).toBe(same);
  });

  it("is another one under another name", () => {
    expect(eventIdentity("MESSAGE_CREATE", { id: "1" })).not.toBe(eventIdentity("INTERACTION_CREATE", { id: "1" }));
  });
});

describe("claims", () => {
  const clock = virtualClock();

  it("are won by one set, and hold for that set's next try", async () => {
    const { values } = createMemoryLedger();
    const [old, next] = ["2", "3"].map((set) => createEventClaims({ clock, values, set }));
    expect(await Promise.all([old?.take("a", true), next?.take("a", false)])).toEqual([true, false]);
    expect(await old?.take("a", true)).toBe(true);
    expect(await next?.take("b", false)).toBe(true);
    expect(await old?.take("b", true)).toBe(false);
  });

  it.each([true, false])("without the ledger are asked for again, and then %s as agreed", async (unanswered) => {
    let asked = 0;
    const claim = async (): Promise<boolean> => {
      asked++;
      throw new LedgerError("unreachable", "simulated");
    };
    const values: Values = { ...createMemoryLedger().values, claim };
    const taken = createEventClaims({ clock, values, set: "2" }).take("a", unanswered);
    await clock.advance(61_000);
    expect(await taken).toBe(unanswered);
    expect(asked).toBeGreaterThan(10);
  });
});
