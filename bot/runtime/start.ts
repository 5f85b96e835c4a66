// The order of a start: the ledger, what it remembers, the token, the bot module, the first dial.

import type { Environment } from "../../shared/environment.ts";
import type { Clock } from "../clock.ts";
import type { Bot, BotDefinition } from "../defineBot.ts";
import { askEcho } from "../egress/echo.ts";
import { watchEgress } from "../egress/egressWatch.ts";
import { userIdOf } from "../identity.ts";
import { tokenHash } from "../ledger/hash.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { LedgerError } from "../ledger/ledgerError.ts";
import { leavesNoShard, noShardProblem, readLedger, untilReachable } from "../preflight.ts";
import { crashLoopPauseMs, FIRST_PAUSE_MS } from "../resilience/crashLoop.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Api } from "./api.ts";
import type { Ending } from "./ending.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { REFUSED_TOKEN, type Refusals } from "./refusals.ts";
import type { Resharding } from "./resharding.ts";
import type { ShardSet } from "./shardSet.ts";

// A start that does more than open things up must not keep the bot from its users.
const START_DEADLINE_MS = 10_000;
// A start that took over sessions is a deploy; its echoes (a dip in ready shards) are over within 5 min.
const DEPLOY_ECHO_MS = 300_000;

export interface StartParts {
  readonly environment: Environment;
  readonly definition: BotDefinition;
  readonly bot: Bot;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly ledger: Ledger;
  readonly lifecycle: Lifecycle;
  readonly api: Api;
  readonly set: ShardSet;
  readonly resharding: Resharding;
  readonly refusals: Refusals;
  readonly ending: Ending;
}

/** Runs the bot as far as it may go: a refusal ends or parks it, and an end that is asked for meanwhile ends the start. */
export async function start(parts: StartParts): Promise<void> {
  const { over } = parts.lifecycle;
  if (over.aborted) return;
  try {
    await setOut(parts);
  } catch (error) {
    // Whoever ended the run has also ended what it waited for.
    if (!over.aborted) throw error;
  }
}

async function setOut(parts: StartParts): Promise<void> {
  const { environment, clock, telemetry, ledger, lifecycle, api, refusals, ending } = parts;
  const { shards, dispatcher, sharing, checkpoint } = parts.set;
  const { over } = lifecycle;
  const application = userIdOf(environment.DISCORD_TOKEN);
  const kept = await fromLedger(parts, () => readLedger(ledger, telemetry, clock.wall(), application));
  if (kept === undefined || over.aborted) return;
  const { refusal } = kept;
  if (refusal !== undefined && refusals.holds(refusal) && !shards.dropIntents(refusal)) {
    await ending.refuse({ code: refusal.code, fix: refusal.fix }, "remembered");
    return;
  }
  // A start that ends at what is known already spends no IDENTIFY, and counts for no crash loop.
  if ((await fromLedger(parts, () => ledger.recordStart(clock.wall()).then(() => true))) === undefined) return;
  // A session that Discord gave for this token proves it as well as a request would, and costs none.
  const proven = kept.sessions.some((session) => session.tokenHash === tokenHash(environment.DISCORD_TOKEN));
  const check = proven ? undefined : await api.askToken(0);
  if (over.aborted) return;
  if (check?.outcome === "refused") return ending.refuse(REFUSED_TOKEN, "new");
  if (check?.outcome === "unclear") {
    telemetry.log("warn", "GET /gateway/bot gave no clear answer about the token; the bot goes on", {
      error: String(check.cause),
    });
  }
  const known = check?.outcome === "taken" ? check.gateway : undefined;
  const { SHARD_COUNT, SHARD_IDS } = environment;
  if (SHARD_COUNT === "auto" && known !== undefined && leavesNoShard(SHARD_IDS, known.shards)) {
    return ending.misconfigured(noShardProblem(SHARD_IDS, known.shards));
  }
  lifecycle.enter({ phase: "running" });
  // Among others, a shard's session comes with its lease, which also tells whether its last owner died.
  if (sharing === undefined) {
    // Nothing tells a deploy from a death here. It loses nothing: what came in its gap waits for a write each, what comes
    // later passes by.
    const died = kept.starts.length > 0;
    for (const session of kept.sessions) dispatcher.restore(session, undefined, died);
  }
  showDeploy(parts, proven);
  const pauseMs = crashLoopPauseMs(kept.starts, clock.wall(), environment.TASKS);
  if (pauseMs >= FIRST_PAUSE_MS) {
    telemetry.log("warn", "started too often within 10 min: shards without a session wait before they identify", {
      until: new Date(clock.wall() + pauseMs).toISOString(),
    });
  }
  const fleet = shards.open(kept.sessions, known, pauseMs, kept.shardCount);
  await startModule(parts);
  if (over.aborted) return;
  if (sharing !== undefined) {
    await untilReachable({ clock, telemetry, signal: over }, sharing.join);
    if (over.aborted) return sharing.end();
  }
  // Before an event can arrive: whether it must be claimed. A process with a part of the shards has no say in their number.
  if (ledger.persistent && SHARD_IDS === undefined) await parts.resharding.start();
  if (over.aborted) return sharing?.end();
  fleet.start();
  sharing?.start();
  checkpoint.start();
  watchAddress(parts);
}

/** What `ask` resolves to, once the ledger answers; undefined when this process cannot run with it, which ends it. */
async function fromLedger<Result>(
  { clock, telemetry, lifecycle, ending }: StartParts,
  ask: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await untilReachable({ clock, telemetry, signal: lifecycle.over }, ask);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    await ending.misconfigured(`LEDGER ${error.message}`);
    return undefined;
  }
}

function showDeploy({ clock, telemetry, lifecycle }: StartParts, tookOver: boolean): void {
  telemetry.level("DeployRunning", tookOver ? 1 : 0);
  if (!tookOver) return;
  clock.schedule(DEPLOY_ECHO_MS, () => {
    if (lifecycle.phase().phase !== "ending") telemetry.level("DeployRunning", 0);
  });
}

async function startModule({ definition, bot, clock, telemetry, lifecycle, ending }: StartParts): Promise<void> {
  const returned = new AbortController();
  const waited = clock.sleep(START_DEADLINE_MS, AbortSignal.any([returned.signal, lifecycle.over])).then(
    () => telemetry.log("warn", `the bot module's start has not returned within ${START_DEADLINE_MS} ms; dialling`),
    () => {},
  );
  const started = Promise.resolve(definition.start?.(bot)).catch(ending.crash);
  await Promise.race([started, waited]);
  returned.abort();
}

function watchAddress({ environment, clock, telemetry, lifecycle, api }: StartParts): void {
  const echo = environment.EGRESS_ECHO_URL;
  watchEgress({
    clock,
    telemetry,
    addresses: environment.EGRESS_ADDRESSES ?? [],
    signal: lifecycle.over,
    onProven: api.seenFrom,
    askEcho: echo === undefined ? undefined : (signal) => askEcho(echo, signal),
    probeEdge: (signal) => api.client().request({ method: "GET", path: "/gateway", auth: false, signal }),
  });
}
