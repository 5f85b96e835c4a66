// Windows of samples, and the statistics that are made of them.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MetricStore } from "./metricStore.ts";
import { compute, enoughSamples, statisticOf } from "./statistics.ts";

const METRIC = { namespace: "Ns", name: "Count", dimensions: { A: "1", B: "2" } };
const sample = (timestamp: number, value: number, visibleAt = 0, unit?: string) => ({
  timestamp,
  value,
  visibleAt,
  unit,
});

describe("the store", () => {
  it("keeps metrics apart by their exact dimensions, in whatever order they are given", () => {
    const store = new MetricStore();
    store.put(METRIC, sample(0, 1), 60);
    expect(store.values({ ...METRIC, dimensions: { B: "2", A: "1" } }, 0, 60_000, 0, undefined)).toEqual([1]);
    expect(store.values({ ...METRIC, dimensions: { A: "1" } }, 0, 60_000, 0, undefined)).toEqual([]);
  });

  it("cuts stamps to the resolution, so that a 10 s window sees standard metrics at whole minutes only", () => {
    const store = new MetricStore();
    store.put(METRIC, sample(95_000, 1), 60);
    expect(store.values(METRIC, 90_000, 100_000, 1e9, undefined)).toEqual([]);
    expect(store.values(METRIC, 60_000, 70_000, 1e9, undefined)).toEqual([1]);
    store.put(METRIC, sample(95_400, 2), 1);
    expect(store.values(METRIC, 90_000, 100_000, 1e9, undefined)).toEqual([2]);
  });

  it("hides what has not arrived yet, and what has another unit", () => {
    const store = new MetricStore();
    store.put(METRIC, sample(0, 1, 70_000, "Count"), 60);
    expect(store.values(METRIC, 0, 60_000, 60_000, undefined)).toEqual([]);
    expect(store.values(METRIC, 0, 60_000, 70_000, undefined)).toEqual([1]);
    expect(store.values(METRIC, 0, 60_000, 70_000, "Count")).toEqual([1]);
    expect(store.values(METRIC, 0, 60_000, 70_000, "Bytes")).toEqual([]);
  });

  it("sums the same whatever the order of arrival, and after pruning what is older", () => {
    const arrivals = fc.array(fc.record({ minute: fc.nat(9), value: fc.integer({ min: 0, max: 9 }) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(arrivals, fc.nat(9), (list, start) => {
        const store = new MetricStore();
        for (const { minute, value } of list) store.put(METRIC, sample(minute * 60_000 + 7, value), 60);
        store.prune(start * 60_000);
        const expected = list.filter(({ minute }) => minute >= start).reduce((sum, { value }) => sum + value, 0);
        const values = store.values(METRIC, 0, 600_000, 1e9, undefined);
        expect(values.reduce((sum, value) => sum + value, 0)).toBe(expected);
      }),
    );
  });

  it("refuses an endless number of metrics, which somebody would have to pay for", () => {
    const store = new MetricStore();
    const publish = (): void => {
      for (let id = 0; id <= 10_000; id += 1)
        store.put({ ...METRIC, dimensions: { User: String(id) } }, sample(0, 1), 60);
    };
    expect(publish).toThrow("more than 10,000 metrics");
  });
});

describe("statistics", () => {
  it.each([
    ["SampleCount", [3, 1, 2], 3],
    ["Sum", [3, 1, 2], 6],
    ["Average", [3, 1, 2], 2],
    ["Minimum", [3, 1, 2], 1],
    ["Maximum", [3, 1, 2], 3],
    ["p50", [4, 1, 3, 2], 2],
    ["p90", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 9],
    ["p7", Array.from({ length: 100 }, (_, index) => index + 1), 7],
    ["p99.9", [1, 2, 3], 3],
    ["p100", [1, 2, 3], 3],
    ["p50", [-1, 2, 3], undefined],
    ["Sum", [], undefined],
  ])("%s of %j is %s", (text, values, expected) => {
    const statistic = statisticOf(text);
    expect(statistic && compute(statistic, values)).toBe(expected);
  });

  it.each(["tm90", "IQM", "PR(1:2)", "p0", "p101", "sum", "TM(10%:90%)"])("%s is not computed", (text) => {
    expect(statisticOf(text)).toBeUndefined();
  });

  it.each([
    [99, 1000],
    [90, 100],
    [50, 20],
    [10, 100],
  ])("p%d wants %d samples", (percent, samples) => {
    expect(enoughSamples(percent)).toBe(samples);
  });
});
