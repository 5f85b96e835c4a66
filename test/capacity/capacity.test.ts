// The capacity planner: the worked example, each number by its rule, and the command line.

import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { type CapacityQuestion, capacityTable, messagesFrom, planCapacity } from "../../bot/chat/capacity.ts";

const EXAMPLE: CapacityQuestion = {
  users: 1_000,
  active: 0.02,
  lines: 25,
  hours: 2,
  days: 30,
  hourlyQuota: 300,
  monthlyQuota: 900,
  servers: 1,
  chunks: 1,
};

describe("the worked example", () => {
  const plan = planCapacity(EXAMPLE);

  it("20 users with 25 lines in two hours make 250 queries an hour, under 300", () => {
    expect(plan.activeUsers).toBe(20);
    expect(plan.queriesAnHour).toBe(250);
    expect(plan.hour).toMatchObject({ quota: 300, runsOutAfter: null, keys: 1 });
  });

  it("and 15,000 a month, 16.7 times 900, which is gone on the second day", () => {
    expect(plan.queriesAMonth).toBe(15_000);
    expect(plan.month?.times.toFixed(1)).toBe("16.7");
    expect(plan.month?.runsOutAfter).toBeCloseTo(1.8, 5);
    expect(plan.keys).toBe(17);
    expect(plan.tier).toEqual({ hourlyQuota: 250, monthlyQuota: 15_000 });
  });

  it("as a table", () => {
    expect(`${capacityTable(plan)}\n`).toBe(`\
active users                     20
queries an hour                 250  within 300 (83 %)
queries a month              15,000  16.7 times 900: runs out 1.8 days into the month
keys needed                      17  1 for the hour, 17 for the month
or one tier with        250 an hour  15,000 a month
shards                            1  1,000 full starts a day of 1,000 IDENTIFYs
REST requests a second         0.14  360 times below the limit of 50
`);
  });
});

describe("each number", () => {
  it.each<[string, Partial<CapacityQuestion>, object]>([
    [
      "no quota needs no second key",
      { hourlyQuota: undefined, monthlyQuota: undefined },
      { keys: undefined, hour: undefined },
    ],
    [
      "an hour can run out, too",
      { lines: 60 },
      { hour: { used: 600, quota: 300, times: 2, runsOutAfter: 30, keys: 2 } },
    ],
    ["servers make shards", { servers: 12_345 }, { shards: 13, identifies: { aStart: 13, aDay: 1_000, starts: 76 } }],
    [
      "answers in parts take more of REST",
      { lines: 7_200, chunks: 4 },
      { rest: { requestsASecond: 100, limit: 50, headroom: 0.5 } },
    ],
  ])("%s", (_what, given, expected) => {
    expect(planCapacity({ ...EXAMPLE, ...given })).toMatchObject(expected);
  });

  it("converts characters at 2,100 words per 10,000 and 7 words a message", () => {
    expect(messagesFrom(10_000)).toBe(300);
    expect(messagesFrom(30_000)).toBe(900);
    expect(messagesFrom(33)).toBe(0);
  });
});

describe("the command line", () => {
  const run = (...given: string[]) =>
    spawnSync(process.execPath, ["bot/chat/capacityMain.ts", ...given], {
      cwd: path.resolve(import.meta.dirname, "../.."),
      encoding: "utf8",
    });
  const example = "--users 1000 --active 0.02 --lines 25 --hours 2 --hourly-quota 300 --monthly-quota 900".split(" ");

  it("prints the table", () => {
    expect(run(...example).stdout.trimEnd()).toBe(capacityTable(planCapacity(EXAMPLE)));
  });

  it("prints JSON", () => {
    const { question, plan } = JSON.parse(run(...example, "--json").stdout);
    expect(question).toEqual(EXAMPLE);
    expect(plan).toEqual(JSON.parse(JSON.stringify(planCapacity(EXAMPLE))));
  });

  it("takes quotas in characters", () => {
    const { question } = JSON.parse(run("--users", "10", "--monthly-characters", "30000", "--json").stdout);
    expect(question).toMatchObject({ monthlyQuota: 900 });
    expect(question.hourlyQuota).toBeUndefined();
  });

  it("names what is wrong, all at once", () => {
    const { status, stderr } = run("--users", "many", "--active", "2");
    expect(status).toBe(78);
    expect(stderr).toContain('--users is "many"');
    expect(stderr).toContain('--active is "2"');
    expect(stderr).toContain("npm run capacity");
  });
});
