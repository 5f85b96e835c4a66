// What a rotation of the address changes in a stack's configuration; pure, so that every refusal can be tested.

import { type EgressSlot, type EgressSlots, SLOT_NAME } from "../settings/slots.ts";

export interface RotationRequest {
  readonly slots: EgressSlots;
  /** The active slot. */
  readonly from: string;
  readonly to: string;
  /** Why the old address is burned; it is then marked so that nothing chooses it again by mistake. */
  readonly reason?: string;
  /** Today as YYYY-MM-DD. */
  readonly today: string;
}

export type Rotation =
  /** Arguments for `pulumi config`, in order. */
  | { readonly ok: true; readonly commands: readonly (readonly string[])[] }
  | { readonly ok: false; readonly problem: string };

/** The configuration commands that make another slot the active one. */
export function rotate({ slots, from, to, reason, today }: RotationRequest): Rotation {
  const target = slots[to];
  if (!SLOT_NAME.test(to))
    return { ok: false, problem: `--to is "${to}"; a slot's name is lower-case letters and digits` };
  if (to === from) return { ok: false, problem: `--to is "${to}", which is active already; name another slot` };
  if (target?.quarantine !== undefined) {
    const { since, reason: why } = target.quarantine;
    return {
      ok: false,
      problem: `--to is "${to}", in quarantine since ${since} (${why}); name another slot, or clear it`,
    };
  }
  const set = (name: string, slot: EgressSlot): readonly string[] => [
    "set",
    "--path",
    `egressSlots.${name}`,
    JSON.stringify(slot),
  ];
  const old = slots[from];
  return {
    ok: true,
    commands: [
      // Every slot is written, listed or not: setting one alone would drop the others where they come from a default.
      ...Object.entries(slots)
        .filter(([name]) => name !== from)
        .map(([name, slot]) => set(name, slot)),
      ...(old === undefined
        ? []
        : [set(from, reason === undefined ? old : { ...old, quarantine: { reason, since: today } })]),
      ...(target === undefined ? [set(to, {})] : []),
      ["set", "egressSlot", to],
    ],
  };
}
