// Someone who writes while tasks come and go, and the promise that each message is handled once.

import { setTimeout as realMilliseconds } from "node:timers/promises";
import { expect } from "vitest";
import { type FaceBot, handledBy, say, type World } from "../face/world.ts";

/** Writes into so many servers in turn, each so many real ms, until told to stop; gives the messages' ids. */
export function traffic({ discord }: World, servers: number, everyMs: number): { stop(): Promise<readonly string[]> } {
  const ids: string[] = [];
  let over = false;
  const run = (async () => {
    for (let count = 0; !over; count++) {
      ids.push(say(discord, `message ${count}`, count % servers));
      await realMilliseconds(everyMs);
    }
  })();
  return {
    async stop() {
      over = true;
      await run;
      return ids;
    },
  };
}

/** Every message was handled, once, by one of these; waits for the last of them to see it through. */
export async function eachOnce(ids: readonly string[], bots: readonly FaceBot[]): Promise<void> {
  const times = (): readonly number[] => {
    const handled = handledBy(bots);
    return ids.map((id) => handled.get(id) ?? 0);
  };
  await bots.at(-1)?.until("every message handled", () => times().every((count) => count > 0));
  expect(times().filter((count) => count !== 1)).toEqual([]);
}
