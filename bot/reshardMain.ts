// Asks the running bot for another number of shards: says what it costs, writes the plan into the ledger, and tells how far it is.

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Environment, parseEnvironment } from "../shared/environment.ts";
import { ledgerLocation } from "../shared/syntax.ts";
import { systemClock } from "./clock.ts";
import { gatewayInfo } from "./gatewayInfo.ts";
import { sharedBudget } from "./ledger/identifyPermits.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { LedgerError } from "./ledger/ledgerError.ts";
import { openLedger } from "./ledger/open.ts";
import { type ReshardBudget, reshardPrice } from "./ledger/reshardPrice.ts";
import type { ShardPlan } from "./ledger/shardPlan.ts";
import { createRestClient } from "./rest/client.ts";
import { USER_AGENT } from "./runtime/api.ts";
import { createTelemetry } from "./telemetry/telemetryDriver.ts";

const USAGE = `npm run reshard -- --to N [--stack STACK | --ledger file:DIR | --ledger dynamodb:TABLE] [--apply]

  --to N      how many shards there shall be
  --stack     whose table holds the plan; by default the ledger of .env or the environment
  --apply     asks the bot for it; without, only the price is told

DISCORD_TOKEN, where it is set, asks Discord what is left of the day's IDENTIFYs; otherwise the table says so.`;

// The route of GET /gateway/bot may be slow, not silent.
const ANSWER_MS = 30_000;
const LOOK_EVERY_MS = 1_000;

/** A person can mend it; the message says how. */
class ReshardError extends Error {
  readonly kind = "reshard";
}

/** What is set for a bot here, if that is all a bot needs. */
function settings(): Environment | undefined {
  const parsed = parseEnvironment(process.env);
  return parsed.ok ? parsed.environment : undefined;
}

async function askDiscord(environment: Environment, to: number): Promise<ReshardBudget> {
  const clock = systemClock();
  const rest = createRestClient({
    clock,
    random: Math.random,
    telemetry: createTelemetry({ clock, stack: "none", intervalMs: 60_000, level: "error" }),
    userAgent: USER_AGENT,
    apiUrl: environment.DISCORD_API_URL,
    token: environment.DISCORD_TOKEN,
    globalPerSecond: environment.REST_GLOBAL_PER_SECOND,
    addresses: [],
    onEdge: () => {},
    onUnauthorized: () => {},
  });
  try {
    const info = await gatewayInfo(rest, AbortSignal.timeout(ANSWER_MS), environment.DISCORD_GATEWAY_URL);
    const { remaining: left, total, maxConcurrency, resetAfterMs } = info;
    const reserve = environment.IDENTIFY_RESERVE ?? Math.max(Math.ceil(total / 10), to);
    return { left, reserve, maxConcurrency, resetAt: clock.wall() + resetAfterMs };
  } finally {
    await rest.stop(0);
  }
}

async function budgetOf(ledger: Ledger, from: number, to: number): Promise<ReshardBudget> {
  const environment = settings();
  if (environment !== undefined) return askDiscord(environment, to);
  const kept = ledger.shared && (await sharedBudget(ledger.shared.items));
  if (kept === undefined) {
    throw new ReshardError("nothing here tells what is left of the day's IDENTIFYs; set DISCORD_TOKEN as for the bot");
  }
  // A reserve below one start of all shards was set on purpose (IDENTIFY_RESERVE); otherwise it grows with them.
  return { ...kept, reserve: kept.reserve < from ? kept.reserve : Math.max(kept.reserve, to) };
}

async function countNow(ledger: Ledger, plan: ShardPlan | undefined): Promise<number> {
  if (plan !== undefined) return plan.count;
  const sessions = [...(await ledger.readSessions())].sort((one, other) => other.writtenAt - one.writtenAt);
  const count = sessions[0]?.shardCount;
  if (count === undefined)
    throw new ReshardError("no bot has run with this ledger yet; SHARD_COUNT sets the first number");
  return count;
}

/** The plan as it is now; a ledger that does not answer for a moment takes nothing away from it. */
async function planOf(ledger: Ledger): Promise<ShardPlan | undefined | "unknown"> {
  try {
    return (await ledger.shardPlans.read()).plan;
  } catch (error) {
    if (error instanceof LedgerError && error.kind === "unreachable") return "unknown";
    throw error;
  }
}

/** Tells every step until the plan is carried out. */
async function watch(ledger: Ledger, to: number): Promise<void> {
  for (let told = ""; ; await sleep(LOOK_EVERY_MS)) {
    const plan = await planOf(ledger);
    if (plan === "unknown") continue;
    const step = plan?.next?.step ?? "";
    if (step !== told) console.log(step === "" ? "done" : step);
    told = step;
    if (plan?.next !== undefined) continue;
    if (plan?.count === to) return;
    throw new ReshardError("the bot has given it up; its log says why (level error)");
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      to: { type: "string" },
      ledger: { type: "string", default: process.env["LEDGER"] ?? "" },
      apply: { type: "boolean", default: false },
    },
  });
  const to = Number(values.to);
  const location = ledgerLocation.read(values.ledger);
  if (!Number.isSafeInteger(to) || to < 1 || !location.ok || location.value.kind === "memory") {
    throw new ReshardError(USAGE);
  }
  const ledger = await openLedger(location.value);
  const { plan, version } = await ledger.shardPlans.read();
  const from = await countNow(ledger, plan);
  if (plan?.next !== undefined && plan.next.count !== to) {
    throw new ReshardError(
      `the way from ${from} to ${plan.next.count} is under way (${plan.next.step}); wait for its end`,
    );
  }
  if (plan?.next === undefined) {
    if (from === to) {
      console.log(`there are ${to} shards already`);
      return;
    }
    const configured = settings()?.SHARD_COUNT ?? "auto";
    if (configured !== "auto" && configured !== to) {
      console.log(`afterwards set SHARD_COUNT to ${to}, or the next start undoes it`);
    }
    const { text, problem } = reshardPrice(from, to, await budgetOf(ledger, from, to));
    console.log(text);
    if (problem !== undefined) throw new ReshardError(problem);
    if (!values.apply) {
      console.log("again with --apply, the bot does it");
      return;
    }
    const asked = await ledger.shardPlans.write({ count: from, next: { count: to, step: "opening" } }, version);
    if (!asked) throw new ReshardError("somebody else has changed the plan this very moment; look again");
  }
  await watch(ledger, to);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ReshardError || error instanceof LedgerError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
