// EventBridge patterns for ECS events, and what their targets say.

import { describe, expect, it } from "vitest";
import { eventRules } from "./events.ts";
import { ACCOUNT, declared, REGION, TOPIC_ARN } from "./fixtures.ts";

const rule = (pattern: unknown, inputs: Readonly<Record<string, unknown>> = {}) =>
  declared("aws:cloudwatch/eventRule:EventRule", "stopped", {
    name: "stopped",
    eventPattern: JSON.stringify(pattern),
    ...inputs,
  });
const target = (inputs: Readonly<Record<string, unknown>> = {}) =>
  declared("aws:cloudwatch/eventTarget:EventTarget", "page", { rule: "stopped", arn: TOPIC_ARN, ...inputs });
const read = (...resources: ReturnType<typeof declared>[]) => eventRules(resources, REGION, ACCOUNT)[0];

const STOPPED = {
  source: "aws.ecs",
  "detail-type": "ECS Task State Change",
  resources: ["arn:aws:ecs:eu-central-1:123456789012:task/x"],
  detail: {
    lastStatus: "STOPPED",
    stopCode: "EssentialContainerExited",
    group: "service:bot",
    containers: [
      { name: "bot", exitCode: 77 },
      { name: "sidecar", exitCode: 0 },
    ],
  },
};
const STOP_CODES = ["EssentialContainerExited", "TaskFailedToStart", "TerminationNotice", "SpotInterruption"];

describe("a pattern", () => {
  it.each([
    [
      "the documented task pattern",
      { source: ["aws.ecs"], detail: { lastStatus: ["STOPPED"], stopCode: STOP_CODES } },
      true,
    ],
    ["another stop code", { detail: { stopCode: ["ServiceSchedulerInitiated"] } }, false],
    ["a field that is missing", { detail: { desiredStatus: ["STOPPED"] } }, false],
    ["exists", { detail: { stopCode: [{ exists: true }], desiredStatus: [{ exists: false }] } }, true],
    ["a prefix", { detail: { group: [{ prefix: "service:" }] } }, true],
    ["a suffix", { detail: { group: [{ suffix: ":bot" }] } }, true],
    ["other letters' case", { detail: { lastStatus: [{ "equals-ignore-case": "stopped" }] } }, true],
    ["any element of an array of objects", { detail: { containers: { exitCode: [77] } } }, true],
    ["anything but", { detail: { containers: { exitCode: [{ "anything-but": [0] }] } } }, true],
    ["a numeric range", { detail: { containers: { exitCode: [{ numeric: [">", 70, "<=", 77] }] } } }, true],
    ["a numeric range missed", { detail: { containers: { exitCode: [{ numeric: [">", 77] }] } } }, false],
    [
      "one of two patterns",
      { detail: { lastStatus: ["STOPPED"], $or: [{ stopCode: ["x"] }, { containers: { exitCode: [77] } }] } },
      true,
    ],
    ["none of two patterns", { detail: { $or: [{ stopCode: ["x"] }, { containers: { exitCode: [1] } }] } }, false],
    [
      "one of two patterns, but not what stands beside",
      { detail: { lastStatus: ["x"], $or: [{ group: ["y"] }, { containers: { exitCode: [77] } }] } },
      false,
    ],
    ["an element of a top-level list", { resources: ["arn:aws:ecs:eu-central-1:123456789012:task/x"] }, true],
  ])("with %s", (_, pattern, expected) => {
    expect(read(rule(pattern))?.matches(STOPPED)).toBe(expected);
  });

  it("of a disabled rule matches nothing", () => {
    expect(read(rule({ source: ["aws.ecs"] }, { state: "DISABLED" }))?.matches(STOPPED)).toBe(false);
  });

  it.each([
    [{ $or: [] }, "$or"],
    [{ $or: [{ source: [{ wildcard: "aws.*" }] }, {}] }, "wildcard"],
    [{ source: "aws.ecs" }, "list of values"],
    [{ source: [{ wildcard: "aws.*" }] }, "wildcard"],
    [{ source: [{ "anything-but": { prefix: "a" } }] }, "anything-but"],
  ])("%j is refused", (pattern, why) => {
    expect(() => read(rule(pattern))).toThrow(why);
  });
});

describe("a target", () => {
  it.each([
    ["the whole event", {}, JSON.stringify(STOPPED)],
    ["a constant", { input: '"stopped"' }, '"stopped"'],
    [
      "a filled template",
      {
        inputTransformer: {
          inputPaths: { code: "$.detail.stopCode", exit: "$.detail.containers[0].exitCode" },
          inputTemplate: '"<code>: <exit>"',
        },
      },
      '"EssentialContainerExited: 77"',
    ],
  ])("sends %s", (_, inputs, text) => {
    const messages = read(rule({ source: ["aws.ecs"] }), target(inputs))?.messages(STOPPED);
    expect(messages).toEqual([{ target: { kind: "topic", arn: TOPIC_ARN }, text }]);
  });

  it("that is neither a topic nor a log group is refused", () => {
    const queue = target({ arn: "arn:aws:sqs:eu-central-1:123456789012:queue" });
    expect(() => read(rule({ source: ["aws.ecs"] }), queue)).toThrow("only topics and log groups");
  });
});
