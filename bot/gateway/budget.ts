// The daily IDENTIFY budget: as GET /gateway/bot told it, counted on from there, with a reserve that is not touched (pure).

/** What GET /gateway/bot says (events/gateway#get-gateway-bot, #session-start-limit-object). */
export interface GatewayInfo {
  readonly url: string;
  /** The recommended shard count. */
  readonly shards: number;
  readonly total: number;
  readonly remaining: number;
  readonly resetAfterMs: number;
  readonly maxConcurrency: number;
}

export interface BudgetOptions {
  readonly shardCount: number;
  /** IDENTIFYs left untouched; undefined: 10 % of the total, and at least one start of all shards. */
  readonly reserve: number | undefined;
  /** Spends the reserve too, down to zero. */
  readonly override: boolean;
}

/** The budget as last known. */
export interface Budget {
  readonly left: number;
  readonly total: number;
  readonly reserve: number;
  readonly resetAt: number;
  readonly maxConcurrency: number;
}

/** The port to the budget; test/bot/gateway/budgetConformance.ts holds any implementation to it. */
export interface IdentifyBudget {
  /** @param underway IDENTIFYs that were sent and that the answer may not have counted yet */
  inform(info: GatewayInfo, now: number, underway: number): void;
  /** Nothing is known, or it is too old to go by: ask before another IDENTIFY. */
  isStale(now: number): boolean;
  /** IDENTIFYs that may still be sent; never below 0, and 0 before the first answer. */
  free(): number;
  /** One is sent. */
  spend(): void;
  /** One that was to be sent was not. */
  giveBack(): void;
  /** Other processes spend of the same budget, and say that no more than so many are left. */
  atMost(left: number): void;
  /** null before the first answer. */
  state(): Budget | null;
}

/** An answer of GET /gateway/bot is believed this long, since others may spend of the same budget. */
const FRESH_MS = 600_000;
const RESERVE_SHARE = 0.1;
/** Discord's clock and ours may disagree about the reset: it is not asked again sooner, since its route is limited too. */
const LEAST_RESET_MS = 5_000;

/** The budget of a bot whose only process this is, or whose other processes spend little. */
export function identifyBudget({ shardCount, reserve, override }: BudgetOptions): IdentifyBudget {
  let known: { readonly total: number; readonly resetAt: number; readonly maxConcurrency: number } | undefined;
  let readAt = 0;
  // Below 0 when an answer comes that leaves no room for a turn already given.
  let left = 0;

  const kept = (total: number): number =>
    override ? 0 : (reserve ?? Math.max(Math.ceil(total * RESERVE_SHARE), shardCount));

  return {
    inform({ total, remaining, resetAfterMs, maxConcurrency }, now, underway) {
      const resetAt = now + Math.max(resetAfterMs, LEAST_RESET_MS);
      known = { total, resetAt, maxConcurrency: Math.max(1, maxConcurrency) };
      readAt = now;
      left = Math.max(0, remaining - underway);
    },
    isStale: (now) => known === undefined || now - readAt >= FRESH_MS || now >= known.resetAt,
    free: () => (known === undefined ? 0 : Math.max(0, left - kept(known.total))),
    spend() {
      left -= 1;
    },
    giveBack() {
      left += 1;
    },
    atMost(others) {
      left = Math.min(left, others);
    },
    state: () => (known === undefined ? null : { ...known, left: Math.max(0, left), reserve: kept(known.total) }),
  };
}
