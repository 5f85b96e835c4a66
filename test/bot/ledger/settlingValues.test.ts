// What a process waits for before it ends: every change of the values that is under way, however it ends.

import { expect, it } from "vitest";
import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import { settlingValues } from "../../../bot/ledger/settlingValues.ts";

const isSettled = async (promise: Promise<void>): Promise<boolean> =>
  Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))]);

it("is settled while nothing changes, and once every change has ended, also one that failed", async () => {
  const { values } = createMemoryLedger();
  const written = Promise.withResolvers<void>();
  const removed = Promise.withResolvers<void>();
  const settling = settlingValues({ ...values, write: () => written.promise, remove: () => removed.promise });
  expect(await isSettled(settling.settled())).toBe(true);
  const write = settling.write("a", "1", 0, 1);
  const remove = settling.remove("b");
  const settled = settling.settled();
  expect(await isSettled(settled)).toBe(false);
  written.resolve();
  await write;
  expect(await isSettled(settled)).toBe(false);
  removed.reject(new Error("out of reach"));
  await expect(remove).rejects.toThrow("out of reach");
  expect(await isSettled(settled)).toBe(true);
});
