// What the twin refuses, naming resource and property, instead of guessing.

import { describe, expect, it } from "vitest";
import { alarm, base, composite, declared, filter, MINUTE, START, TOPIC_ARN } from "./fixtures.ts";
import { changes, limited, twinOf } from "./harness.ts";
import type { DeclaredResource } from "./twin.ts";

const STACK = { Stack: "test" };

describe("what the twin does not implement", () => {
  const query = {
    id: "m",
    returnData: true,
    metric: { metricName: "RateLimited", namespace: "Mooring", period: 60, stat: "Sum", dimensions: STACK },
  };
  const queried = {
    metricName: undefined,
    namespace: undefined,
    dimensions: undefined,
    statistic: undefined,
    period: undefined,
  };

  it.each<[string, DeclaredResource, string]>([
    [
      "metric math",
      alarm("x", { ...queried, metricQueries: [query, { id: "e", expression: "m * 2", returnData: true }] }),
      "metricQueries",
    ],
    ["anomaly bands", alarm("x", { thresholdMetricId: "e" }), "thresholdMetricId"],
    ["PromQL", alarm("x", { evaluationCriteria: {} }), "evaluationCriteria"],
    ["trimmed means", alarm("x", { statistic: undefined, extendedStatistic: "tm90" }), "extendedStatistic"],
    ["other actions", alarm("x", { alarmActions: ["arn:aws:lambda:eu-central-1:1:function:f"] }), "alarmActions"],
    ["six actions", alarm("x", { okActions: Array.from({ length: 6 }, () => TOPIC_ARN) }), "okActions"],
    ["a period that AWS rejects", alarm("x", { period: 45 }), "period"],
    ["more datapoints than periods", alarm("x", { datapointsToAlarm: 2 }), "datapointsToAlarm"],
    ["a window of more than a day", alarm("x", { period: 300, evaluationPeriods: 289 }), "evaluationPeriods"],
    ["another Region", alarm("x", { region: "us-east-1" }), "region"],
    ["a misspelt treatment", alarm("x", { treatMissingData: "notbreaching" }), "treatMissingData"],
    ["a value that is not resolved", alarm("x", { alarmActions: [undefined] }), "alarmActions"],
    [
      "mute rules",
      declared("aws:cloudwatch/alarmMuteRule:AlarmMuteRule", "x", {}),
      "aws:cloudwatch/alarmMuteRule:AlarmMuteRule",
    ],
    ["a default other than 0", filter("ERROR", { defaultValue: "1" }), "metricTransformation.defaultValue"],
    [
      "a default beside dimensions",
      filter("{ $.a = * }", { defaultValue: "0", dimensions: { A: "$.a" } }),
      "metricTransformation.defaultValue",
    ],
    ["a bare word as value", filter("ERROR", { value: "latency" }), "metricTransformation.value"],
    ["fields of unstructured text", filter("ERROR", { value: "$.latency" }), "metricTransformation.value"],
    ["a pattern that AWS rejects", filter('{ status = "401" }'), "pattern"],
  ])("%s", (_, resource, property) => {
    const refusal = expect.objectContaining({ kind: "cannot-rehearse", resource: resource.name, property });
    expect(() => twinOf([...base(), resource])).toThrow(refusal);
  });

  it("two alarms of one name", () => {
    expect(() => twinOf([...base(), alarm("x"), composite("x", "ALARM(x)")])).toThrow("a second alarm is called x");
  });

  it("but takes a query that is one plain metric", () => {
    const twin = twinOf([...base(), alarm("queried", { ...queried, metricQueries: [query] })]);
    limited(twin, 0, 11);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 queried INSUFFICIENT_DATA>ALARM"]);
  });

  it("an average of a metric whose filter has a default", () => {
    const average = alarm("average", { namespace: "Logs", metricName: "Hits", dimensions: {}, statistic: "Average" });
    expect(() => twinOf([...base(), filter("ERROR", { defaultValue: "0" }), average])).toThrow("average: statistic");
  });
});
