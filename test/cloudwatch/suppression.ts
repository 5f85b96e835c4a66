// When a composite alarm with a suppressor acts on a change of state: now, later, or not at all.
// Source: CloudWatch user guide, "Composite alarm action suppression"; its six examples are tests.

import type { AlarmState } from "./alarmState.ts";

/** Both in milliseconds. */
export interface SuppressionPeriods {
  /** How long actions wait for the suppressor to go into ALARM. */
  readonly waitMs: number;
  /** How long they wait after it has left ALARM. */
  readonly extensionMs: number;
}

/** `state` is the change whose actions are held back; times in ms. */
export type Suppression =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting" | "extending"; readonly state: AlarmState; readonly until: number }
  | { readonly kind: "suppressed"; readonly state: AlarmState };

export const IDLE: Suppression = { kind: "idle" };

/** The composite alarm changed its state: a new wait, whatever was held back before. */
export function changed(
  state: AlarmState,
  suppressorInAlarm: boolean,
  periods: SuppressionPeriods,
  now: number,
): Suppression {
  return suppressorInAlarm ? { kind: "suppressed", state } : { kind: "waiting", state, until: now + periods.waitMs };
}

/** The suppressor went into ALARM, or left it. */
export function suppressorMoved(
  current: Suppression,
  inAlarm: boolean,
  periods: SuppressionPeriods,
  now: number,
): Suppression {
  if (current.kind === "idle") return current;
  if (inAlarm) return { kind: "suppressed", state: current.state };
  if (current.kind !== "suppressed") return current;
  return { kind: "extending", state: current.state, until: now + periods.extensionMs };
}

/** The state whose actions are due at `now`, if any; afterwards nothing is held back. */
export function due(current: Suppression, now: number): AlarmState | undefined {
  const timed = current.kind === "waiting" || current.kind === "extending";
  return timed && now >= current.until ? current.state : undefined;
}

/** When something will be due, ms. */
export function deadline(current: Suppression): number | undefined {
  return current.kind === "waiting" || current.kind === "extending" ? current.until : undefined;
}
