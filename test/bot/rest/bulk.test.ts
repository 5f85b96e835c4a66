// Bulk work: never more at once than asked for, every outcome told, and an end when the loop is left.

import { describe, expect, it } from "vitest";
import { bulk } from "../../../bot/rest/bulk.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("bulk", () => {
  it("keeps at most so many under way, and tells each outcome with the progress", async () => {
    let running = 0;
    let most = 0;
    const work = async (item: number): Promise<number> => {
      most = Math.max(most, ++running);
      for (let turns = 0; turns < item % 3; turns++) await turn();
      running -= 1;
      if (item === 5) throw new Error("five");
      return item * 2;
    };
    const outcomes = [];
    for await (const outcome of bulk(Array(10).keys(), work, 3)) outcomes.push(outcome);
    expect(most).toBe(3);
    expect(outcomes.map(({ finished }) => finished).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(outcomes.filter(({ ok }) => !ok).map(({ item }) => item)).toEqual([5]);
    expect(outcomes.find(({ item }) => item === 7)).toMatchObject({ ok: true, result: 14, index: 7 });
  });

  it("starts no more once the loop is left, and aborts what is under way", async () => {
    const signals: AbortSignal[] = [];
    const work = async (item: number, signal: AbortSignal): Promise<void> => {
      signals.push(signal);
      if (item > 0) await new Promise(() => {});
    };
    for await (const { item } of bulk(Array(100).keys(), work, 2)) {
      expect(item).toBe(0);
      break;
    }
    expect(signals).toHaveLength(2);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });
});
