// Egress slots: named sets of addresses, how their setting is read, and how one is written down.

import type { Reading, Syntax } from "../../shared/syntax.ts";

/** One named set of addresses: who owns them, and why they are out of use if they are. */
export interface EgressSlot {
  /** Elastic IPs brought along, by zone letter; absent = the stack allocates one per NAT zone. */
  readonly allocationIds?: Readonly<Record<string, string>>;
  /** One Elastic IP brought along, short for `allocationIds` while there is one NAT zone. */
  readonly allocationId?: string;
  readonly quarantine?: { readonly reason: string; readonly since: string };
}

export type EgressSlots = Readonly<Record<string, EgressSlot>>;

/** A slot's name is part of resource names and may never change: another name is another address. */
export const SLOT_NAME = /^[a-z][a-z0-9]{0,15}$/;
const ALLOCATION = /^eipalloc-[0-9a-f]{8,17}$/;
// YAML readers turn a bare day into a moment; its first ten letters are the day again.
const DAY = /^(\d{4}-\d{2}-\d{2})(?:T00:00:00(?:\.0+)?Z)?$/;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const good = <Value>(value: Value): Reading<Value> => ({ ok: true, value });
const bad = (problem: string): Reading<never> => ({ ok: false, problem });

function json(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return undefined;
  }
}

/** One slot, well-formed, or its problem. `pulumi config set --path` can write an object only as JSON text. */
function readSlot(name: string, given: unknown): Reading<EgressSlot> {
  if (!SLOT_NAME.test(name)) {
    return bad(`has a slot "${name}"; a name is lower-case letters and digits, at most 16, such as green`);
  }
  const slot = typeof given === "string" ? json(given) : given;
  if (!isRecord(slot)) {
    return bad(`has ${name}: ${JSON.stringify(given)}; write ${name}: {} for an address of the stack's own`);
  }
  const unknown = Object.keys(slot).find((key) => !["allocationId", "allocationIds", "quarantine"].includes(key));
  if (unknown !== undefined) {
    return bad(`has ${name}.${unknown}; a slot knows allocationId, allocationIds and quarantine`);
  }
  const { allocationId, allocationIds, quarantine } = slot;
  if (allocationId !== undefined && allocationIds !== undefined) {
    return bad(`has both allocationId and allocationIds in ${name}; keep one`);
  }
  if (allocationId !== undefined && !(typeof allocationId === "string" && ALLOCATION.test(allocationId))) {
    return bad(`has ${name}.allocationId ${JSON.stringify(allocationId)}; it must be an Elastic IP's eipalloc-... id`);
  }
  const byZone: Record<string, string> = {};
  if (allocationIds !== undefined) {
    for (const [zone, id] of isRecord(allocationIds) ? Object.entries(allocationIds) : [["", allocationIds] as const]) {
      if (!/^[a-h]$/.test(zone) || typeof id !== "string" || !ALLOCATION.test(id)) {
        const part = JSON.stringify({ [zone]: id });
        return bad(`has ${name}.allocationIds with ${part}; it must map zone letters to eipalloc-... ids`);
      }
      byZone[zone] = id;
    }
  }
  let out: EgressSlot["quarantine"];
  if (quarantine !== undefined) {
    const { reason, since } = isRecord(quarantine) ? quarantine : {};
    const day = DAY.exec(String(since))?.[1];
    // A reason such as 1015 arrives as a number.
    if ((typeof reason !== "string" && typeof reason !== "number") || reason === "" || day === undefined) {
      return bad(`has ${name}.quarantine ${JSON.stringify(quarantine)}; it must be {reason: ..., since: YYYY-MM-DD}`);
    }
    out = { reason: String(reason), since: day };
  }
  return good({
    ...(typeof allocationId === "string" ? { allocationId } : {}),
    ...(allocationIds === undefined ? {} : { allocationIds: byZone }),
    ...(out === undefined ? {} : { quarantine: out }),
  });
}

/** The setting `egressSlots`, as the CLI hands it over. */
export const slots: Syntax<EgressSlots> = {
  expects: "slots by name, such as {green: {}}",
  read(given) {
    const value = json(given);
    if (!isRecord(value) || Object.keys(value).length === 0) return bad(`is ${given}; it must be ${slots.expects}`);
    const read: Record<string, EgressSlot> = {};
    for (const [name, slot] of Object.entries(value)) {
      const reading = readSlot(name, slot);
      if (!reading.ok) return reading;
      read[name] = reading.value;
    }
    return good(read);
  },
};
