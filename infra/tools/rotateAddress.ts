// `npm run rotate -- --stack prod --to blue [--reason 1015]`: makes another slot's address the one in use, after the guard,
// and waits until the bot is seen from it.

import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CloudWatchClient, DescribeAlarmsCommand } from "@aws-sdk/client-cloudwatch";
import { CloudWatchLogsClient, FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { DescribeAccountAttributesCommand, DescribeAddressesCommand, EC2Client } from "@aws-sdk/client-ec2";
import { slots as syntax } from "../settings/slots.ts";
import { type AddressQuota, awaitProof, type EgressLine, quotaProblem } from "./egressProof.ts";
import { judge } from "./guard.ts";
import { rotate } from "./rotation.ts";
import { REPOSITORY_ROOT, readStackFile, runTool, type StackFile, ToolError } from "./tool.ts";

/** Runs the CLI in the repository; `show` leaves the terminal to it, otherwise its output is returned. */
function pulumi(show: boolean, ...args: readonly string[]): string {
  const run = spawnSync("npx", ["pulumi", ...args], {
    cwd: REPOSITORY_ROOT,
    encoding: "utf8",
    stdio: ["inherit", show ? "inherit" : "pipe", "inherit"],
    maxBuffer: 256 * 1024 * 1024,
  });
  if (run.status !== 0) throw new ToolError(`npx pulumi ${args.join(" ")} ended with ${run.status ?? run.signal}`);
  return run.stdout ?? "";
}

async function addressQuota(region: string): Promise<AddressQuota> {
  const client = new EC2Client({ region });
  const { AccountAttributes = [] } = await client.send(new DescribeAccountAttributesCommand({}));
  const limit = AccountAttributes.find(({ AttributeName }) => AttributeName === "vpc-max-elastic-ips");
  const { Addresses = [] } = await client.send(new DescribeAddressesCommand({}));
  return { limit: Number(limit?.AttributeValues?.[0]?.AttributeValue ?? Number.NaN), used: Addresses.length };
}

const EVENTS = ["egress.proven", "egress.mismatch", "edge.banned"] as const;

function readLine(at: number | undefined, message: string | undefined): readonly EgressLine[] {
  const line: Readonly<Record<string, unknown>> = Object(JSON.parse(message ?? "null"));
  const event = EVENTS.find((known) => known === line["event"]);
  return event === undefined || at === undefined ? [] : [{ at, event, address: String(line["address"]) }];
}

async function linesSince(stack: StackFile, since: number): Promise<readonly EgressLine[]> {
  const client = new CloudWatchLogsClient({ region: stack.region });
  const found: EgressLine[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.send(
      new FilterLogEventsCommand({
        logGroupName: `/mooring/${stack.name}/bot`,
        startTime: since,
        filterPattern: `{ ${EVENTS.map((event) => `($.event = "${event}")`).join(" || ")} }`,
        nextToken,
      }),
    );
    found.push(...(page.events ?? []).flatMap(({ timestamp, message }) => readLine(timestamp, message)));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return found.sort((left, right) => left.at - right.at);
}

async function alarmState(stack: StackFile): Promise<string> {
  const client = new CloudWatchClient({ region: stack.region });
  const { MetricAlarms = [] } = await client.send(
    new DescribeAlarmsCommand({ AlarmNames: [`${stack.name}-EgressMismatch`] }),
  );
  return MetricAlarms[0]?.StateValue ?? "";
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { stack: { type: "string" }, to: { type: "string" }, reason: { type: "string" } },
  });
  const { to, reason } = values;
  if (values.stack === undefined || to === undefined)
    throw new ToolError("give --stack and --to, such as --stack prod --to blue");
  const stack = readStackFile(values.stack);
  const of = ["--stack", values.stack];
  const from = pulumi(false, "config", "get", "egressSlot", ...of).trim();
  const slots = syntax.read(pulumi(false, "config", "get", "egressSlots", ...of));
  if (!slots.ok) throw new ToolError(`egressSlots ${slots.problem}`);
  const today = new Date().toISOString().slice(0, 10);
  const rotation = rotate({ slots: slots.value, from, to, today, ...(reason === undefined ? {} : { reason }) });
  if (!rotation.ok) throw new ToolError(rotation.problem);
  const tooMany = quotaProblem(await addressQuota(stack.region), slots.value, to, stack.value("natZones"));
  if (tooMany !== undefined) throw new ToolError(tooMany);
  for (const command of rotation.commands) pulumi(true, "config", ...command, ...of);

  const { reasons } = judge(JSON.parse(pulumi(false, "preview", "--json", ...of)));
  if (reasons.length > 0) {
    throw new ToolError(
      `this would be more than a rotation:\n  ${reasons.join("\n  ")}\nThe configuration is changed, nothing else is; put it back with git.`,
    );
  }
  const since = Date.now();
  // Asks before it acts, and returns once the new task is steady.
  pulumi(true, "up", ...of);
  const addresses: unknown = JSON.parse(pulumi(false, "stack", "output", "publicAddresses", "--json", ...of));
  const expected = Array.isArray(addresses) ? addresses.map(String) : [];
  if (stack.value("egressEchoUrl") === undefined) {
    console.log(`Rotated to ${expected.join(", ")}; without egressEchoUrl the bot cannot prove it.`);
    return;
  }
  console.log(`Waiting for the bot to be seen from ${expected.join(" or ")} ...`);
  const proof = await awaitProof(expected, since, {
    wall: Date.now,
    sleep: async (milliseconds) => void (await sleep(milliseconds)),
    lines: (start) => linesSince(stack, start),
    alarm: () => alarmState(stack),
  });
  if (!proof.ok) throw new ToolError(proof.problem);
  console.log(
    `Proven: the bot is seen from ${proof.address}, ${Math.round(proof.tookMs / 1_000)} s after the rotation began.`,
  );
}

if (import.meta.main) await runTool(main);
