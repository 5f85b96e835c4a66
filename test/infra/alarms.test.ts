// The alarm rules as data: statistics fit their metrics, waiting times fit the page, and text leads on.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dashboardBody } from "../../infra/alarms/dashboard.ts";
import { eventRules, platformRules } from "../../infra/alarms/platformRules.ts";
import { runbookSection } from "../../infra/alarms/rule.ts";
import { botRules, COMPOSITE_RULES } from "../../infra/alarms/rules.ts";
import { METRICS, metricNames } from "../../shared/metrics.ts";
import { raisingParts } from "./policy.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

const bot = botRules({
  name: "mooring-test",
  shardCount: "auto",
  hasUpstream: true,
  asksForContent: true,
  tasks: 3,
  metricsIntervalMs: 10_000,
});
const nats = [
  { kind: "gateway", zone: "a", id: "nat-1" },
  { kind: "instance", zone: "b", id: "i-1" },
] as const;
const platform = platformRules<string>({
  name: "mooring-test",
  logGroup: "/mooring/mooring-test/bot",
  nats,
  undelivered: "queue",
});
const events = eventRules("mooring-test");
const leaves = [...bot, ...platform, ...events];

const metricOf = (name: string) => Object.entries(METRICS).find(([known]) => known === name)?.[1];

describe("rules", () => {
  it("have names of their own", () => {
    const names = [...leaves, ...COMPOSITE_RULES].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each(bot.map((rule) => [rule.name, rule] as const))(
    "%s takes the statistic of its metric's kind",
    (_, { source, when }) => {
      const metric = metricOf(source.metric);
      const fitting = { counter: ["Sum"], level: ["Maximum", "Minimum"], distribution: ["p99"] };
      expect(metric && fitting[metric.kind]).toContain(when.statistic);
    },
  );

  it.each(bot.map((rule) => [rule.name, rule] as const))(
    "%s treats silence as its metric's kind asks",
    (name, { source, when }) => {
      const kind = metricOf(source.metric)?.kind;
      // Two exceptions with a reason: silence is what the dead man is for, and a silent deploy must not hide him.
      const expected =
        name === "BotSilent" ? "breaching" : name === "DeployRunning" || kind !== "level" ? "notBreaching" : "ignore";
      expect(when.missing).toBe(expected);
    },
  );

  it.each(leaves.map((rule) => [rule.name, rule] as const))(
    "%s is a condition that CloudWatch takes",
    (_, { when }) => {
      expect(when.breaching).toBeGreaterThanOrEqual(1);
      expect(when.breaching).toBeLessThanOrEqual(when.of);
      expect(when.period % 60).toBe(0);
      expect(when.period * when.of).toBeLessThanOrEqual(86_400);
    },
  );

  it("page on the bot's own metrics after three bad minutes at the least, on an edge ban at once", () => {
    for (const { name, reaction, when } of bot) {
      if (reaction !== "page") continue;
      if (name === "EdgeBanned") expect([when.breaching, when.of, when.period]).toEqual([1, 1, 60]);
      else expect(when.breaching, name).toBeGreaterThanOrEqual(3);
    }
  });

  it("let a consequence start later and end sooner than each cause that holds it back", () => {
    const rule = (name: string) => {
      const found = bot.find((each) => each.name === name);
      if (found === undefined) throw new Error(name);
      return found.when;
    };
    const toStart = (name: string) => rule(name).breaching * rule(name).period;
    const toEnd = (name: string) => (rule(name).of - rule(name).breaching + 1) * rule(name).period;
    for (const { name, expression } of COMPOSITE_RULES) {
      // While a dead bot is silent its levels stay as they were, and a deploy is a level that outlasts its effects.
      const quoted = expression.replace(/ALARM\((\w+)\)/g, 'ALARM("$1")');
      const consequences = raisingParts(quoted);
      const named = [...quoted.matchAll(/ALARM\("(\w+)"\)/g)].map((match) => match[1] ?? "");
      const causes = named.filter((each) => !consequences.includes(each));
      expect(consequences.length * causes.length, name).toBeGreaterThan(0);
      for (const consequence of consequences) {
        for (const cause of causes.filter((each) => each !== "BotSilent" && each !== "DeployRunning")) {
          expect(toStart(consequence), `${consequence} behind ${cause}`).toBeGreaterThan(toStart(cause));
          expect(toEnd(consequence), `${consequence} behind ${cause}`).toBeLessThan(toEnd(cause));
        }
      }
    }
  });

  it("give the dead man a warm-up, so that a first deploy does not page", () => {
    for (const { name, when } of leaves) {
      if (when.missing === "breaching") expect(when.warmUp, name).toBe(15);
    }
  });

  it.each([
    ["auto", 100, 200],
    ["16", 100, 200],
    ["150", 150, 450],
  ])("with %s shards keep %i IDENTIFYs and warn below %i", (shardCount, reserve, low) => {
    const rules = botRules({
      name: "mooring-test",
      shardCount,
      hasUpstream: true,
      asksForContent: true,
      tasks: 3,
      metricsIntervalMs: 10_000,
    });
    expect(rules.find(({ name }) => name === "TokenDanger")?.when.threshold).toBe(reserve);
    expect(rules.find(({ name }) => name === "IdentifyBudgetLow")?.when.threshold).toBe(low);
  });

  it("use every published metric", () => {
    const used = new Set(bot.map(({ source }) => source.metric));
    for (const name of metricNames()) if (METRICS[name].reach === "published") expect(used).toContain(name);
  });
});

describe("RUNBOOKS.md", () => {
  const book = readFileSync(join(REPOSITORY_ROOT, "infra/alarms/RUNBOOKS.md"), "utf8");
  const sections = new Map(
    book
      .split(/^## /m)
      .slice(1)
      .map((section) => [section.split("\n")[0] ?? "", section]),
  );
  const needed = new Set([...leaves, ...COMPOSITE_RULES].map(({ name }) => runbookSection(name)));

  it("has a section for every alarm, and none without one", () => {
    expect([...sections.keys()].sort()).toEqual([...needed].sort());
  });

  it.each([...needed])("%s says what it means, where to look, what to do and how it clears", (name) => {
    for (const part of ["**Means**", "**Look first**", "**Do**", "**Clears**"])
      expect(sections.get(name)).toContain(part);
  });
});

describe("the dashboard", () => {
  const body = dashboardBody<string>({
    name: "mooring-test",
    region: "us-east-1",
    alarmArns: ["arn"],
    logGroup: "log",
    nats,
  });

  it("asks its four questions in order", () => {
    const text = JSON.stringify(body);
    const places = ["Is it up", "Is Discord pushing back", "Is the address clean", "Is a deploy running"].map(
      (question) => text.indexOf(question),
    );
    expect(places.every((place) => place > 0)).toBe(true);
    expect([...places].sort((left, right) => left - right)).toEqual(places);
  });

  it("shows every published metric", () => {
    const text = JSON.stringify(body);
    for (const name of metricNames()) if (METRICS[name].reach === "published") expect(text).toContain(`"${name}"`);
  });

  it("fits CloudWatch's grid without overlap", () => {
    const taken = new Set<string>();
    for (const widget of body.widgets as readonly { x: number; y: number; width: number; height: number }[]) {
      expect(widget.x + widget.width).toBeLessThanOrEqual(24);
      for (let x = widget.x; x < widget.x + widget.width; x++) {
        for (let y = widget.y; y < widget.y + widget.height; y++) {
          expect(taken).not.toContain(`${x},${y}`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});
