// The drill of live alarms: which there are, what each outcome looks like, and that nothing stays in ALARM by our hand.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { raisingParts } from "../../infra/alarms/rule.ts";
import { COMPOSITE_RULES } from "../../infra/alarms/rules.ts";
import { stackRules } from "../../infra/alarms/stackRules.ts";
import {
  type DrillPorts,
  type DrillTarget,
  drill,
  drillTargets,
  LIMIT_MS,
  type LiveAlarm,
  SET_EVERY_MS,
  targetTable,
} from "../../infra/tools/drill.ts";
import { virtualClock } from "../virtualClock.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

const NAME = "mooring-prod";
const rules = stackRules<string>({
  name: NAME,
  shardCount: "auto",
  tasks: 3,
  variables: { CHAT_CHANNELS: "100000000000000001" },
  hasUpstream: true,
  logGroup: "log",
  nats: [{ kind: "gateway", zone: "a", id: "nat-1" }],
  undelivered: "queue",
});
const targets = drillTargets(NAME, rules, COMPOSITE_RULES);

describe("drillTargets", () => {
  it("has every rule that reaches a person, by itself or through a composite", () => {
    const raising = COMPOSITE_RULES.flatMap(({ expression }) => raisingParts(expression));
    const expected = rules.filter(({ name, reaction }) => reaction !== "part" || raising.includes(name));
    expect(targets.map(({ alarm }) => alarm)).toEqual(expected.map(({ name }) => `${NAME}-${name}`));
    expect(targets.map(({ alarm }) => alarm)).not.toContain(`${NAME}-DeployRunning`);
  });

  it("reaches every composite", () => {
    const senders = targets.map(({ sender }) => sender);
    for (const { name } of COMPOSITE_RULES) expect(senders).toContain(`${NAME}-${name}`);
  });

  it.each([
    ["EdgeBanned", true],
    ["MetricLinesBroken", true],
    ["RetryAfterViolations", false],
    ["TaskCrashed", false],
    ["NatPortErrors-a", false],
    ["Memory", false],
  ])("says of %s whether a rehearsal shows it: %s", (rule, rehearsed) => {
    expect(targets.find(({ alarm }) => alarm === `${NAME}-${rule}`)?.rehearsed).toBe(rehearsed);
  });

  it("reads as a table", () => {
    const lines = targetTable(targets);
    expect(lines).toHaveLength(targets.length + 1);
    expect(lines.find((line) => line.includes("ShardsNotReady"))).toMatch(
      /page +mooring-prod-UnexplainedFault +npm start/,
    );
    expect(lines.find((line) => line.includes("OutOfMemory"))).toMatch(/page +itself +only here/);
  });
});

const LEAF: DrillTarget = { alarm: "leaf", sender: "leaf", severity: "page", rehearsed: true };
const PART: DrillTarget = { alarm: "part", sender: "composite", severity: "page", rehearsed: true };

interface World {
  /** Milliseconds after which the person answers; never when absent. */
  readonly answersAfterMs?: number;
  readonly answer?: "came" | "missing" | "skip";
  /** Milliseconds that an alarm stays as it was set; for ever when infinite. */
  readonly evaluatesAfterMs?: number;
  /** What the alarm is by itself. */
  readonly own?: "OK" | "ALARM";
  readonly alarms?: readonly Partial<LiveAlarm>[];
}

/** CloudWatch and a person, as far as a drill sees them. */
async function drilled(target: DrillTarget, world: World) {
  const clock = virtualClock();
  const sets: { name: string; state: string; at: number }[] = [];
  const live = new Map(
    (world.alarms ?? [{ name: target.alarm }, { name: target.sender }]).map((given) => [
      given.name ?? "",
      { state: "OK", reason: "within bounds", actionsEnabled: true, topics: ["arn"], ...given },
    ]),
  );
  const ports: DrillPorts = {
    wall: () => clock.wall(),
    sleep: (milliseconds, signal) => clock.sleep(milliseconds, signal).catch(() => {}),
    alarms: async (names) =>
      [...live].filter(([name]) => names.includes(name)).map(([name, alarm]) => ({ ...alarm, name })),
    async setState(name, state, reason) {
      sets.push({ name, state, at: clock.now() });
      for (const each of new Set([name, target.sender])) {
        const alarm = live.get(each);
        if (alarm === undefined) continue;
        alarm.state = state;
        // A composite words its reason itself.
        alarm.reason = each === name ? reason : "part is in ALARM";
        const { evaluatesAfterMs = 30_000 } = world;
        if (!Number.isFinite(evaluatesAfterMs)) continue;
        const setting = sets.length;
        clock.schedule(evaluatesAfterMs, () => {
          if (setting !== sets.length) return;
          alarm.state = world.own ?? "OK";
          alarm.reason = "threshold";
        });
      }
    },
    confirm: (_, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        if (world.answersAfterMs !== undefined)
          clock.schedule(world.answersAfterMs, () => resolve(world.answer ?? "came"));
      }),
  };
  const result = drill(target, ports);
  let settled = false;
  void result.finally(() => {
    settled = true;
  });
  for (let minute = 0; minute < 60 && !settled; minute++) await clock.advance(60_000);
  return { record: await result, sets, live, pending: clock.pending() };
}

describe("drill", () => {
  it.each([
    ["a leaf", LEAF],
    ["a composite through its part", PART],
  ])(
    "proves %s: sets it every ten seconds until the message came, then awaits its own evaluation",
    async (_, target) => {
      const { record, sets } = await drilled(target, { answersAfterMs: 25_000 });
      expect(record).toMatchObject({ ...target, outcome: "passed", confirmedAfterMs: 25_000 });
      expect(record.problem).toBeUndefined();
      expect(record.startedAt).toMatch(/^\d{4}-\d\d-\d\dT/);
      expect(sets.map(({ name, at }) => [name, at])).toEqual(
        [0, 1, 2].map((turn) => [target.alarm, turn * SET_EVERY_MS]),
      );
      // Set last at 20 s, evaluated 30 s later, looked at every 10 s from 25 s on.
      expect(record.evaluatedAfterMs).toBe(30_000);
    },
  );

  it.each<[what: string, target: DrillTarget, world: World, outcome: string, says: RegExp]>([
    ["no alarm", LEAF, { alarms: [] }, "failed", /leaf does not exist; npx pulumi up/],
    ["no composite", PART, { alarms: [{ name: "part" }] }, "failed", /composite does not exist/],
    ["a real fault", LEAF, { alarms: [{ name: "leaf", state: "ALARM" }] }, "skipped", /in ALARM by itself/],
    ["actions switched off", LEAF, { alarms: [{ name: "leaf", actionsEnabled: false }] }, "failed", /no action/],
    ["no topic", LEAF, { alarms: [{ name: "leaf", topics: [] }] }, "failed", /no action/],
    ["nobody's answer", LEAF, {}, "failed", /nobody confirmed the message within 15 minutes/],
    ["a message that did not come", LEAF, { answersAfterMs: 5_000, answer: "missing" }, "failed", /did not come/],
    ["a skip", LEAF, { answersAfterMs: 5_000, answer: "skip" }, "skipped", /by hand/],
    [
      "a fault that came meanwhile",
      LEAF,
      { answersAfterMs: 5_000, own: "ALARM" },
      "failed",
      /now in ALARM by itself: threshold/,
    ],
    [
      "an alarm without data",
      LEAF,
      { answersAfterMs: 5_000, evaluatesAfterMs: Number.POSITIVE_INFINITY },
      "failed",
      /did not evaluate itself within 15 minutes and was put back/,
    ],
  ])("tells %s", async (_, target, world, outcome, says) => {
    const { record } = await drilled(target, world);
    expect(record.outcome).toBe(outcome);
    expect(record.problem).toMatch(says);
  });

  it("sets nothing off that is firing, missing or silent", async () => {
    for (const alarms of [[], [{ name: "leaf", state: "ALARM" }], [{ name: "leaf", actionsEnabled: false }]]) {
      expect((await drilled(LEAF, { alarms, answersAfterMs: 0 })).sets).toEqual([]);
    }
  });

  it("leaves nothing in ALARM by its own hand, and no timer", async () => {
    const worlds: World[] = [
      {},
      { answersAfterMs: 5_000 },
      { answersAfterMs: 5_000, evaluatesAfterMs: Number.POSITIVE_INFINITY },
    ];
    for (const world of worlds) {
      const { live, sets, pending } = await drilled(LEAF, world);
      expect(live.get("leaf")?.state).toBe("OK");
      expect(sets.filter(({ at }) => at > LIMIT_MS + 5_000).every(({ state }) => state === "OK")).toBe(true);
      expect(pending).toBe(0);
    }
  });
});

describe("drillAlarms --dry-run", () => {
  it.each(["dev", "prod"])("shows %s's drills and asks nothing of AWS", (stack) => {
    const run = spawnSync(
      process.execPath,
      [join(REPOSITORY_ROOT, "infra/tools/drillAlarms.ts"), "--stack", stack, "--dry-run"],
      { encoding: "utf8" },
    );
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(stack === "dev" ? /mooring-dev-NatStatus-a/ : /mooring-prod-NatPortErrors-a/);
    expect(run.stdout).toContain("Nothing was asked of AWS.");
  });

  it("refuses a stack without a file", () => {
    const run = spawnSync(
      process.execPath,
      [join(REPOSITORY_ROOT, "infra/tools/drillAlarms.ts"), "--stack", "nowhere", "--dry-run"],
      { encoding: "utf8" },
    );
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^Pulumi\.nowhere\.yaml cannot be read/);
  });
});
