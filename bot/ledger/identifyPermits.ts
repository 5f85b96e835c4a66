// IDENTIFYs of all tasks: one a key within 5 s, and one daily budget, both counted in the ledger.

import { KIND } from "../../shared/table.ts";
import type { Clock } from "../clock.ts";
import { update } from "./itemLedger.ts";
import type { Items } from "./items.ts";
import { LedgerError } from "./ledgerError.ts";

// events/gateway#sharding-max-concurrency: one IDENTIFY a key within 5 s; the rest is for the way to Discord.
const WINDOW_MS = 5_100;
// Others count from when they saw the window, we identify once we know that it is ours: half of that rest is for the answer.
const PROMPT_MS = 50;
// A shard whose turn has come waits for 30 s, and then asks anew.
const PATIENCE_MS = 25_000;

/** What one process knows of the budget (events/gateway#session-start-limit-object); `left` is before this IDENTIFY. */
export interface KnownBudget {
  readonly left: number;
  /** Not to be touched. */
  readonly reserve: number;
  /** Wall time, ms since 1970. */
  readonly resetAt: number;
  /** IDENTIFYs within 5 s. */
  readonly maxConcurrency: number;
}

const numberOr = (value: unknown, otherwise: number): number => (typeof value === "number" ? value : otherwise);

/** What is left is that of the budget which all tasks share. */
export type Permit = "granted" | { readonly left: number };

export interface IdentifyPermits {
  /**
   * Resolves to "granted" when an IDENTIFY of the key may go at once, which is counted; or to what the tasks together have
   * left, when that is no more than the reserve. Rejects with a LedgerError without the ledger, or after too long a wait.
   */
  take(key: string, budget: KnownBudget | undefined): Promise<Permit>;
}

export function createIdentifyPermits({ clock, items }: { clock: Clock; items: Items }): IdentifyPermits {
  // One a key; a version is a window, and whoever sees it first waits it out on its own clock.
  const seen = new Map<string, { readonly version: number; readonly since: number }>();

  /** @returns since when others may count the window: when it was asked for */
  const pass = async (key: string, patientUntil: number): Promise<number> => {
    for (;;) {
      const version = (await items.get(KIND.window, key))?.version;
      if (version !== undefined && seen.get(key)?.version !== version) seen.set(key, { version, since: clock.now() });
      const waitMs = version === undefined ? 0 : (seen.get(key)?.since ?? 0) + WINDOW_MS - clock.now();
      if (clock.now() + waitMs > patientUntil) throw late(key);
      if (waitMs > 0) await clock.sleep(waitMs);
      const sentAt = clock.now();
      if (await open(key, version)) return sentAt;
    }
  };

  const open = async (key: string, version: number | undefined): Promise<boolean> => {
    const next = await items.swap({ kind: KIND.window, id: key, body: "" }, version);
    if (next !== undefined) seen.set(key, { version: next, since: clock.now() });
    return next !== undefined;
  };

  const spend = async (budget: KnownBudget): Promise<Permit> => {
    let permit: Permit = "granted";
    await update(items, KIND.fleet, "budget", (item) => {
      const kept = item === undefined ? undefined : budgetFrom(item.body);
      const left = kept === undefined || kept.resetAt <= clock.wall() ? budget.left : Math.min(kept.left, budget.left);
      permit = left > budget.reserve ? "granted" : { left };
      if (permit !== "granted") return undefined;
      const resetAt = Math.max(kept?.resetAt ?? 0, budget.resetAt);
      return JSON.stringify({ ...budget, left: left - 1, resetAt } satisfies KnownBudget);
    });
    return permit;
  };

  return {
    async take(key, budget) {
      const countedFrom = await pass(key, clock.now() + PATIENCE_MS);
      const permit = budget === undefined ? "granted" : await spend(budget);
      // Beside an IDENTIFY that goes late the window begins anew: whoever waits loses its swap, and waits once more.
      const isLate = permit === "granted" && clock.now() - countedFrom > PROMPT_MS;
      if (isLate) void open(key, seen.get(key)?.version).catch(() => {});
      return permit;
    },
  };
}

/** What the tasks together have left, as the last that identified has told it; undefined: none has yet. */
export async function sharedBudget(items: Items): Promise<KnownBudget | undefined> {
  const item = await items.get(KIND.fleet, "budget");
  return item && budgetFrom(item.body);
}

const late = (key: string): LedgerError =>
  new LedgerError(
    "unreachable",
    `the IDENTIFY key ${key} was other tasks' for ${PATIENCE_MS} ms; it is asked for again`,
  );

function budgetFrom(body: string): KnownBudget | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null) return undefined;
    const { left, resetAt, reserve, maxConcurrency } = value as Partial<Record<keyof KnownBudget, unknown>>;
    if (typeof left !== "number" || typeof resetAt !== "number") return undefined;
    // An older version did not say these.
    return { left, resetAt, reserve: numberOr(reserve, 0), maxConcurrency: numberOr(maxConcurrency, 1) };
  } catch {
    return undefined;
  }
}
