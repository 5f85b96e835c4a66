// What is checked before the first dial: the ledger answers, and Discord takes the token. A doubt passes, a refusal does not.

import type { Clock } from "./clock.ts";
import type { GatewayInfo } from "./gateway/identify.ts";
import type { Ledger, StoredRefusal, StoredSession } from "./ledger/ledger.ts";
import { LedgerError } from "./ledger/ledgerError.ts";
import { countToStart } from "./ledger/shardPlan.ts";
import type { Telemetry } from "./telemetry/telemetry.ts";

/** What an earlier process left. */
export interface Kept {
  readonly sessions: readonly StoredSession[];
  /** Starts before this one. */
  readonly starts: readonly number[];
  readonly refusal: StoredRefusal | undefined;
  /** As chosen when it was last changed; undefined: it never was. */
  readonly shardCount: number | undefined;
}

/** A place among the bot's values that no module would choose. */
const OWNER = "mooring/application";
const FOREVER_MS = 3_650 * 86_400_000;

/** Sessions, budget and claims mean nothing to another application, and would be overwritten by it: the first one stays. */
async function checkOwner({ values }: Ledger, application: string, now: number): Promise<void> {
  let owner = await values.read(OWNER, now);
  if (owner === undefined) {
    if (await values.claim(OWNER, application, now, now + FOREVER_MS)) return;
    // Of tasks that start together on an empty ledger one claims it for all.
    owner = await values.read(OWNER, now);
  }
  if (owner === application) return;
  throw new LedgerError(
    "damaged",
    `belongs to application ${owner}, and DISCORD_TOKEN is ${application}'s; give each application a ledger of its own`,
  );
}

/**
 * Reads the ledger. What is damaged counts as empty, and is reported.
 * @param application as the token tells it, if it does.
 * @throws LedgerError when the ledger cannot be read or written at all: then nothing would outlive this process; and when
 *   it is another application's.
 */
export async function readLedger(
  ledger: Ledger,
  telemetry: Telemetry,
  now: number,
  application?: string,
): Promise<Kept> {
  if (ledger.persistent && application !== undefined) await checkOwner(ledger, application, now);
  const read = async <Value>(part: Promise<Value>, empty: Value): Promise<Value> => {
    try {
      return await part;
    } catch (error) {
      if (!(error instanceof LedgerError && error.kind === "damaged")) throw error;
      telemetry.event("ledger.unreachable", { error: error.message });
      return empty;
    }
  };
  const { plan } = await read(ledger.shardPlans.read(), { plan: undefined, version: undefined });
  const kept: Kept = {
    sessions: await read(ledger.readSessions(), []),
    starts: await read(ledger.readStarts(), []),
    refusal: await read(ledger.readRefusal(), undefined),
    shardCount: plan && countToStart(plan),
  };
  return kept;
}

// Long enough not to hammer a table that is down, short enough for a start to go on as soon as it is back.
const ASK_AGAIN_MS = 2_000;

/** What `ask` resolves to; asked again while the ledger does not answer. Rejects with the signal's reason when that aborts. */
export async function untilReachable<Result>(
  parts: { readonly clock: Clock; readonly telemetry: Telemetry; readonly signal: AbortSignal },
  ask: () => Promise<Result>,
): Promise<Result> {
  for (let told = false; ; told = true) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof LedgerError && error.kind === "unreachable")) throw error;
      if (!told) parts.telemetry.event("ledger.unreachable", { error: error.message });
      parts.telemetry.level("LedgerUnreachable", 1);
      await parts.clock.sleep(ASK_AGAIN_MS, parts.signal);
    }
  }
}

/** Whether SHARD_IDS leaves nothing to run, now that SHARD_COUNT=auto has become a number. */
export function leavesNoShard(ids: readonly number[] | undefined, shardCount: number): boolean {
  return ids?.every((id) => id >= shardCount) ?? false;
}

/** What to tell whoever set SHARD_IDS so. */
export function noShardProblem(ids: readonly number[] = [], shardCount: number): string {
  const found = shardCount === 1 ? "1 shard, 0" : `${shardCount} shards, 0 to ${shardCount - 1}`;
  return `SHARD_IDS has ${ids.join(", ")} while SHARD_COUNT=auto finds ${found}: choose among these, or set SHARD_COUNT`;
}

export type TokenCheck =
  | { readonly outcome: "taken"; readonly gateway: GatewayInfo }
  /** The edge, a 5xx, a timeout: says nothing about the token, and a restart would only make it worse. */
  | { readonly outcome: "unclear"; readonly cause: unknown }
  | { readonly outcome: "refused" };

// Room for a retry of a slow API, well within ECS's start period of 120 s.
const TOKEN_DEADLINE_MS = 30_000;
// A refusal is believed when it is repeated: Discord answers 401 for moments in its own outages.
const SECOND_LOOK_MS = 5_000;

/**
 * Asks GET /gateway/bot, and a second time when the first answer is a refusal.
 * @param ask one request; a fresh client each time, since a client that was refused sends nothing more.
 */
export async function checkToken(parts: {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Milliseconds before the first question. */
  readonly firstLookMs: number;
  ask(signal: AbortSignal): Promise<GatewayInfo>;
  isRefusal(error: unknown): boolean;
}): Promise<TokenCheck> {
  const { clock, signal } = parts;
  const once = async (): Promise<TokenCheck> => {
    const late = new AbortController();
    const cancel = clock.schedule(TOKEN_DEADLINE_MS, () =>
      late.abort(new Error(`no answer to GET /gateway/bot within ${TOKEN_DEADLINE_MS} ms`)),
    );
    try {
      return { outcome: "taken", gateway: await parts.ask(AbortSignal.any([signal, late.signal])) };
    } catch (cause) {
      return parts.isRefusal(cause) ? { outcome: "refused" } : { outcome: "unclear", cause };
    } finally {
      cancel();
    }
  };
  if (parts.firstLookMs > 0) await clock.sleep(parts.firstLookMs, signal);
  const first = await once();
  if (first.outcome !== "refused") return first;
  await clock.sleep(SECOND_LOOK_MS, signal);
  return once();
}
