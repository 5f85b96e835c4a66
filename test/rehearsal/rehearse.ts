// Runs drills side by side: so many worlds at once, each started in its turn, a line for every step.

import { systemClock } from "../../bot/clock.ts";
import type { DeclaredProgram } from "../infra/program.ts";
import { type Drill, LIMITS } from "./drill.ts";
import { differences, exceptions } from "./report.ts";
import { type DrillOptions, type Outcome, runDrill, type Say } from "./runDrill.ts";

export interface Plan {
  readonly drill: Drill;
  readonly rate: number;
  /** Its own, where the drill's stack has more than the common one. */
  readonly program?: DeclaredProgram;
}

// The start of a process takes a processor for a second or two; more at once would let each one's fast clock run on
// while it waits, until its silence counts as a fault.
const STARTS_AT_ONCE = 2;
// An alarm is looked at once a minute, at worst just after the fault and just before the page.
const AGREE_WITHIN_MS = 120_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** When fast time must have begun for its wall clock to stand at that minute of an hour now; real time cannot be moved. */
function originFor(minute: number | undefined, rate: number): number {
  const now = Date.now();
  if (minute === undefined || rate === 1) return now;
  const ahead = (minute * MINUTE_MS - (now % HOUR_MS) + HOUR_MS) % HOUR_MS;
  return Math.round(now - ahead / (rate - 1));
}

/** At most `most` holders at once; `enter` resolves to the function that leaves. */
function gate(most: number): () => Promise<() => void> {
  const waiting: (() => void)[] = [];
  let inside = 0;
  return async () => {
    if (inside >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else inside += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    };
  };
}

/** The longest a drill may take, real ms: what takes longest goes first, so that nothing long is left for the end. */
const estimate = ({ drill, rate }: Plan): number =>
  (drill.quietMs + (drill.lastsMs ?? 0) + (drill.firesMs ?? LIMITS.firesMs) + (drill.clearsMs ?? LIMITS.clearsMs)) /
  rate;

/**
 * Outcomes in the order of the plans.
 * @param atOnce worlds at a time.
 * @param otherwise how the bot is started and looked at, where it is no plain process.
 */
export async function rehearse(
  program: DeclaredProgram,
  plans: readonly Plan[],
  atOnce: number,
  signal: AbortSignal,
  otherwise: Pick<DrillOptions, "launch" | "statusPort" | "inspect"> = {},
): Promise<readonly Outcome[]> {
  const width = Math.max(...plans.map(({ drill }) => drill.name.length));
  const worlds = gate(atOnce);
  const starts = gate(STARTS_AT_ONCE);
  const nameOf = (rule: string): string => `${program.project}-${program.stack}-${rule}`;
  let told = false;

  const one = async (plan: Plan): Promise<[Plan, Outcome]> => {
    const { drill, rate } = plan;
    const own = plan.program ?? program;
    const leave = await worlds();
    const started = await starts();
    const originMs = originFor(drill.startsAtMinute, rate);
    const clock = systemClock(rate, originMs);
    const since = clock.now();
    const say: Say = (step) => {
      const seconds = Math.round((clock.now() - since) / 1_000);
      const at = `${String(Math.floor(seconds / 60)).padStart(2)}:${String(seconds % 60).padStart(2, "0")}`;
      console.log(`${at}  ${drill.name.padEnd(width)}  ${rate === 1 ? "(real time) " : ""}${step}`);
    };
    try {
      const outcome = await runDrill(drill, {
        ...otherwise,
        program: own,
        clock,
        rate,
        originMs,
        signal,
        nameOf,
        say,
        onOpen(changed) {
          if (!told) console.log(`\n${differences(program, changed)}\n`);
          told = true;
          const { config = {}, secrets = {} } = drill.stack ?? {};
          for (const key of Object.keys({ ...config, ...secrets })) say(`on a stack that sets ${key}`);
          for (const line of exceptions(changed)) say(line);
        },
        onStarted: started,
      });
      say(outcome.problems.length === 0 ? "passed" : `FAILED: ${outcome.problems[0]}`);
      return [plan, outcome];
    } finally {
      started();
      leave();
    }
  };

  const ordered = [...plans].sort((a, b) => estimate(b) - estimate(a));
  const outcomes = new Map(await Promise.all(ordered.map(one)));
  return plans.flatMap((plan) => {
    const outcome = outcomes.get(plan);
    return outcome === undefined
      ? []
      : [{ ...outcome, problems: [...outcome.problems, ...disagreement(outcome, outcomes)] }];
  });
}

/** How a drill at rate 1 came out otherwise than the same drill with a fast clock, if it did. */
function disagreement(real: Outcome, outcomes: ReadonlyMap<Plan, Outcome>): string[] {
  if (real.rate !== 1) return [];
  const fast = [...outcomes.values()].find(({ drill, rate }) => drill === real.drill && rate !== 1);
  if (fast === undefined) return [];
  const apart = (a: number | undefined, b: number | undefined): boolean =>
    (a === undefined) !== (b === undefined) || Math.abs((a ?? 0) - (b ?? 0)) > AGREE_WITHIN_MS;
  const same =
    real.reached === fast.reached &&
    !apart(real.firedAfterMs, fast.firedAfterMs) &&
    !apart(real.clearedAfterMs, fast.clearedAfterMs);
  return same ? [] : ["real time and the fast clock do not agree on what fired when: see their two rows"];
}
