// A task among others whose ledger is out of reach: what it keeps, what it leaves, and that it has it again afterwards.

import { expect, it } from "vitest";
import { createCheckpoint } from "../../bot/checkpoint.ts";
import { createDispatcher } from "../../bot/gateway/dispatch.ts";
import type { Fleet } from "../../bot/gateway/fleet.ts";
import { createItemLedger } from "../../bot/ledger/itemLedger.ts";
import type { Items } from "../../bot/ledger/items.ts";
import { LedgerError } from "../../bot/ledger/ledgerError.ts";
import { createMemoryItems } from "../../bot/ledger/memoryItems.ts";
import { createSharing } from "../../bot/sharing.ts";
import { KIND } from "../../shared/table.ts";
import { virtualClock } from "../virtualClock.ts";
import { recordingTelemetry } from "./telemetry/recordingTelemetry.ts";

const SHARDS = 2;

/** Another task that waits for this one to leave. */
const WAITING = { rank: 9, state: "active", moves: 0, asks: 0, address: null, demand: 0, invalid: 0 };

/** A task that has both shards, whose ledger can be cut off. */
async function holding({ another }: { another: boolean }) {
  const clock = virtualClock();
  const telemetry = recordingTelemetry();
  const kept = createMemoryItems();
  let isAway = false;
  const reached = <Answer>(ask: () => Promise<Answer>): Promise<Answer> =>
    isAway ? Promise.reject(new LedgerError("unreachable", "cut")) : ask();
  const items: Items = {
    get: (kind, id) => reached(() => kept.get(kind, id)),
    list: (kind) => reached(() => kept.list(kind)),
    swap: (item, expected) => reached(() => kept.swap(item, expected)),
    remove: (kind, id, expected) => reached(() => kept.remove(kind, id, expected)),
  };
  const moves: string[] = [];
  const fleet: Pick<Fleet, "sessions" | "take" | "giveUp" | "status"> = {
    sessions: () => [],
    take: (shard) => void moves.push(`takes ${shard}`),
    async giveUp(shards) {
      moves.push(`leaves ${shards.join()}`);
      return [];
    },
    status: () => ({ shards: [] }) as unknown as ReturnType<Fleet["status"]>,
  };
  const ledger = createItemLedger(items, "me");
  const { shared } = ledger;
  if (shared === undefined) throw new Error("a ledger of items is shared");
  const dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: () => undefined,
    key: () => "",
    waitDeadlineMs: 1,
    runDeadlineMs: 1,
  });
  const sharing = createSharing({
    clock,
    telemetry,
    ledger,
    shared,
    dispatcher,
    checkpoint: () => checkpoint,
    // Only what leases use of a fleet.
    fleet: () => fleet as unknown as Fleet,
    tasks: 1,
    loss: "hold",
    configured: SHARDS,
    recommended: async () => SHARDS,
    requests: {
      perSecond: 50,
      address: () => null,
      own: () => ({ demand: 0, invalid: 0, ban: undefined }),
      heed: () => {},
    },
  });
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions: sharing.sessions });
  await sharing.join();
  const body = JSON.stringify({ ...WAITING, running: [], finished: [] });
  if (another) await kept.swap({ kind: KIND.task, id: "another", body }, undefined);
  sharing.start();
  await clock.advance(1_000);
  expect(moves.splice(0)).toEqual(["takes 0", "takes 1"]);
  return {
    clock,
    sharing,
    moves,
    telemetry,
    async cut() {
      isAway = true;
      await clock.advance(12_000);
    },
    async back() {
      isAway = false;
      await clock.advance(10_000);
    },
  };
}

it("leaves a shard that another task pulls at while the ledger is away, and has it again if it was its own still", async () => {
  const { clock, sharing, moves, cut, back } = await holding({ another: true });
  await cut();
  sharing.cutOff(0);
  expect(moves).toEqual([]);
  await clock.advance(5_000);
  sharing.cutOff(0);
  expect(moves).toEqual(["leaves 0"]);
  sharing.cutOff(1);
  expect(moves).toEqual(["leaves 0"]);
  await back();
  expect(moves).toEqual(["leaves 0", "takes 0"]);
});

it.each([
  ["the two ends lie far apart", { another: true }, 70_000, true],
  ["there is no other task", { another: false }, 5_000, true],
  ["the ledger answers", { another: true }, 5_000, false],
])("keeps a shard whose connection is ended twice when %s", async (_when, others, apartMs, isAway) => {
  const { clock, sharing, moves, cut } = await holding(others);
  if (isAway) await cut();
  sharing.cutOff(0);
  await clock.advance(apartMs);
  sharing.cutOff(0);
  expect(moves).toEqual([]);
});

it("tells at the first failure that the ledger is out of reach, and of a next time only once it was back", async () => {
  const { clock, telemetry, cut, back } = await holding({ another: false });
  const told = () => telemetry.named("ledger.unreachable").length;
  await cut();
  // Its looks, its beats and its checkpoint fail each on their own.
  const once = told();
  expect(once).toBeGreaterThan(0);
  expect(telemetry.levels.get("LedgerUnreachable")).toBe(1);
  await clock.advance(60_000);
  expect(told()).toBe(once);
  await back();
  expect(telemetry.levels.get("LedgerUnreachable")).toBe(0);
  await cut();
  expect(told()).toBe(2 * once);
});
