// What a drill is: a fault, the alarm that it must raise, the cause that the log must name, and how it ends.

import type { EventFields, EventName } from "../../shared/events.ts";
import type { SimulatedDiscordOptions } from "../discord/index.ts";
import type { DeclareOptions } from "../infra/program.ts";
import type { SimulatedUpstreamOptions } from "../upstream/index.ts";
import type { World } from "./world.ts";

export const MINUTE_MS = 60_000;

/** A line that the log must hold, by some of its fields. */
export type NamedCause = {
  [Name in EventName]: {
    readonly event: Name;
    readonly fields: { readonly [Field in keyof EventFields<Name>]?: EventFields<Name>[Field] | RegExp };
  };
}[EventName];

/** A variable that a drill sets otherwise than declared although shared/environment.ts does not mark it `rehearsal`. */
export interface Exception {
  readonly name: "BOT_MODULE" | "LEDGER" | "TASKS";
  readonly value: string;
  /** Why the drill cannot do without; printed with it. */
  readonly why: string;
}

/** A drill goes: start, quiet, fault, alarm, end of the fault, clear, verify. */
export interface Drill {
  readonly name: string;
  /** What is broken on purpose, for the person who watches. */
  readonly fault: string;
  /** The rule of infra/alarms that must reach a person; without one nothing may. */
  readonly alarm?: string;
  /** Further rules that this fault must raise, each of which reaches a person by itself. */
  readonly also?: readonly string[];
  /** Rules that reach nobody by themselves and must have been in ALARM: `alarm` stands on them. */
  readonly through?: readonly string[];
  /** What must stand in the log, so that whoever is woken finds the cause. */
  readonly names?: readonly NamedCause[];
  /** Part of `npm start` without `--all`. */
  readonly always?: true;
  /** Also carried out at rate 1 with `--all`, where it must end the same. */
  readonly alsoAtRate1?: true;
  /** Most times as fast as real time, where several processes must keep up with each other's clocks. */
  readonly mostRate?: number;
  /** How long all is well before the fault, ms of the clock. */
  readonly quietMs: number;
  /** How long a fault that must raise no alarm lasts before it is lifted, ms of the clock. */
  readonly lastsMs?: number;
  /** Longer time limits than LIMITS has, for alarms that look at more than five minutes. */
  readonly firesMs?: number;
  readonly clearsMs?: number;
  /** What the stack has besides its committed configuration, where the alarm is declared only then. */
  readonly stack?: Pick<DeclareOptions, "config" | "secrets">;
  /** The model's provider that UPSTREAM_URL leads to. */
  readonly upstream?: Omit<SimulatedUpstreamOptions, "clock">;
  /** Minute of the hour at which the fast clock begins, where something turns with the hour. */
  readonly startsAtMinute?: number;
  /** How this drill's Discord differs. */
  readonly discord?: Partial<SimulatedDiscordOptions>;
  /** @param directory of this drill alone, deleted afterwards. */
  readonly exceptions?: (directory: string) => readonly Exception[];
  /** Breaks something before the bot is started. */
  readonly before?: (world: World) => void;
  /** Breaks something while all is well. */
  readonly inflict?: (world: World) => void | Promise<void>;
  /** Mends it once the alarm has fired; without it the fault ends by itself, and the bot logs edge.cleared. */
  readonly lift?: (world: World) => void | Promise<void>;
  /** What must hold besides alarms and causes; each broken demand is one sentence. */
  readonly verify?: (world: World) => readonly string[];
  /** What is worth telling of a drill that passed. */
  readonly tell?: (world: World) => string;
}

/** Time limits of the steps, ms of the clock. */
export const LIMITS = {
  /** From bot.started, or from the end of a ban, to every shard ready. */
  readyMs: 3 * MINUTE_MS,
  /** From the fault to the alarm: the slowest rule needs CloudWatch's whole look-back of five silent minutes. */
  firesMs: 9 * MINUTE_MS,
  /** From the end of the fault to OK: three good minutes of five, and the look-back again. */
  clearsMs: 9 * MINUTE_MS,
  /** After the last step: what would page late must have the time to. */
  afterwardsMs: MINUTE_MS,
} as const;

const matches = (value: unknown, wanted: unknown): boolean =>
  wanted instanceof RegExp ? typeof value === "string" && wanted.test(value) : value === wanted;

const shown = (wanted: unknown): string => (wanted instanceof RegExp ? String(wanted) : JSON.stringify(wanted));

/** What the log fails to name, one sentence each. */
export function unnamed(drill: Drill, lines: readonly Readonly<Record<string, unknown>>[]): string[] {
  return (drill.names ?? []).flatMap(({ event, fields }) => {
    const wanted = Object.entries(fields);
    const candidates = lines.filter((line) => line["event"] === event);
    if (candidates.some((line) => wanted.every(([field, value]) => matches(line[field], value)))) return [];
    const demand = wanted.map(([field, value]) => `${field} ${shown(value)}`).join(", ");
    const closest = candidates.at(-1);
    const instead = closest === undefined ? "there is no such line" : `the last one is ${JSON.stringify(closest)}`;
    return [`the log does not name the cause: no ${event} with ${demand}; ${instead}`];
  });
}

/** IDENTIFYs spent other than the drill allows. */
export const identifies =
  (most: number) =>
  ({ discord }: World): readonly string[] => {
    const spent = discord.counts.identifies;
    return spent <= most ? [] : [`${spent} IDENTIFYs were spent, not ${most}: the session was not kept`];
  };
