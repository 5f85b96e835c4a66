// How a simulation is tested: fixed seeds, a few that nobody has tried before, and that a seed replays exactly.

import { expect, it } from "vitest";

export interface SimulationUnderTest {
  /** As in `npm run simulate -- gateway`. */
  readonly name: string;
  simulate(seed: number): Promise<{ readonly hash: string; readonly broken: string | undefined }>;
  readonly fixed: readonly number[];
  /** How many seeds that are new each time. */
  readonly fresh: number;
}

export function keepsItsRules({ name, simulate, fixed, fresh }: SimulationUnderTest): void {
  const keepsThem = async (seed: number): Promise<void> => {
    expect((await simulate(seed)).broken).toBeUndefined();
  };

  it.each(fixed)("keeps every rule with seed %i", keepsThem);

  it.each(Array.from({ length: fresh }, () => Math.floor(Math.random() * 1e9)))(
    `keeps every rule with the fresh seed %i (npm run simulate -- ${name} --runs 1 --seed, and this one)`,
    keepsThem,
  );

  it("runs a seed again to the last step", async () => {
    const [first, second, other] = [await simulate(8), await simulate(8), await simulate(9)];
    expect(second.hash).toBe(first.hash);
    expect(other.hash).not.toBe(first.hash);
  });
}
