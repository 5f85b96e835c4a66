// Whether a rotation can begin and has ended well: room for its addresses, and the bot's own word on where it is seen from.

import type { EgressSlots } from "../settings/slots.ts";

/** Elastic IPs of the account in the region. */
export interface AddressQuota {
  readonly limit: number;
  readonly used: number;
}

/** Why the addresses that a slot still lacks do not fit, or undefined. A listed slot has had its own since the last deploy. */
export function quotaProblem(
  { limit, used }: AddressQuota,
  slots: EgressSlots,
  to: string,
  natZones: readonly string[],
): string | undefined {
  const needed = slots[to] === undefined ? natZones.length : 0;
  if (used + needed <= limit) return undefined;
  return `the account has ${used} of ${limit} Elastic IPs and ${to} needs ${needed} more; release one that is parked (take its slot out of egressSlots), or ask AWS for more (Service Quotas, EC2-VPC Elastic IPs)`;
}

/** The bot's log lines on the address, with the time that CloudWatch took them in, ms since 1970. */
export interface EgressLine {
  readonly at: number;
  readonly event: "egress.proven" | "egress.mismatch" | "edge.banned";
  readonly address: string;
}

export interface ProofPorts {
  /** Milliseconds since 1970. */
  wall(): number;
  sleep(milliseconds: number): Promise<void>;
  lines(since: number): Promise<readonly EgressLine[]>;
  /** The state of the alarm EgressMismatch. */
  alarm(): Promise<string>;
}

export type Proof =
  | { readonly ok: true; readonly address: string; readonly tookMs: number }
  | { readonly ok: false; readonly problem: string };

const LOOK_EVERY_MS = 10_000;
/** A new task is steady when `up` returns and asks at its start; an echo that is down is asked again every 5 min. */
const LIMIT_MS = 15 * 60_000;

/** Waits until the bot is seen from one of the new addresses, the edge takes it, and no alarm says otherwise. */
export async function awaitProof(expected: readonly string[], since: number, ports: ProofPorts): Promise<Proof> {
  for (;;) {
    const lines = await ports.lines(since);
    const proven = lines.filter(({ event }) => event !== "edge.banned").at(-1);
    const banned = lines.findLast(({ event, at }) => event === "edge.banned" && at >= (proven?.at ?? since));
    if (proven?.event === "egress.proven" && expected.includes(proven.address)) {
      if (banned !== undefined) {
        return { ok: false, problem: `${proven.address} is banned by Discord's edge too; rotate on to another slot` };
      }
      if ((await ports.alarm()) !== "ALARM") {
        return { ok: true, address: proven.address, tookMs: ports.wall() - since };
      }
    }
    if (ports.wall() - since >= LIMIT_MS) return { ok: false, problem: inWords(proven, expected) };
    await ports.sleep(LOOK_EVERY_MS);
  }
}

function inWords(last: EgressLine | undefined, expected: readonly string[]): string {
  const minutes = LIMIT_MS / 60_000;
  if (last === undefined) {
    return `the bot has not said within ${minutes} minutes where it is seen from; does egressEchoUrl answer, does the task run?`;
  }
  if (last.event === "egress.proven" && expected.includes(last.address)) {
    return `the bot is seen from ${last.address}, but the alarm EgressMismatch has been on for ${minutes} minutes; read its history`;
  }
  return `the bot is seen from ${last.address} and not from ${expected.join(" or ")}; npx pulumi up --refresh puts the routes back`;
}
