// A ban of the address outlives the process that met it: kept by address, so that a restart asks the edge no sooner.

import type { Clock } from "../clock.ts";
import type { Values } from "../ledger/ledger.ts";
import { isBan, type ToldBan } from "../ledger/traffic.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";

export interface KeptBanParts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly values: Values;
  readonly address: string;
}

export interface KeptBan {
  /** What this process has met, now that something has changed; undefined: no ban. */
  note(ban: ToldBan | undefined): void;
  /** What an earlier process has left, as it is by now. An address that was moved away from is not asked about. */
  recall(): Promise<ToldBan | undefined>;
}

export function createKeptBan({ clock, telemetry, values, address }: KeptBanParts): KeptBan {
  const key = `edge ban of ${address}`;
  let kept = false;
  let turn: Promise<unknown> = Promise.resolve();

  const inTurn = (work: () => Promise<void>): void => {
    turn = turn.then(work).catch((error: unknown) => telemetry.event("ledger.unreachable", { error: String(error) }));
  };

  return {
    note(ban) {
      if (ban === undefined) {
        if (kept) inTurn(() => values.remove(key));
        kept = false;
        return;
      }
      kept = true;
      const at = clock.wall();
      const lastsMs = Math.max(ban.endsInMs ?? 0, ban.probeInMs);
      inTurn(() => values.write(key, JSON.stringify({ at, ban }), at, at + lastsMs));
    },
    async recall() {
      try {
        const found = parse(await values.read(key, clock.wall()));
        if (found === undefined) return undefined;
        kept = true;
        const age = Math.max(0, clock.wall() - found.at);
        const { sinceMs, endsInMs, probeInMs } = found.ban;
        const ends = endsInMs === undefined ? {} : { endsInMs: Math.max(0, endsInMs - age) };
        return { sinceMs: sinceMs + age, ...ends, probeInMs: Math.max(0, probeInMs - age) };
      } catch (error) {
        telemetry.event("ledger.unreachable", { error: String(error) });
        return undefined;
      }
    },
  };
}

function parse(text: string | undefined): { readonly at: number; readonly ban: ToldBan } | undefined {
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("at" in value) || !("ban" in value)) return undefined;
  const { at, ban } = value;
  return typeof at === "number" && isBan(ban) ? { at, ban } : undefined;
}
