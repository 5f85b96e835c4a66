// `npm run simulate -- [gateway|ledger|rest]` [--seed N] [--runs N]: seeded runs under a virtual clock; a broken rule prints its seed.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** What each simulation's index.ts exports; `broken` names the rule and what came before. */
interface Simulation {
  simulate(seed: number): Promise<{
    readonly hash: string;
    readonly simulatedMs: number;
    readonly description: string;
    readonly broken: string | undefined;
  }>;
}

const names = readdirSync(import.meta.dirname).filter((name) =>
  existsSync(join(import.meta.dirname, name, "index.ts")),
);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    runs: { type: "string", default: "100" },
  },
});
const first = Number(values.seed);
const runs = Number(values.runs);
const wrong = positionals.filter((name) => !names.includes(name));
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(runs) || runs < 1 || wrong.length > 0) {
  console.error(`usage: npm run simulate -- [${names.join("|")}] [--seed N] [--runs N]`);
  process.exit(2);
}

let failures = 0;
for (const name of positionals.length > 0 ? positionals : names) {
  const { simulate }: Simulation = await import(`./${name}/index.ts`);
  const from = performance.now();
  let simulatedMs = 0;
  let broken = 0;
  for (let seed = first; seed < first + runs; seed++) {
    const outcome = await simulate(seed);
    // What a WeakRef has looked at, every AbortSignal.any among it, is freed no sooner than the event loop turns.
    await new Promise((resolve) => setImmediate(resolve));
    simulatedMs += outcome.simulatedMs;
    if (runs === 1) console.log(`${name} seed ${seed}: ${outcome.description}, trace ${outcome.hash}`);
    if (outcome.broken === undefined) continue;
    broken++;
    // One run shows all that led to it; of many, the first lines are enough to choose one.
    console.log(runs === 1 ? outcome.broken : outcome.broken.split("\n", 1)[0]);
    console.log(`  again: npm run simulate -- ${name} --seed ${seed} --runs 1`);
  }
  const hours = (simulatedMs / 3_600_000).toFixed(1);
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  console.log(`${name}: ${runs} runs from seed ${first}, ${hours} h of bot time in ${seconds} s, ${broken} broken`);
  failures += broken;
}
process.exitCode = failures > 0 ? 1 : 0;
