// Spends IDENTIFYs: asks the other processes for leave, counts each, and tells what is left and who waits for it.

import type { Clock } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { IdentifyQueue, IdentifyStep } from "./identify.ts";
import type { Shard } from "./shard.ts";

/** What a permit is asked for with; `resetAt` is wall time, `left` is before this IDENTIFY. */
export interface PermitBudget {
  readonly left: number;
  readonly reserve: number;
  readonly resetAt: number;
}

/**
 * Resolves when an IDENTIFY may go as far as other processes with this token are concerned, or to what all of them
 * together have left when that is no more than the reserve; rejects: not now.
 */
export type IdentifyPermit = (
  shard: number,
  maxConcurrency: number,
  budget: PermitBudget | undefined,
) => Promise<"granted" | { readonly left: number }>;

export interface SpendingParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly shards: ReadonlyMap<number, Shard>;
  readonly permit: IdentifyPermit | undefined;
  queue(): IdentifyQueue;
  /** The queue may let somebody go. */
  tick(): void;
}

export interface Spending {
  /** The shard's turn has come: its IDENTIFY goes, once there is leave. */
  spend(shard: number): void;
  /** Tells who waits for the budget, and until when. */
  report(step: IdentifyStep): void;
  /** When the wait for the budget is over; null: nobody waits. */
  waitingUntil(): number | null;
}

export function identifySpending({ clock, telemetry, shards, permit, queue, tick }: SpendingParts): Spending {
  let waitingUntil: number | null = null;
  // IDENTIFYs that wait for leave. The queue has counted them already, the processes together have not.
  let asking = 0;

  const send = (id: number): void => {
    const left = queue().budget()?.left ?? null;
    telemetry.count("Identifies");
    if (left !== null) telemetry.level("IdentifiesRemaining", left);
    telemetry.event("identify.spent", { shard: id, left });
    shards.get(id)?.input({ kind: "identifyNow" });
  };

  const ask = async (id: number, permitted: IdentifyPermit): Promise<void> => {
    const generation = shards.get(id)?.state().generation;
    const budget = queue().budget();
    /** The connection would wait in vain; its shard asks for another turn. */
    const leave = (reason: string): void => {
      if (generation !== undefined) shards.get(id)?.input({ kind: "broken", generation, reason });
      tick();
    };
    asking += 1;
    const known = budget && {
      left: budget.left + asking,
      reserve: budget.reserve,
      resetAt: clock.wall() + budget.resetAt - clock.now(),
    };
    try {
      const answer = await permitted(id, budget?.maxConcurrency ?? 1, known ?? undefined);
      if (answer !== "granted") {
        queue().spentTogether(id, answer.left);
        telemetry.level("IdentifiesRemaining", answer.left);
        leave("all processes together have spent the budget");
        return;
      }
    } catch (error) {
      telemetry.log("warn", `shard ${id}: no leave to IDENTIFY`, { shard: id, error: String(error) });
      queue().notSent(id);
      leave("no leave to IDENTIFY");
      return;
    } finally {
      asking -= 1;
    }
    const state = shards.get(id)?.state();
    if (state?.kind === "identifying" && !state.sent && state.generation === generation) send(id);
    // Nothing was sent, so nobody will answer: the key must not wait for it.
    else queue().answered(id, clock.now());
  };

  return {
    spend(id) {
      if (permit === undefined) send(id);
      else void ask(id, permit);
    },
    report({ budget, waiting }) {
      if (budget === undefined) return;
      telemetry.level("WaitingForBudget", budget === null ? 0 : 1);
      if (budget === null) {
        waitingUntil = null;
        return;
      }
      for (const id of waiting) shards.get(id)?.input({ kind: "budget", until: budget.until });
      if (waitingUntil === budget.until) return;
      waitingUntil = budget.until;
      const until = new Date(clock.wall() + budget.until - clock.now()).toISOString();
      const { left, reserve } = budget;
      // Told as the first shard waits; the others of its fleet follow.
      const rest = `IDENTIFY_RESERVE below ${reserve} or IDENTIFY_OVERRIDE=on spends the rest before`;
      const fix = `shards without a session wait until ${until}; ${left > 0 ? rest : "nothing is left to spend before"}`;
      telemetry.event("identify.waiting", { until, left, reserve, fix });
    },
    waitingUntil: () => waitingUntil,
  };
}
