// Shared items inside one process: what tasks that are simulated side by side share.

import type { Item, Items } from "./items.ts";

export function createMemoryItems(): Items {
  const kept = new Map<string, Item>();
  const place = (kind: string, id: string): string => JSON.stringify([kind, id]);
  return {
    get: async (kind, id) => kept.get(place(kind, id)),
    list: async (kind) =>
      [...kept.values()].filter((item) => item.kind === kind).sort((one, other) => (one.id < other.id ? -1 : 1)),
    async swap({ kind, id, body }, expected) {
      if (kept.get(place(kind, id))?.version !== expected) return undefined;
      const version = (expected ?? 0) + 1;
      kept.set(place(kind, id), { kind, id, version, body });
      return version;
    },
    async remove(kind, id, expected) {
      return kept.get(place(kind, id))?.version === expected && kept.delete(place(kind, id));
    },
  };
}
