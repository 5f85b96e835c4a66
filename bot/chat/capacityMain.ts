// Plans capacity on the command line: a table, or --json.

import { parseArgs } from "node:util";
import { type CapacityQuestion, capacityTable, messagesFrom, planCapacity } from "./capacity.ts";

const USAGE = `npm run capacity -- --users 1000 --active 0.02 --lines 25 --hours 2 --hourly-quota 300 --monthly-quota 900

  --users N             people who could write to the bot
  --active SHARE        of them active at the busiest time, 0 to 1 (0.02)
  --lines N             messages each of those writes in it (25)
  --hours N             length of the busy time, one a day (2)
  --days N              days a month (30)
  --hourly-quota N      requests a key may make in an hour; --hourly-characters N converts
  --monthly-quota N     requests a key may make in a month; --monthly-characters N converts
  --servers N           servers that the bot is in (1)
  --chunks N            replies that an answer takes (1)
  --json                the plan as JSON`;

const { values } = parseArgs({
  options: {
    users: { type: "string" },
    active: { type: "string", default: "0.02" },
    lines: { type: "string", default: "25" },
    hours: { type: "string", default: "2" },
    days: { type: "string", default: "30" },
    "hourly-quota": { type: "string" },
    "monthly-quota": { type: "string" },
    "hourly-characters": { type: "string" },
    "monthly-characters": { type: "string" },
    servers: { type: "string", default: "1" },
    chunks: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const problems: string[] = [];

function read(name: Exclude<keyof typeof values, "json" | "help">, most = Number.MAX_SAFE_INTEGER): number {
  const text = values[name] ?? "";
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0 && value <= most)) {
    problems.push(`--${name} is "${text}"; it must be a number above 0${most === 1 ? ", up to 1" : ""}`);
  }
  return value;
}

function quota(window: "hourly" | "monthly"): number | undefined {
  if (values[`${window}-quota`] !== undefined) return read(`${window}-quota`);
  return values[`${window}-characters`] === undefined ? undefined : messagesFrom(read(`${window}-characters`));
}

const question: CapacityQuestion = {
  users: read("users"),
  active: read("active", 1),
  lines: read("lines"),
  hours: read("hours"),
  days: read("days"),
  hourlyQuota: quota("hourly"),
  monthlyQuota: quota("monthly"),
  servers: read("servers"),
  chunks: read("chunks"),
};

if (values.help) console.log(USAGE);
else if (problems.length > 0) {
  console.error(`${problems.join("\n")}\n\n${USAGE}`);
  process.exitCode = 78;
} else {
  const plan = planCapacity(question);
  console.log(values.json ? JSON.stringify({ question, plan }, null, 2) : capacityTable(plan));
}
