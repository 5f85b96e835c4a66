// What a table would bill for the calls of tasks: units by the size of the items, as the DynamoDB driver writes them.

import { deflateSync } from "node:zlib";
import type { Item, Items } from "../../../bot/ledger/items.ts";

/** AWS: a write unit is 1 KB, a consistent read unit 4 KB of all items that a call reads. */
const WRITE_BYTES = 1_024;
const READ_BYTES = 4_096;
// bot/ledger/dynamodb.ts: longer bodies are squeezed; names, version, writer's UUID and expiry come on top.
const SQUEEZED_FROM = 1_000;
const OVERHEAD_BYTES = 90;

export interface Meter {
  readonly items: Items;
  writes: number;
  reads: number;
}

export function createMeter(table: Items): Meter {
  // A body is written once and read often.
  const sizes = new Map<string, number>();
  const bytes = ({ kind, id, body }: Pick<Item, "kind" | "id" | "body">): number => {
    let size = sizes.get(body);
    if (size === undefined) {
      if (sizes.size > 20_000) sizes.clear();
      size = body.length < SQUEEZED_FROM ? body.length : deflateSync(body).length;
      sizes.set(body, size);
    }
    return OVERHEAD_BYTES + kind.length + id.length + size;
  };
  const units = (size: number, unit: number): number => Math.max(1, Math.ceil(size / unit));

  const meter: Meter = {
    writes: 0,
    reads: 0,
    items: {
      async get(kind, id) {
        const item = await table.get(kind, id);
        meter.reads += units(item === undefined ? 0 : bytes(item), READ_BYTES);
        return item;
      },
      async list(kind) {
        const items = await table.list(kind);
        meter.reads += units(
          items.reduce((sum, item) => sum + bytes(item), 0),
          READ_BYTES,
        );
        return items;
      },
      // A condition that fails is billed as well.
      swap(item, expected) {
        meter.writes += units(bytes(item), WRITE_BYTES);
        return table.swap(item, expected);
      },
      async remove(kind, id, expected) {
        const item = await table.get(kind, id);
        meter.writes += units(item === undefined ? 0 : bytes(item), WRITE_BYTES);
        return table.remove(kind, id, expected);
      },
    },
  };
  return meter;
}
