// The embedded metric format's rules, one flaw at a time.

import { describe, expect, it } from "vitest";
import { extractMetrics } from "./embeddedMetrics.ts";

const AT = 1_750_000_000_000;

interface Parts {
  timestamp?: unknown;
  namespace?: unknown;
  dimensions?: unknown;
  metrics?: unknown;
  root?: Readonly<Record<string, unknown>>;
}

const document = ({
  timestamp = AT,
  namespace = "Ns",
  dimensions = [["Service"]],
  metrics = [{ Name: "Count" }],
  root,
}: Parts = {}) =>
  JSON.stringify({
    _aws: {
      Timestamp: timestamp,
      CloudWatchMetrics: [{ Namespace: namespace, Dimensions: dimensions, Metrics: metrics }],
    },
    Service: "bot",
    Count: 3,
    ...root,
  });

describe("a valid document", () => {
  it("publishes each metric once for each dimension set", () => {
    const line = document({ dimensions: [["Service"], ["Service", "Route"], []], root: { Route: "POST /x" } });
    const extraction = extractMetrics(line, AT);
    expect(extraction).toMatchObject({
      kind: "points",
      points: [
        {
          namespace: "Ns",
          name: "Count",
          dimensions: { Service: "bot" },
          unit: "None",
          resolution: 60,
          timestamp: AT,
          values: [3],
        },
        { dimensions: { Service: "bot", Route: "POST /x" } },
        { dimensions: {} },
      ],
    });
  });

  it.each([
    ["a list of values", { root: { Count: [1, 2, 3] } }, { values: [1, 2, 3] }],
    [
      "a unit and a resolution",
      { metrics: [{ Name: "Count", Unit: "Count", StorageResolution: 1 }] },
      { unit: "Count", resolution: 1 },
    ],
    [
      "a dotted name, taken literally",
      { metrics: [{ Name: "A.a" }], root: { "A.a": 5 } },
      { name: "A.a", values: [5] },
    ],
    ["unknown members", { root: { extra: { deep: true } } }, { values: [3] }],
    ["a stamp 13 days old", { timestamp: AT - 13 * 86_400_000 }, { timestamp: AT - 13 * 86_400_000 }],
  ])("may have %s", (_, parts, expected) => {
    expect(extractMetrics(document(parts), AT)).toMatchObject({ kind: "points", points: [expected] });
  });
});

describe("a flawed document makes no metric at all", () => {
  it.each([
    ["no Namespace", { namespace: null }, "EMFParsingErrors"],
    ["no dimension set", { dimensions: [] }, "EMFParsingErrors"],
    ["metrics that are no list", { metrics: {} }, "EMFParsingErrors"],
    ["a stamp that is text", { timestamp: "now" }, "EMFParsingErrors"],
    ["a stamp with a fraction", { timestamp: 1.5 }, "EMFParsingErrors"],
    ["a metric that is text", { root: { Count: "3" } }, "EMFValidationErrors"],
    [
      "a metric that is nested",
      { metrics: [{ Name: "Deep.Count" }], root: { Deep: { Count: 1 } } },
      "EMFValidationErrors",
    ],
    ["a metric that is missing", { metrics: [{ Name: "Other" }] }, "EMFValidationErrors"],
    ["an empty list of values", { root: { Count: [] } }, "EMFValidationErrors"],
    ["101 values", { root: { Count: Array.from({ length: 101 }, () => 1) } }, "EMFValidationErrors"],
    ["a value beyond 2^360", { root: { Count: 1e200 } }, "EMFValidationErrors"],
    ["a dimension that is a number", { root: { Service: 3 } }, "EMFValidationErrors"],
    ["a dimension that is missing", { dimensions: [["Shard"]] }, "EMFValidationErrors"],
    ["31 dimensions", { dimensions: [Array.from({ length: 31 }, () => "Service")] }, "EMFValidationErrors"],
    ["101 metrics", { metrics: Array.from({ length: 101 }, () => ({ Name: "Count" })) }, "EMFValidationErrors"],
    ["a unit that does not exist", { metrics: [{ Name: "Count", Unit: "Counts" }] }, "EMFValidationErrors"],
    ["a resolution of 30", { metrics: [{ Name: "Count", StorageResolution: 30 }] }, "EMFValidationErrors"],
    ["AWS's own namespace", { namespace: "AWS/ECS" }, "EMFValidationErrors"],
    ["a name of 256 characters", { namespace: "n".repeat(256) }, "EMFValidationErrors"],
  ])("%s", (_, parts, counter) => {
    expect(extractMetrics(document(parts), AT)).toMatchObject({ kind: "invalid", counter });
  });

  it("text before or after the object", () => {
    expect(extractMetrics(`INFO ${document()}`, AT)).toMatchObject({ kind: "invalid", counter: "EMFParsingErrors" });
    expect(extractMetrics(`${document()} done`, AT)).toMatchObject({ kind: "invalid", counter: "EMFParsingErrors" });
  });
});

it.each(["plain text", '{"msg":"plain"}', "[1,2]", "null", ""])("%s is an ordinary line", (line) => {
  expect(extractMetrics(line, AT)).toEqual({ kind: "plain" });
});

it.each([
  ["seconds for milliseconds", AT / 1000, "in seconds"],
  ["15 days old", AT - 15 * 86_400_000, "14 days"],
  ["3 h ahead", AT + 3 * 3_600_000, "2 h ahead"],
])("discards a document stamped %s, without counting an error", (_, timestamp, why) => {
  expect(extractMetrics(document({ timestamp }), AT)).toMatchObject({
    kind: "discarded",
    why: expect.stringContaining(why),
  });
});
