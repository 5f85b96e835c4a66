// How many shards there are, and how their number becomes another beside the running ones, step by step (pure).

/**
 * opening: the new set of shards comes up, and what it receives is dropped. claiming: the old set claims each event before
 * it handles it. both: either set handles what it has claimed. closing: the old set takes nothing new in and finishes.
 */
export type ReshardStep = (typeof STEPS)[number];

const STEPS = ["opening", "claiming", "both", "closing"] as const;

export interface ShardPlan {
  /** What runs, and what whoever starts now runs until told otherwise. */
  readonly count: number;
  readonly next?: { readonly count: number; readonly step: ReshardStep } | undefined;
}

/** What can be seen of all tasks; a step is the last that a task has carried out, undefined while it has not begun. */
export interface Progress {
  /** Shards of the new set that are ready, and of the old one. */
  readonly ready: number;
  readonly oldReady: number;
  /** Of tasks that run the old set, or would. */
  readonly old: readonly (ReshardStep | undefined)[];
  /** Of tasks that run the new set, or would. */
  readonly next: readonly (ReshardStep | undefined)[];
  /** Tasks of the old set that still finish something. */
  readonly finishing: number;
}

/**
 * An event reaches a bot's two sessions at moments a little apart, and what changes between the two would lose or double
 * it. Far longer than any such delay on a connection that lives.
 */
export const APART_MS = 5_000;

/** The next plan, once every task is where the present one wants it; undefined: not yet, or nothing is to be changed. */
export function advance(plan: ShardPlan, seen: Progress): ShardPlan | undefined {
  const { next } = plan;
  if (next === undefined) return undefined;
  const at = (step: ReshardStep, tasks: readonly (ReshardStep | undefined)[]): boolean =>
    tasks.length > 0 && tasks.every((one) => one !== undefined && STEPS.indexOf(one) >= STEPS.indexOf(step));
  const to = (step: ReshardStep): ShardPlan => ({ ...plan, next: { ...next, step } });
  const isUp = seen.ready >= next.count && seen.next.length > 0;
  // What waits for its handler when a task leaves comes again with the replay, and only to a set that is whole.
  const isWhole = seen.oldReady >= plan.count && seen.finishing === 0;
  switch (next.step) {
    case "opening":
      return isUp ? to("claiming") : undefined;
    case "claiming":
      return isUp && at("claiming", seen.old) ? to("both") : undefined;
    case "both":
      return isUp && isWhole && at("both", seen.next) && at("both", seen.old) ? to("closing") : undefined;
    case "closing":
      return seen.old.length + seen.finishing === 0 ? { count: next.count } : undefined;
  }
}

/** The steps that follow one, up to another. */
export const stepsUpTo = (last: ReshardStep, done: ReshardStep): readonly ReshardStep[] =>
  STEPS.slice(STEPS.indexOf(done) + 1, STEPS.indexOf(last) + 1);

/** The set that whoever starts now must have: one that is closing is not begun again. */
export const countToStart = ({ count, next }: ShardPlan): number => (next?.step === "closing" ? next.count : count);

export const planText = (plan: ShardPlan): string => JSON.stringify(plan);

/** Undefined when the text is no plan. */
export function planFrom(text: string): ShardPlan | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const { count, next } = value as Partial<Record<"count" | "next", unknown>>;
    if (!isShardCount(count)) return undefined;
    if (typeof next !== "object" || next === null) return { count };
    const { count: to, step } = next as Partial<Record<"count" | "step", unknown>>;
    return isShardCount(to) && isStep(step) ? { count, next: { count: to, step } } : { count };
  } catch {
    return undefined;
  }
}

export const isStep = (value: unknown): value is ReshardStep => STEPS.some((step) => step === value);

const isShardCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;
