// Where a container's lines go, and each way in which they go nowhere.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { declared, logGroup, REGION, task } from "./fixtures.ts";
import { routeLogs, splitIntoEvents } from "./logRouting.ts";

const route = (...resources: Parameters<typeof routeLogs>[0][number][]) => routeLogs(resources, { region: REGION });
const containers = (definitions: unknown) =>
  declared("aws:ecs/taskDefinition:TaskDefinition", "task", { containerDefinitions: JSON.stringify(definitions) });

describe("routing", () => {
  it("follows awslogs to the declared group", () => {
    const options = { mode: "non-blocking", "max-buffer-size": "25m" };
    expect(route(task(options), logGroup())).toEqual({ kind: "group", group: "/mooring/bot", stream: "bot/bot" });
  });

  it.each([
    ["another driver", [task({}, "awsfirelens"), logGroup()], "not awslogs"],
    ["no logConfiguration", [containers([{ name: "bot" }]), logGroup()], "no logConfiguration"],
    ["no group option", [task({ "awslogs-group": undefined }), logGroup()], "awslogs-group"],
    ["no region option", [task({ "awslogs-region": undefined }), logGroup()], "awslogs-region"],
    ["no stream prefix", [task({ "awslogs-stream-prefix": undefined }), logGroup()], "Fargate requires"],
    ["another Region", [task({ "awslogs-region": "us-east-1" }), logGroup()], "us-east-1"],
    ["a group that is not declared", [task(), logGroup("/mooring/bto")], "declared: /mooring/bto"],
    [
      "an Infrequent Access group",
      [task(), logGroup("/mooring/bot", { logGroupClass: "INFREQUENT_ACCESS" })],
      "INFREQUENT_ACCESS",
    ],
    ["no task definition", [logGroup()], "no task definition"],
  ])("ends nowhere with %s", (_, resources, why) => {
    expect(routeLogs(resources, { region: REGION })).toEqual({ kind: "nowhere", why: expect.stringContaining(why) });
  });

  it.each([
    ["awslogs-multiline-pattern", "^INFO"],
    ["awslogs-datetime-format", "%Y"],
    ["awslogs-create-group", "true"],
    ["awslogs-credentials-endpoint", "/x"],
  ])("refuses %s", (option, value) => {
    expect(() => route(task({ [option]: value }), logGroup())).toThrow(`task: ${option} cannot be rehearsed`);
  });

  it("wants to know which of several containers is meant", () => {
    const named = (name: string, logDriver: string) => ({ name, logConfiguration: { logDriver } });
    const several = containers([named("bot", "none"), named("sidecar", "splunk")]);
    expect(() => route(several)).toThrow("several containers");
    expect(routeLogs([several], { region: REGION, container: "sidecar" })).toMatchObject({
      why: expect.stringContaining("splunk"),
    });
    expect(() => routeLogs([several], { region: REGION, container: "other" })).toThrow("declared: bot, sidecar");
  });
});

describe("a write to stdout", () => {
  it("is one event a line, and none for an empty line", () => {
    expect(splitIntoEvents("one\n\ntwo\n")).toEqual(["one", "two"]);
  });

  it("is kept whole up to 262,118 bytes and split above", () => {
    expect(splitIntoEvents("x".repeat(262_118))).toHaveLength(1);
    expect(splitIntoEvents("x".repeat(262_119)).map((event) => event.length)).toEqual([262_118, 1]);
  });

  it("is never split inside a character", () => {
    fc.assert(
      fc.property(fc.constantFrom("é", "€", "😀"), fc.nat(3), (character, offset) => {
        const line = "x".repeat(offset) + character.repeat(262_118 / Buffer.byteLength(character) + 2);
        const events = splitIntoEvents(line);
        expect(events.length).toBeGreaterThan(1);
        // Compared by itself: a diff of such lines would take minutes to print.
        expect(events.join("") === line).toBe(true);
        expect(events.every((event) => Buffer.byteLength(event) <= 262_118)).toBe(true);
      }),
      { numRuns: 12 },
    );
  });
});
