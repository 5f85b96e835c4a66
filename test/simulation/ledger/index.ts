// The ledger's simulation, as test/simulation/main.ts runs it: one seed, one history of one to four tasks.

import { type HistoryOptions, live, seeded } from "./history.ts";

export interface Outcome {
  readonly hash: string;
  readonly simulatedMs: number;
  readonly description: string;
  readonly broken: string | undefined;
}

/** What a seed's history is about. */
export function historyOf(seed: number): HistoryOptions {
  const random = seeded(seed ^ 0x5eed);
  const whole = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const tasks = whole(1, 4);
  const shards = whole(tasks, 8);
  const to = random() < 0.5 ? undefined : whole(1, 10);
  const loss = random() < 0.7 ? "hold" : "stop";
  return { seed, tasks, shards, loss, minutes: whole(2, 6), to: to === shards ? undefined : to };
}

export async function simulate(seed: number): Promise<Outcome> {
  const { tasks, shards, loss, minutes, to } = historyOf(seed);
  const change = to === undefined ? `${shards} shards` : `${shards} to ${to} shards`;
  const history = await live(historyOf(seed));
  const { hash, simulatedMs, broken, events, faults } = history;
  const what = Object.entries(faults).map(([name, count]) => `${count} ${name}`);
  const description = `${tasks} tasks, ${change}, ${loss}, ${minutes} min of faults (${what.join(", ")}), ${events} events`;
  return { hash, simulatedMs, description, broken };
}
