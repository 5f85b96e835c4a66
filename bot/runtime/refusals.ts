// Why Discord refuses the bot, kept in the ledger, so that a start with the same settings need not ask again.

import type { Environment } from "../../shared/environment.ts";
import type { Clock } from "../clock.ts";
import { fingerprintOf } from "../ledger/hash.ts";
import type { Ledger, StoredRefusal } from "../ledger/ledger.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";

/** Why Discord refuses the bot, and what a person must do about it. */
export interface Refusal {
  readonly code: string;
  readonly fix: string;
}

export const REFUSED_TOKEN: Refusal = {
  code: "401",
  fix: "Discord does not take DISCORD_TOKEN: make a new token in the developer portal (Bot, Reset Token) and install it",
};

// A refusal can be mended in the developer portal, where no setting of ours changes: after an hour one start may ask again.
const REFUSAL_HOLDS_MS = 3_600_000;

export interface Refusals {
  /** Whether an earlier process was refused with these very settings, not long ago. */
  holds(refusal: StoredRefusal): boolean;
  /** Writes it down; a ledger that fails is reported. */
  remember(refusal: Refusal): Promise<void>;
}

/** @param intents the bits that the bot module asks for, before any of them is given up */
export function createRefusals(parts: {
  readonly environment: Environment;
  readonly intents: number;
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly telemetry: Telemetry;
}): Refusals {
  const { clock, ledger, telemetry } = parts;
  const { DISCORD_TOKEN, SHARD_IDS, SHARD_COUNT } = parts.environment;
  const fingerprint = fingerprintOf(DISCORD_TOKEN, parts.intents, `${SHARD_IDS ?? "all"} of ${SHARD_COUNT}`);
  return {
    holds: (refusal) => refusal.fingerprint === fingerprint && clock.wall() - refusal.writtenAt < REFUSAL_HOLDS_MS,
    async remember({ code, fix }) {
      try {
        await ledger.writeRefusal({ code, fix, fingerprint, writtenAt: clock.wall() });
      } catch (error) {
        telemetry.event("ledger.unreachable", { error: String(error) });
      }
    },
  };
}
