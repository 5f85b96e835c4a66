// Which of two sets of shards handles an event that both receive: whichever claims it first, in one step.

import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Values } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";

// Longer than an event may wait for its handler and its handler may run.
const KEPT_MS = 1_800_000;
// The old set goes on without an answer, and an event of which the new one had one is handled twice then: so long an outage
// must be rare within the seconds that both sets are there.
const ASK_AGAIN_MS = 250;
const MOST_ASKING_MS = 60_000;

// Discord numbers these, and sends each once.
const NUMBERED: readonly string[] = ["MESSAGE_CREATE", "INTERACTION_CREATE"];

/** An event as it is the same in two sessions: what Discord numbers by its number, everything else by its content. */
export function eventIdentity(type: string, data: unknown): string {
  const id = typeof data === "object" && data !== null ? Reflect.get(data, "id") : undefined;
  const numbered = typeof id === "string" && NUMBERED.includes(type);
  const content = numbered ? id : (JSON.stringify(data) ?? "");
  return createHash("sha256").update(`${type} ${content}`).digest("hex");
}

export interface EventClaims {
  /**
   * Whether this set handles the event; again true when it has claimed it before, as a replay after a crash asks.
   * @param unanswered what to do when the ledger does not answer
   */
  take(identity: string, unanswered: boolean): Promise<boolean>;
}

/** @param set what the claims of one set have in common, in all tasks */
export function createEventClaims(parts: {
  readonly clock: Clock;
  readonly values: Values;
  readonly set: string;
}): EventClaims {
  const { clock, values, set } = parts;

  const ask = async (key: string): Promise<boolean> => {
    const now = clock.wall();
    if (await values.claim(key, set, now, now + KEPT_MS)) return true;
    return (await values.read(key, now)) === set;
  };

  return {
    async take(identity, unanswered) {
      const until = clock.now() + MOST_ASKING_MS;
      for (;;) {
        try {
          return await ask(`event ${identity}`);
        } catch (error) {
          if (!(error instanceof LedgerError)) throw error;
          if (clock.now() >= until) return unanswered;
          await clock.sleep(ASK_AGAIN_MS);
        }
      }
    },
  };
}
