// The way from one machine to the shared items: slow, cut, throttled, or losing answers to writes that happened.

import type { Clock } from "../../../bot/clock.ts";
import type { Items } from "../../../bot/ledger/items.ts";
import { LedgerError } from "../../../bot/ledger/ledgerError.ts";
import type { Machine } from "./machine.ts";

export interface Network {
  readonly items: Items;
  /** cut: nothing arrives. throttled: a part is refused. lossy: all happens, a part of the answers is lost. */
  state: "fine" | "cut" | "throttled" | "lossy";
}

/** What the DynamoDB driver gives a call, ms. */
const DEADLINE_MS = 2_500;
const FAULTY_SHARE = 0.4;

export function createNetwork(world: Clock, machine: Machine, truth: Items, random: () => number): Network {
  const failed = (): LedgerError => new LedgerError("unreachable", "simulated");

  const call = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const { state } = network;
    const faulty = random() < FAULTY_SHARE;
    if (state === "cut" || (state === "throttled" && faulty)) {
      await world.sleep(state === "cut" ? DEADLINE_MS : 20);
      await machine.awake();
      throw failed();
    }
    await world.sleep(1 + random() * 20);
    if (state === "lossy" && faulty) {
      // It arrives, some of it only after whoever sent it has given up.
      world.schedule(random() * 2 * DEADLINE_MS, () => void work());
      await world.sleep(DEADLINE_MS);
      await machine.awake();
      throw failed();
    }
    const result = await work();
    await world.sleep(1 + random() * 20);
    await machine.awake();
    return result;
  };

  const network: Network = {
    state: "fine",
    items: {
      get: (kind, id) => call(() => truth.get(kind, id)),
      list: (kind) => call(() => truth.list(kind)),
      swap: (item, expected) => call(() => truth.swap(item, expected)),
      remove: (kind, id, expected) => call(() => truth.remove(kind, id, expected)),
    },
  };
  return network;
}
