// What another number of shards costs before anybody asks for it: IDENTIFYs of the day's budget, and time (pure).

/** The day's budget, as Discord or the ledger tells it. */
export interface ReshardBudget {
  readonly left: number;
  /** Not to be touched. */
  readonly reserve: number;
  /** IDENTIFYs within 5 s. */
  readonly maxConcurrency: number;
  /** Wall time, ms since 1970. */
  readonly resetAt: number;
}

export interface ReshardPrice {
  /** For a person, such as `40 to 60 needs 60 IDENTIFYs, 412 left, 5 min at concurrency 1`. */
  readonly text: string;
  /** Why it must not be; undefined: it may. */
  readonly problem: string | undefined;
}

// events/gateway#sharding-max-concurrency: as many as that within 5 s.
const WINDOW_S = 5;

export function reshardPrice(from: number, to: number, budget: ReshardBudget): ReshardPrice {
  const { left, reserve, maxConcurrency } = budget;
  const seconds = Math.ceil(to / maxConcurrency) * WINDOW_S;
  const time = seconds < 60 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
  const text = `${from} to ${to} needs ${to} IDENTIFYs, ${left} left, ${time} at concurrency ${maxConcurrency}`;
  if (left - to >= reserve) return { text, problem: undefined };
  const until = new Date(budget.resetAt).toISOString();
  return { text, problem: `${left - to} would be left, and ${reserve} are kept; wait for the reset at ${until}` };
}
