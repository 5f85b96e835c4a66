// `npm run drill -- --stack prod [--only Edge] [--dry-run]`: proves on a live stack that each alarm reaches a person.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CloudWatchClient, DescribeAlarmsCommand, SetAlarmStateCommand } from "@aws-sdk/client-cloudwatch";
import { ListSubscriptionsByTopicCommand, SNSClient } from "@aws-sdk/client-sns";
import { COMPOSITE_RULES } from "../alarms/rules.ts";
import { stackRules } from "../alarms/stackRules.ts";
import { type DrillPorts, type DrillRecord, drill, drillTargets, type LiveAlarm, targetTable } from "./drill.ts";
import { REPOSITORY_ROOT, readStackFile, runTool, type StackFile, ToolError } from "./tool.ts";

const ANSWERS: Readonly<Record<string, "came" | "missing" | "skip">> = { y: "came", n: "missing", s: "skip" };

/** The stack's rules; alarms are named by zone, so no identifier of a NAT is needed. */
function targetsOf(stack: StackFile) {
  const kind = stack.value("natMode");
  const nats = stack.value("natZones").map((zone) => ({ kind, zone, id: "" }));
  const { name } = stack;
  const rules = stackRules<string>({
    name,
    shardCount: stack.value("shardCount"),
    tasks: stack.value("tasks"),
    variables: stack.value("variables"),
    hasUpstream: stack.hasSecret("upstreamKeys"),
    logGroup: "",
    nats,
    undelivered: stack.hasSecret("pagerUrl") ? "" : undefined,
  });
  return drillTargets(name, rules, COMPOSITE_RULES);
}

function livePorts(region: string, confirm: DrillPorts["confirm"]): DrillPorts {
  const client = new CloudWatchClient({ region });
  return {
    wall: Date.now,
    sleep: (milliseconds, signal) =>
      sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => {}),
    async alarms(names): Promise<readonly LiveAlarm[]> {
      const { MetricAlarms = [], CompositeAlarms = [] } = await client.send(
        // A hundred names and as many records are what one call takes; a stack has about thirty.
        new DescribeAlarmsCommand({
          AlarmNames: [...new Set(names)],
          AlarmTypes: ["MetricAlarm", "CompositeAlarm"],
          MaxRecords: 100,
        }),
      );
      return [...MetricAlarms, ...CompositeAlarms].map((alarm) => ({
        name: alarm.AlarmName ?? "",
        state: alarm.StateValue ?? "",
        reason: alarm.StateReason ?? "",
        actionsEnabled: alarm.ActionsEnabled ?? false,
        topics: alarm.AlarmActions ?? [],
      }));
    },
    async setState(name, state, reason) {
      await client.send(new SetAlarmStateCommand({ AlarmName: name, StateValue: state, StateReason: reason }));
    },
    confirm,
  };
}

/** Subscriptions of a topic that still wait for a person's click; @throws when none is confirmed. */
async function unconfirmed(region: string, topic: string): Promise<readonly string[]> {
  const { Subscriptions = [] } = await new SNSClient({ region }).send(
    new ListSubscriptionsByTopicCommand({ TopicArn: topic }),
  );
  const pending = Subscriptions.filter(({ SubscriptionArn }) => !SubscriptionArn?.startsWith("arn:"));
  if (pending.length === Subscriptions.length) {
    throw new ToolError(
      `${topic} reaches nobody: no subscription is confirmed; confirm one, or set pageEmails or pagerUrl`,
    );
  }
  return pending.map(({ Endpoint }) => `${topic}: ${Endpoint} has not confirmed its subscription`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      stack: { type: "string" },
      only: { type: "string", default: "" },
      "dry-run": { type: "boolean", default: false },
    },
  });
  if (values.stack === undefined) throw new ToolError("give --stack, such as --stack prod");
  const stack = readStackFile(values.stack);
  const targets = targetsOf(stack).filter(({ alarm }) => alarm.includes(values.only));
  for (const line of targetTable(targets)) console.log(line);
  if (values["dry-run"]) {
    console.log(`\nWould set each to ALARM every 10 s until you confirm its message (at most 15 min), then await its own
evaluation, in ${stack.region}. Nothing was asked of AWS.`);
    return;
  }

  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const ports = livePorts(stack.region, async ({ sender, severity }, signal) => {
    for (;;) {
      const given = await terminal.question(`${sender} (${severity}): has its message come? [y, n, s to skip] `, {
        signal,
      });
      const answer = ANSWERS[given.trim().toLowerCase().slice(0, 1)];
      if (answer !== undefined) return answer;
    }
  });
  try {
    const live = await ports.alarms(targets.map(({ sender }) => sender));
    const topics = [...new Set(live.flatMap((alarm) => alarm.topics))];
    for (const topic of topics) for (const problem of await unconfirmed(stack.region, topic)) console.error(problem);
    await terminal.question(
      `\nThis pages people of ${stack.name} ${targets.length} times. Tell them, then press Enter. `,
    );

    const file = join(
      REPOSITORY_ROOT,
      "drills",
      `${stack.name}-${new Date().toISOString().slice(0, 16).replace(":", "")}.json`,
    );
    mkdirSync(dirname(file), { recursive: true });
    const records: DrillRecord[] = [];
    for (const target of targets) {
      const record = await drill(target, ports);
      records.push(record);
      // After each one: an interrupted drill keeps what it has shown.
      writeFileSync(file, `${JSON.stringify(records, null, 2)}\n`);
      console.log(`  ${record.outcome}${record.problem === undefined ? "" : `: ${record.problem}`}`);
    }
    const failed = records.filter(({ outcome }) => outcome === "failed").length;
    console.log(`${records.length} drilled, ${failed} failed; recorded in ${file}`);
    if (failed > 0) process.exitCode = 1;
  } finally {
    terminal.close();
  }
}

if (import.meta.main) await runTool(main);
