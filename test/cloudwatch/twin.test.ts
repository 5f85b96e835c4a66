// The twin as a whole: metric and composite alarms from stdout to notification, the same however time is stepped.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACCOUNT,
  alarm,
  base,
  composite,
  MINUTE,
  metricLine,
  REGION,
  START,
  subscription,
  TOPIC_ARN,
} from "./fixtures.ts";
import { changes, limited, pages, twinOf } from "./harness.ts";
import { createTwin, type Twin } from "./twin.ts";

describe("a metric alarm", () => {
  it("pages when an embedded metric breaches, and clears afterwards", () => {
    const twin = twinOf([...base(), alarm("limited")]);
    limited(twin, 1, 11);
    twin.advance(START + 10 * MINUTE);
    // Three buckets are looked at (N + 2): the spike stays the newest real point until it leaves them.
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "2 limited OK>ALARM", "5 limited ALARM>OK"]);
    expect(twin.notifications[1]).toEqual({
      alarm: "limited",
      state: "ALARM",
      topicArn: TOPIC_ARN,
      at: START + 2 * MINUTE,
      text: "what limited means",
      delivered: true,
      why: "to email",
    });
  });

  it("clears at once when zeros are published", () => {
    const twin = twinOf([...base(), alarm("limited")]);
    for (const [minute, count] of [3, 11, 0, 0, 0].entries()) limited(twin, minute, count);
    twin.advance(START + 5 * MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "2 limited OK>ALARM", "3 limited ALARM>OK"]);
  });

  it("wants M of N datapoints", () => {
    const twin = twinOf([...base(), alarm("limited", { evaluationPeriods: 5, datapointsToAlarm: 3 })]);
    for (const [minute, count] of [0, 11, 0, 11, 0, 11, 0, 0].entries()) limited(twin, minute, count);
    twin.advance(START + 8 * MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "6 limited OK>ALARM", "7 limited ALARM>OK"]);
  });

  it("slides its window minute by minute, whatever the period", () => {
    const twin = twinOf([...base(), alarm("limited", { period: 300, threshold: 20 })]);
    for (let minute = 0; minute < 12; minute += 1) limited(twin, minute, minute === 3 || minute === 6 ? 11 : 0);
    twin.advance(START + 12 * MINUTE);
    // 11 + 11 fall into one window of five minutes that ends at minute 7 or 8, which no clock-aligned bucket holds.
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "7 limited OK>ALARM", "9 limited ALARM>OK"]);
  });

  it("takes the bucket from the document's stamp, and sees it only after the lag", () => {
    const twin = twinOf([...base(), alarm("limited")], 90_000);
    const stamp = START + 30_000;
    twin.receive(metricLine({ RateLimited: 11 }, stamp), START + 31_000);
    twin.advance(START + 3 * MINUTE);
    expect(twin.transitions.at(-1)).toMatchObject({ to: "ALARM", at: START + 3 * MINUTE });
    twin.advance(START + 4 * MINUTE);
    expect(twin.transitions.at(-1)).toMatchObject({ to: "OK", at: START + 4 * MINUTE });
  });

  it("evaluates every 10 s below one-minute periods", () => {
    const dead = alarm("dead", {
      period: 10,
      statistic: "SampleCount",
      comparisonOperator: "LessThanThreshold",
      threshold: 1,
    });
    const twin = twinOf([...base(), dead]);
    twin.advance(START + 30_000);
    expect(twin.transitions.map(({ to, at }) => [to, at])).toEqual([["OK", START + 10_000]]);
  });

  it("pages on first deploy when missing data is breaching, as CloudWatch does", () => {
    const twin = twinOf([...base(), alarm("dead", { treatMissingData: "breaching" })]);
    twin.advance(START + MINUTE);
    expect(pages(twin)).toEqual(["1 dead ALARM true"]);
  });

  it("neither moves nor pages during its warm-up", () => {
    const warmUpConfiguration = { warmUpPeriodDurationInMinutes: 5, onlyStartEvaluatingAfterWarmUpPeriodEnds: true };
    const twin = twinOf([...base(), alarm("dead", { treatMissingData: "breaching", warmUpConfiguration })]);
    limited(twin, 0, 11);
    twin.advance(START + 4 * MINUTE);
    expect(twin.transitions).toEqual([]);
    expect(twin.explain("dead")).toContain("warms up for another 1 min");
    twin.advance(START + 5 * MINUTE);
    expect(pages(twin)).toEqual(["5 dead ALARM true"]);
  });

  it("ends its warm-up early once its window is full of data, unless told not to", () => {
    const warmUpConfiguration = { warmUpPeriodDurationInMinutes: 10 };
    const twin = twinOf([...base(), alarm("limited", { evaluationPeriods: 2, warmUpConfiguration })]);
    limited(twin, 0, 11);
    limited(twin, 1, 11);
    twin.advance(START + 3 * MINUTE);
    expect(changes(twin)).toEqual(["2 limited INSUFFICIENT_DATA>ALARM"]);
  });

  it("holds its state on percentiles of too few samples, if told to", () => {
    const percentile = { statistic: undefined, extendedStatistic: "p50", threshold: 100 };
    const held = alarm("held", { ...percentile, evaluateLowSampleCountPercentiles: "ignore" });
    const judged = alarm("judged", percentile);
    const samples = (count: number): string =>
      metricLine({ RateLimited: Array.from({ length: count }, () => 500) }, START);
    const few = twinOf([...base(), held, judged]);
    few.receive(samples(19), START);
    few.advance(START + MINUTE);
    expect(changes(few)).toEqual(["1 judged INSUFFICIENT_DATA>ALARM"]);
    expect(few.explain("held")).toContain("too few samples for p50");
    const enough = twinOf([...base(), held]);
    enough.receive(samples(20), START);
    enough.advance(START + MINUTE);
    expect(changes(enough)).toEqual(["1 held INSUFFICIENT_DATA>ALARM"]);
  });

  it("has no actions when they are disabled", () => {
    const twin = twinOf([...base(), alarm("limited", { actionsEnabled: false })]);
    limited(twin, 0, 11);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>ALARM"]);
    expect(twin.notifications).toEqual([]);
    expect(twin.explain("limited")).toContain("actions are disabled");
  });

  it.each([
    ["GreaterThanThreshold", [9, 10, 11], [false, false, true]],
    ["GreaterThanOrEqualToThreshold", [9, 10, 11], [false, true, true]],
    ["LessThanThreshold", [9, 10, 11], [true, false, false]],
    ["LessThanOrEqualToThreshold", [9, 10, 11], [true, true, false]],
  ])("compares by %s", (comparisonOperator, counts, breaching) => {
    const alarmed = counts.map((count) => {
      const twin = twinOf([...base(), alarm("limited", { comparisonOperator })]);
      limited(twin, 0, count);
      twin.advance(START + MINUTE);
      return twin.alarms()[0]?.state === "ALARM";
    });
    expect(alarmed).toEqual(breaching);
  });

  it("sees datapoints stamped hours back only hours later, and long windows only on the hour", () => {
    const hour = 60 * MINUTE;
    const hours = (twin: Twin): string[] =>
      twin.transitions.filter(({ to }) => to === "ALARM").map(({ at }) => String(Math.floor((at - START) / hour)));
    const today = twinOf([...base(), alarm("limited", { period: 6 * 3600 })]);
    today.receive(metricLine({ RateLimited: 11 }, START - 4 * hour), START);
    today.advance(START + 4 * hour);
    expect(hours(today)).toEqual(["2"]);
    const days = twinOf([...base(), alarm("limited", { period: 86_400, evaluationPeriods: 3, datapointsToAlarm: 1 })]);
    days.receive(metricLine({ RateLimited: 11 }, START - 25 * hour), START);
    days.advance(START + 60 * hour);
    expect(hours(days)).toEqual(["48"]);
    expect(days.transitions.every(({ at }) => at % hour === 0)).toBe(true);
  });

  it("watches AWS's own metrics too", () => {
    const idle = {
      namespace: "AWS/ECS",
      metricName: "CPUUtilization",
      dimensions: { ServiceName: "bot" },
      statistic: "Average",
    };
    const twin = twinOf([...base(), alarm("busy", { ...idle, threshold: 80 })]);
    twin.putMetric("AWS/ECS", "CPUUtilization", { ServiceName: "bot" }, 95, START + 1000);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 busy INSUFFICIENT_DATA>ALARM"]);
  });
});

describe("composite alarms", () => {
  const child = (name: string, metricName: string) => alarm(name, { metricName, alarmActions: [], okActions: [] });
  const publish = (twin: Twin, minute: number, metrics: Readonly<Record<string, number>>): void => {
    const at = START + minute * MINUTE + 1000;
    twin.receive(metricLine(metrics, at), at);
  };

  it("follow their children in the same minute, through several layers in any order of declaration", () => {
    const layers = [
      composite("outer", "ALARM(inner)"),
      composite("inner", "ALARM(a) AND NOT ALARM(b)"),
      child("a", "A"),
      child("b", "B"),
    ];
    const twin = twinOf([...base(), ...layers]);
    publish(twin, 0, { A: 0, B: 0 });
    publish(twin, 1, { A: 11, B: 0 });
    publish(twin, 2, { A: 11, B: 11 });
    twin.advance(START + 3 * MINUTE);
    expect(pages(twin)).toEqual([
      "1 inner OK true",
      "1 outer OK true",
      "2 inner ALARM true",
      "2 outer ALARM true",
      "3 inner OK true",
      "3 outer OK true",
    ]);
  });

  it("hold their actions back while a suppressor is in ALARM", () => {
    const actionsSuppressor = { alarm: "deploying", waitPeriod: 90, extensionPeriod: 30 };
    const parts = [
      child("a", "A"),
      child("deploying", "Deploying"),
      composite("page", "ALARM(a)", { actionsSuppressor }),
    ];
    const twin = twinOf([...base(), ...parts]);
    const deploys = [0, 0, 0, 0, 11, 11, 0, 0];
    const failures = [0, 0, 0, 11, 11, 11, 11, 11];
    for (const [minute, count] of failures.entries())
      publish(twin, minute, { A: count, Deploying: deploys[minute] ?? 0 });
    twin.advance(START + 4.5 * MINUTE);
    expect(twin.explain("page")).toContain("wait for deploying");
    twin.advance(START + 6 * MINUTE);
    expect(twin.explain("page")).toContain("suppressed: deploying is in ALARM");
    twin.advance(START + 9 * MINUTE);
    // OK waits 1.5 min; ALARM at 4 is suppressed at 5; deploying clears at 7, and half a minute later the page goes out.
    expect(pages(twin)).toEqual(["2.5 page OK true", "7.5 page ALARM true"]);
  });

  it("wait for every child's first evaluation", () => {
    const quick = alarm("quick", { period: 10, metricName: "Quick", alarmActions: [], okActions: [] });
    const twin = twinOf([...base(), quick, child("a", "A"), composite("page", "ALARM(a) OR ALARM(quick)")]);
    twin.advance(START + 2 * MINUTE);
    expect(pages(twin)).toEqual(["1 page OK true"]);
  });

  it.each([
    ["a child that is not declared", [composite("page", "ALARM(nobody)")], "nobody"],
    ["a cycle", [composite("one", "ALARM(two)"), composite("two", "ALARM(one)")], "depends on itself"],
    ["a rule that AWS would reject", [composite("page", "ALARM(a")], "alarmRule"],
  ])("refuse %s", (_, resources, why) => {
    expect(() => twinOf([...base(), ...resources])).toThrow(why);
  });
});

describe("time", () => {
  it("may be stepped in any way: the outcome is the same", () => {
    const suppressed = { actionsSuppressor: { alarm: "deploying", waitPeriod: 25, extensionPeriod: 70 } };
    const resources = [
      ...base(),
      subscription("https"),
      alarm("limited", { evaluationPeriods: 3, datapointsToAlarm: 2 }),
      alarm("quick", { period: 10, metricName: "Quick", threshold: 4 }),
      alarm("sliding", { period: 180, threshold: 25, treatMissingData: "missing" }),
      alarm("deploying", { metricName: "Deploying", threshold: 0, treatMissingData: "ignore" }),
      composite("page", "ALARM(limited) OR ALARM(sliding)", suppressed),
    ];
    const arrivals = fc.array(
      fc.record({
        after: fc.integer({ min: 0, max: 50_000 }),
        metric: fc.constantFrom("RateLimited", "Quick", "Deploying"),
        value: fc.integer({ min: 0, max: 20 }),
        stampedBack: fc.integer({ min: 0, max: 90_000 }),
      }),
      { maxLength: 30 },
    );
    const outcome = (twin: Twin) => ({ transitions: twin.transitions, notifications: twin.notifications });
    const steps = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(arrivals, steps, fc.constantFrom(0, 5000, 70_000), (lines, sizes, lag) => {
        const stepped = twinOf(resources, lag);
        const leaping = twinOf(resources, lag);
        let at = START;
        let advanced = START;
        for (const [index, { after, metric, value, stampedBack }] of lines.entries()) {
          at += after;
          const line = metricLine({ [metric]: value }, at - stampedBack);
          // Steps never pass the next arrival: a clock does not run ahead of what it stamps.
          for (let size = sizes[index % sizes.length] ?? 1; advanced + size < at; advanced += size)
            stepped.advance(advanced + size);
          stepped.receive(line, at);
          leaping.receive(line, at);
        }
        const end = at + 20 * MINUTE;
        for (const [index] of Array.from({ length: 200 }).entries()) {
          advanced = Math.min(end, advanced + (sizes[index % sizes.length] ?? 1));
          stepped.advance(advanced);
        }
        stepped.advance(end);
        leaping.advance(end);
        expect(outcome(stepped)).toEqual(outcome(leaping));
      }),
      { numRuns: 60 },
    );
  });

  it("begins with the first line or step when no creation time is given", () => {
    const twin = createTwin({ resources: [...base(), alarm("limited")], region: REGION, account: ACCOUNT });
    twin.advance(START + 30_000);
    expect(twin.alarms()).toEqual([
      expect.objectContaining({
        name: "limited",
        resource: "limited",
        state: "INSUFFICIENT_DATA",
        since: START + 30_000,
      }),
    ]);
    twin.advance(START + MINUTE);
    expect(twin.alarms()[0]).toMatchObject({ state: "OK", since: START + MINUTE });
  });
});
