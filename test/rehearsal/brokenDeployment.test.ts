// A deployment that is broken in the usual silent ways must be found, and told why, by what the rehearsal looks at.

import { beforeAll, describe, expect, it } from "vitest";
import { embeddedMetrics } from "../../bot/telemetry/embeddedMetrics.ts";
import { createRecorder } from "../../bot/telemetry/metrics.ts";
import { createTwin, type Twin } from "../cloudwatch/twin.ts";
import { type DeclaredProgram, declareProgram, type RecordedResource } from "../infra/program.ts";
import { declaredContainer, rehearsedEnvironment } from "./container.ts";

const MINUTE_MS = 60_000;
const START = Date.UTC(2026, 0, 1);
const ALARM = "mooring-dev-EdgeBanned";

let program: DeclaredProgram;
beforeAll(async () => {
  program = await declareProgram({ stack: "dev" });
});

type Change = (resource: RecordedResource) => RecordedResource;

const changing = (type: string, change: (inputs: Record<string, unknown>) => Record<string, unknown>): Change => {
  return (resource) => (resource.type === type ? { ...resource, inputs: change({ ...resource.inputs }) } : resource);
};

/** The bot's lines of ten banned minutes, received by the declared alarms after a change to the declaration. */
function banned(change: Change, rename: (line: string) => string = (line) => line): Twin {
  const resources = program.resources.map(change);
  const twin = createTwin({ ...program, resources, createdAt: START - 30 * MINUTE_MS });
  const recorder = createRecorder(() => 0);
  recorder.level("EdgeBanned", 1);
  for (let at = START; at < START + 10 * MINUTE_MS; at += 10_000) {
    recorder.count("Heartbeat");
    twin.receive(rename(JSON.stringify(embeddedMetrics(recorder.take(), "mooring-dev", at))), at);
    twin.advance(at);
  }
  return twin;
}

const paged = (twin: Twin): boolean =>
  twin.notifications.some(({ alarm, state, delivered }) => alarm === ALARM && state === "ALARM" && delivered);

const CONTAINER = "aws:ecs/taskDefinition:TaskDefinition";
const METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm";

const withContainer = (change: (definition: Record<string, unknown>) => void): Change =>
  changing(CONTAINER, (inputs) => {
    const definitions = JSON.parse(String(inputs["containerDefinitions"]));
    for (const definition of definitions) change(definition);
    return { ...inputs, containerDefinitions: JSON.stringify(definitions) };
  });

describe("a declaration as committed", () => {
  it("pages on an edge ban", () => {
    expect(paged(banned((resource) => resource))).toBe(true);
  });
});

describe("a broken declaration pages nobody, and the reason is named", () => {
  it.each<[string, Change, (line: string) => string, RegExp]>([
    [
      "an alarm's threshold",
      changing(METRIC_ALARM, (inputs) =>
        inputs["name"] === ALARM || inputs["metricName"] === "EdgeBanned" ? { ...inputs, threshold: 5 } : inputs,
      ),
      (line) => line,
      /threshold not met: highest datapoint 1, needs Maximum >= 5/,
    ],
    [
      "a metric's name in the bot",
      (resource) => resource,
      (line) => line.replaceAll("EdgeBanned", "EdgeBlocked"),
      /nothing published Mooring\/EdgeBanned .*close to it: .*EdgeBlocked/,
    ],
    [
      "the log driver",
      withContainer((definition) => {
        definition["logConfiguration"] = { logDriver: "json-file" };
      }),
      (line) => line,
      /went nowhere/,
    ],
    [
      "the log group's name",
      withContainer((definition) => {
        const { options } = Object(definition["logConfiguration"]);
        options["awslogs-group"] = "/somewhere/else";
      }),
      (line) => line,
      /went nowhere/,
    ],
    [
      "the metrics' dimension",
      (resource) => resource,
      (line) => line.replaceAll("mooring-dev", "mooring-prod"),
      /nothing published Mooring\/EdgeBanned/,
    ],
    [
      "seconds for milliseconds",
      (resource) => resource,
      (line) => line.replace(/("Timestamp":\d+)\d{3}/, "$1"),
      /in seconds; milliseconds are wanted/,
    ],
  ])("%s", (_what, change, rename, reason) => {
    const twin = banned(change, rename);
    expect(paged(twin)).toBe(false);
    expect(twin.explain(ALARM)).toMatch(reason);
  });
});

describe("the declared container", () => {
  it("is read as ECS would: image by digest, secrets followed to their version, a stop timeout above the drain", () => {
    const container = declaredContainer(program);
    expect(container.image).toMatch(/@sha256:[0-9a-f]{64}$/);
    expect(container.secrets).toEqual({ DISCORD_TOKEN: "placeholder.discord.token" });
    expect(container.environment).toMatchObject({ STACK: "mooring-dev", ON_FATAL: "park" });
    expect(container.stopTimeoutSeconds * 1_000).toBeGreaterThan(Number(container.environment["DRAIN_MS"]));
    expect(JSON.stringify(container.environment)).not.toContain("placeholder.discord.token");
  });

  it("may be rehearsed with other endpoints and another clock only", () => {
    const container = declaredContainer(program);
    const { environment, changed } = rehearsedEnvironment(container, { CLOCK_RATE: "12" });
    expect(changed).toEqual([{ name: "CLOCK_RATE", declared: undefined, rehearsed: "12" }]);
    expect(environment).toEqual({ ...container.environment, ...container.secrets, CLOCK_RATE: "12" });
    expect(() => rehearsedEnvironment(container, { LOG_LEVEL: "debug" })).toThrow(/LOG_LEVEL must be as declared/);
  });

  it("is refused when a secret leads nowhere", () => {
    const resources = program.resources.filter(({ type }) => type !== "aws:secretsmanager/secretVersion:SecretVersion");
    expect(() => declaredContainer({ ...program, resources })).toThrow(/leads to no declared secret version/);
  });
});
