// `npm run bench -- gateway | rest | handoff | ledger`: Mooring, beside its peers where they can do it, as markdown on stdout.

import { parseArgs } from "node:util";
import { gatewayBenchmark } from "./gateway/benchmark.ts";
import { handoffBenchmark } from "./handoff/benchmark.ts";
import { installPeers } from "./install.ts";
import { ledgerBenchmark } from "./ledger/benchmark.ts";
import { restBenchmark } from "./rest/benchmark.ts";

const USAGE = `npm run bench -- gateway|rest|handoff|ledger [--rounds N] [--quick] [--events N] [--only NAME]... [--profile FOLDER]

  --rounds N        rounds taken in turns, whose medians are shown (5; gateway 15; with --quick 2 and 5)
  --quick           fewer events and rounds: a first look in minutes
  --events N        gateway: dispatches of all rounds together (300000; with --quick 100000)
  --only NAME       only this client, beside the baseline; may be given again
  --deploys N       handoff: deploys for each shard count (20; with --quick 5)
  --profile FOLDER  writes a CPU profile of every measured client there
`;

const wholeNumber = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number above 0, not ${text}`);
  return value;
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string" },
    events: { type: "string" },
    deploys: { type: "string" },
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const rounds = (otherwise: number): number => wholeNumber("rounds", values.rounds, otherwise);
const common = {
  only: values.only,
  profile: values.profile,
  progress: (line: string) => void process.stderr.write(`${line}\n`),
};

const [which] = positionals;
if (values.help || positionals.length !== 1 || !["gateway", "rest", "handoff", "ledger"].includes(which ?? "")) {
  process.stderr.write(USAGE);
  process.exitCode = values.help ? 0 : 64;
} else if (which === "handoff") {
  const deploys = wholeNumber("deploys", values.deploys, values.quick ? 5 : 20);
  process.stdout.write(await handoffBenchmark({ shardCounts: [1, 16, 64], deploys, progress: common.progress }));
} else if (which === "ledger") {
  process.stdout.write(await ledgerBenchmark(common.progress));
} else {
  installPeers();
  const events = wholeNumber("events", values.events, values.quick ? 100_000 : 300_000);
  const requests = values.quick ? 4_000 : 10_000;
  const channels = values.quick ? 10_000 : 100_000;
  process.stdout.write(
    which === "gateway"
      ? await gatewayBenchmark({ ...common, events, rounds: rounds(values.quick ? 5 : 15) })
      : await restBenchmark({ ...common, requests, channels, rounds: rounds(values.quick ? 2 : 5) }),
  );
}
