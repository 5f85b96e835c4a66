// What a process writes: log lines and metric lines as CloudWatch takes them, and never a token.

import { spawnSync } from "node:child_process";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTelemetry, type TelemetryOptions } from "../../../bot/telemetry/telemetryDriver.ts";
import { METRICS, type MetricName, metricNames } from "../../../shared/metrics.ts";
import { Secret } from "../../../shared/secret.ts";
import { extractMetrics } from "../../cloudwatch/embeddedMetrics.ts";
import { virtualClock } from "../../virtualClock.ts";

const TOKEN = "MTE0NTE0MTkxOTgxMDg5MzQ0.GxYzAb.k3y-of_the-Test_bot-0123456789abcdefghij";
const ANOTHER = "NzkyNzE1NDU0MTk2MDg4ODQy.X-hvzA.Ovy4MCQywSkoMRRclStW4xAYK7I";

type Line = Readonly<Record<string, unknown>>;

function bench(options: Partial<TelemetryOptions> = {}) {
  const clock = virtualClock(Date.UTC(2025, 5, 1));
  const written: string[] = [];
  const telemetry = createTelemetry({
    clock,
    stack: "mooring-test",
    intervalMs: 10_000,
    level: "info",
    token: new Secret(TOKEN),
    write: (line) => void written.push(line),
    random: () => 0.5,
    ...options,
  });
  const lines = (): Line[] => written.map((line): Line => JSON.parse(line));
  return {
    clock,
    telemetry,
    written,
    lines,
    logs: () => lines().filter((line) => !("_aws" in line)),
    metrics: () => lines().filter((line) => "_aws" in line),
  };
}

describe("log lines", () => {
  it("carry an event with its declared fields, the clock's time, the level as a word, and nothing else", async () => {
    const { clock, telemetry, written } = bench();
    await clock.advance(1_500);
    telemetry.event("session.resumed", { shard: 3, replayed: 12 });
    expect(written).toEqual([
      '{"level":"info","time":"2025-06-01T00:00:01.500Z","event":"session.resumed","shard":3,"replayed":12}\n',
    ]);
  });

  it("write an absent field as null and leave an undeclared one out", () => {
    const { telemetry, logs } = bench();
    const more = { shard: 1, left: null, payload: "raw" };
    telemetry.event("identify.spent", more);
    expect(logs()).toMatchObject([{ event: "identify.spent", shard: 1, left: null }]);
    expect(Object.keys(logs()[0] ?? {})).toEqual(["level", "time", "event", "shard", "left"]);
  });

  it("are free with msg and fields, errors with their causes", () => {
    const { telemetry, logs } = bench();
    const error = new TypeError("outer", { cause: new Error("inner") });
    telemetry.log("warn", "something 100%s odd", { shard: 1, error });
    expect(logs()).toMatchObject([
      {
        level: "warn",
        msg: "something 100%s odd",
        shard: 1,
        error: { name: "TypeError", message: "outer", cause: { message: "inner" } },
      },
    ]);
  });

  it("are one JSON object each whatever the fields hold, and a free one cannot pose as an event", () => {
    const circular: Record<string, unknown> = { big: 1n };
    circular["self"] = circular;
    const { telemetry, written, logs } = bench();
    telemetry.log("info", "line\nbreak", { circular, event: "fatal", level: "x", msg: "y", _aws: {} });
    expect(written).toHaveLength(1);
    expect(written[0]?.indexOf("\n")).toBe((written[0]?.length ?? 0) - 1);
    expect(logs()).toMatchObject([{ level: "info", msg: "line\nbreak", event_: "fatal" }]);
    expect(Object.keys(logs()[0] ?? {})).not.toContain("event");
  });

  it("stay below CloudWatch's longest event", () => {
    const { telemetry, written, logs } = bench();
    telemetry.log("error", "long", { text: "ü".repeat(200_000) });
    expect(Buffer.byteLength(written.join(""))).toBeLessThan(262_118);
    expect(logs()).toMatchObject([{ level: "error", msg: "long", omittedBytes: expect.any(Number) }]);
  });

  it.each(["info", "error", "fatal", "silent"] as const)("count as errors at any LOG_LEVEL, here %s", (level) => {
    const { telemetry, metrics, logs } = bench({ level });
    telemetry.log("warn", "no");
    telemetry.log("error", "yes");
    telemetry.event("ledger.unreachable", { error: "yes" });
    telemetry.event("fatal", { code: "4004", fix: "yes" });
    telemetry.flush();
    expect(metrics()).toMatchObject([{ LogErrors: 3 }]);
    expect(logs()).toHaveLength({ info: 4, error: 3, fatal: 1, silent: 0 }[level]);
  });
});

describe("keys", () => {
  it("are taken out of every line, each of them", () => {
    const keys = ["hf_first_key_0001", "hf_second_key_0002"];
    const { telemetry, written } = bench({ keys: keys.map((key) => new Secret(key)) });
    telemetry.log("error", `Bearer ${keys[0]} and ${keys[1]}`, { [keys[1] ?? ""]: keys[0] });
    expect(written.join("")).toContain("Bearer [secret] and [secret]");
    for (const key of keys) expect(written.join("")).not.toContain(key);
  });
});

describe("a token", () => {
  it.each([
    ["in a message", (text: string) => ({ message: `refused ${text} here`, fields: {} })],
    ["in a field", (text: string) => ({ message: "x", fields: { authorization: `Bot ${text}` } })],
    ["as a field's name", (text: string) => ({ message: "x", fields: { [text]: 1 } })],
    [
      "deep in a payload",
      (text: string) => ({ message: "x", fields: { a: [{ b: JSON.stringify({ token: text }) }] } }),
    ],
    [
      "in an error's cause",
      (text: string) => ({ message: "x", fields: { e: new Error("x", { cause: new Error(text) }) } }),
    ],
    ["in a URL", (text: string) => ({ message: `wss://x/?token=${text}&v=10`, fields: {} })],
  ])("never reaches stdout %s: neither ours nor any of its shape", (_where, place) => {
    const { telemetry, written, logs } = bench();
    for (const token of [TOKEN, ANOTHER]) {
      const { message, fields } = place(token);
      telemetry.log("error", message, fields);
    }
    const output = written.join("");
    for (const token of [TOKEN, ANOTHER]) {
      for (const part of token.split(".").filter(({ length }) => length > 8)) expect(output).not.toContain(part);
    }
    expect(output.match(/\[secret\]/g)?.length).toBeGreaterThanOrEqual(2);
    expect(logs()).toHaveLength(2);
  });

  it("is taken out of events and of the metrics' stack as well", () => {
    const { telemetry, written } = bench({ stack: TOKEN });
    telemetry.event("handler.failed", { shard: 0, seq: 1, type: "X", error: `Error: ${TOKEN}` });
    telemetry.flush();
    expect(written).toHaveLength(2);
    expect(written.join("")).not.toContain(TOKEN.slice(0, 24));
  });

  it("of any characters and any place is taken out, and the line stays JSON", () => {
    const characters = fc.string({ minLength: 8, maxLength: 80, unit: "grapheme" });
    fc.assert(
      fc.property(characters, fc.string(), fc.string(), (token, before, after) => {
        fc.pre(!'{"level":"info","time":"2025-06-01T00:00:00.000Z","msg":"[secret]","text":""}'.includes(token));
        const { telemetry, lines } = bench({ token: new Secret(token) });
        telemetry.log("info", before + token + after, { text: after + token });
        expect(JSON.stringify(lines()[0])).not.toContain(JSON.stringify(token).slice(1, -1));
      }),
    );
  });

  it("is not needed to begin with, and short texts and host names stay", () => {
    const { telemetry, logs } = bench({ token: undefined });
    telemetry.log("info", "wss://gateway-us-east1-c.discord.gg 1.2.3 https://a.b.c/d", {});
    expect(logs()).toMatchObject([{ msg: "wss://gateway-us-east1-c.discord.gg 1.2.3 https://a.b.c/d" }]);
  });
});

describe("metric lines", () => {
  const directive = (line: Line | undefined): readonly { Name: string; Unit: string }[] =>
    Object(line?.["_aws"]).CloudWatchMetrics[0].Metrics;

  it("come each interval of the clock, with a Heartbeat of 1, until stopped", async () => {
    const { clock, telemetry, metrics } = bench({ level: "silent" });
    telemetry.start();
    await clock.advance(9_999);
    expect(metrics()).toHaveLength(0);
    await clock.advance(20_001);
    expect(metrics().map((line) => [line["Heartbeat"], Object(line["_aws"]).Timestamp])).toEqual(
      [10_000, 20_000, 30_000].map((at) => [1, Date.UTC(2025, 5, 1) + at]),
    );
    telemetry.stop();
    await clock.advance(60_000);
    expect(metrics()).toHaveLength(3);
    expect(clock.pending()).toBe(0);
  });

  it("do not come twice to make up for a stall", async () => {
    const clock = virtualClock();
    let late = 0;
    const { telemetry, metrics } = bench({ clock: { ...clock, now: () => clock.now() + late } });
    telemetry.start();
    await clock.advance(9_000);
    late = 35_000;
    await clock.advance(1_000);
    expect(metrics()).toHaveLength(1);
    await clock.advance(9_999);
    expect(metrics()).toHaveLength(1);
    await clock.advance(1);
    expect(metrics()).toHaveLength(2);
    telemetry.stop();
  });

  it("are what CloudWatch extracts metrics from, also with a clock that has fractions", () => {
    const clock = { ...virtualClock(), wall: () => 1_750_000_000_000.75 };
    const { telemetry, written } = bench({ clock });
    telemetry.observe("HeartbeatAckMilliseconds", 40);
    telemetry.flush();
    expect(written.join("")).toContain('"Timestamp":1750000000000,');
    const extraction = extractMetrics(written.join("").trimEnd(), 1_750_000_000_000);
    expect(extraction).toMatchObject({ kind: "points" });
    const unknownAtFirst: readonly MetricName[] = [
      "IdentifiesRemaining",
      "IntentsDropped",
      "UpstreamKeysSpent",
      "UpstreamDown",
    ];
    const points = extraction.kind === "points" ? extraction.points : [];
    expect(points.map(({ name, dimensions }) => [name, dimensions])).toEqual(
      metricNames()
        .filter((name) => METRICS[name].reach === "published" && !unknownAtFirst.includes(name))
        .map((name) => [name, { Stack: "mooring-test" }]),
    );
  });

  it("have the format's shape: one directive, one dimension, published metrics listed, logged ones beside", () => {
    const { telemetry, metrics } = bench();
    telemetry.count("RateLimited", 2);
    telemetry.count("Requests", 5);
    telemetry.level("ShardsNotReady", 1);
    telemetry.level("IdentifiesRemaining", 997);
    for (const level of ["IntentsDropped", "UpstreamKeysSpent", "UpstreamDown"] as const) telemetry.level(level, 0);
    telemetry.observe("HeartbeatAckMilliseconds", 42.123456);
    telemetry.observe("RequestMilliseconds", 7);
    telemetry.flush();
    const [line] = metrics();
    expect(line).toMatchObject({
      _aws: { CloudWatchMetrics: [{ Namespace: "Mooring", Dimensions: [["Stack"]] }] },
      Stack: "mooring-test",
      RateLimited: 2,
      Requests: 5,
      ShardsNotReady: 1,
      HeartbeatAckMilliseconds: [42.123],
      RequestMilliseconds: [7],
      RateLimitedGlobal: 0,
      EdgeBanned: 0,
    });
    const listed = directive(line).map(({ Name }) => Name);
    expect(listed).toEqual(metricNames().filter((name) => METRICS[name].reach === "published"));
    for (const { Name, Unit } of directive(line)) {
      expect(Unit).toBe(Object(METRICS)[Name].unit);
      expect(line).toHaveProperty(Name);
    }
  });

  it("reset counters and distributions, repeat levels, and leave out what is empty or not known yet", () => {
    const { telemetry, metrics } = bench();
    telemetry.count("RateLimited");
    telemetry.level("Fatal", 1);
    telemetry.observe("HeartbeatAckMilliseconds", 1);
    telemetry.flush();
    telemetry.flush();
    const [first, second] = metrics();
    expect(first).toMatchObject({ RateLimited: 1, Fatal: 1, HeartbeatAckMilliseconds: [1] });
    expect(second).toMatchObject({ RateLimited: 0, Fatal: 1 });
    for (const absent of ["HeartbeatAckMilliseconds", "IdentifiesRemaining", "UpstreamKeysSpent", "UpstreamDown"]) {
      expect(second).not.toHaveProperty(absent);
      expect(directive(second).map(({ Name }) => Name)).not.toContain(absent);
    }
  });

  it("keep at most 100 samples, spread over all of them, the maximum always among them", () => {
    const value = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 400, size: "max" }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999 })),
        (all, chances) => {
          const { telemetry, metrics } = bench({ random: () => chances.next().value ?? 0 });
          for (const sample of all) telemetry.observe("RequestMilliseconds", sample);
          telemetry.flush();
          const rounded = all.map((sample) => Math.round(sample * 1_000) / 1_000);
          const kept: unknown = metrics()[0]?.["RequestMilliseconds"];
          if (all.length === 0) expect(kept).toBeUndefined();
          else if (all.length <= 100) expect(kept).toEqual(rounded);
          if (all.length <= 100) return;
          expect(kept).toHaveLength(100);
          expect(kept).toContain(Math.max(...rounded));
          for (const sample of Array.isArray(kept) ? kept : []) expect(rounded).toContain(sample);
        },
      ),
    );
  });

  it("keep each sample with the same chance", () => {
    let state = 1;
    const random = (): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    const { telemetry, metrics } = bench({ random });
    for (let round = 0; round < 50; round++) {
      for (let sample = 0; sample < 1_000; sample++) telemetry.observe("RequestMilliseconds", sample);
      telemetry.flush();
    }
    const kept = metrics()
      .flatMap((line) => line["RequestMilliseconds"])
      .map(Number);
    const mean = kept.reduce((sum, sample) => sum + sample, 0) / kept.length;
    // 5,000 uniform samples: the mean's standard deviation is 4.1; the bounds are ten times that.
    expect(mean).toBeGreaterThan(460);
    expect(mean).toBeLessThan(540);
  });

  it("never carry a number that is not finite", () => {
    const { telemetry, written, metrics } = bench();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      telemetry.count("RateLimited", value);
      telemetry.level("Fatal", value);
      telemetry.observe("HeartbeatAckMilliseconds", value);
    }
    telemetry.flush();
    expect(written.join("")).not.toContain("null");
    expect(metrics()).toMatchObject([{ RateLimited: 0, Fatal: 0 }]);
  });

  it("leave totals since the start behind", () => {
    const { telemetry } = bench();
    telemetry.count("RateLimited", 2);
    telemetry.flush();
    telemetry.count("RateLimited");
    telemetry.level("Fatal", 1);
    telemetry.observe("RequestMilliseconds", 5);
    expect(Object.keys(telemetry.totals())).toEqual(metricNames());
    expect(telemetry.totals()).toMatchObject({
      Heartbeat: 1,
      RateLimited: 3,
      Fatal: 1,
      RequestMilliseconds: 1,
      Requests: 0,
    });
  });
});

describe("the event loop", () => {
  it("is sampled each second for how late its timers run", async () => {
    const clock = virtualClock();
    let late = 0;
    const { telemetry, logs, metrics } = bench({ clock: { ...clock, now: () => clock.now() + late } });
    telemetry.start();
    await clock.advance(500);
    late = 200;
    await clock.advance(500);
    await clock.advance(500);
    late += 6_000;
    await clock.advance(500);
    await clock.advance(1_000);
    telemetry.flush();
    expect(metrics().flatMap((line) => line["LoopLagMilliseconds"])).toEqual([200, 6_000, 0]);
    // Stalls are the gateway's to tell, which must act on them.
    expect(logs()).toEqual([]);
    telemetry.stop();
  });
});

describe("stdout", () => {
  it("has every line before the process ends, also when it is killed right after", () => {
    const root = path.resolve(import.meta.dirname, "../../..");
    const program = `
      import { systemClock } from "./bot/clock.ts";
      import { createTelemetry } from "./bot/telemetry/telemetryDriver.ts";
      const telemetry = createTelemetry({ clock: systemClock(), stack: "local", intervalMs: 10000, level: "info" });
      for (let line = 0; line < 5000; line++) telemetry.log("info", "line " + line, { padding: "x".repeat(100) });
      telemetry.flush();
      process.kill(process.pid, "SIGKILL");
    `;
    const { stdout, stderr, signal } = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", program], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 10_000_000,
    });
    expect([stderr, signal]).toEqual(["", "SIGKILL"]);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line): Line => JSON.parse(line));
    expect(lines).toHaveLength(5_001);
    expect(lines.at(-1)).toHaveProperty("_aws");
  });
});
