// One connection: every outcome of a dial is reported, and reported once.

import { expect, it } from "vitest";
import { type ConnectionEvents, connect } from "../../../bot/gateway/connection.ts";
import { virtualClock } from "../../virtualClock.ts";

/** What a dial of this address reports, in order; `leaves`: it is closed at once. */
async function outcomes(address: string, leaves = false): Promise<string[]> {
  const told: string[] = [];
  const events: ConnectionEvents = {
    opened: () => void told.push("opened"),
    text: () => void told.push("text"),
    broken: () => void told.push("broken"),
    closed: (code, reason, edge) => void told.push(`closed ${code} ${reason} ${edge}`),
  };
  const options = { address, userAgent: "test", compression: "none", clock: virtualClock() } as const;
  const connection = connect(options, events);
  expect(told).toEqual([]);
  connection.send("nothing is there to take it");
  if (leaves) connection.close(4000);
  await connection.gone;
  return told;
}

it.each(["wss://gateway.example/#there", "https//gateway.example", "mailto:someone@gateway.example"])(
  "an address that cannot be dialled, %s, is a dial that failed",
  async (address) => {
    expect(await outcomes(address)).toEqual([expect.stringMatching(/^closed undefined .*URL.* undefined$/)]);
    expect(await outcomes(address, true)).toEqual([]);
  },
);
