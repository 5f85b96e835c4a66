// `npm start`: rehearses a deployment on this machine and exits with 1 if an alarm stays silent, or fires without cause.

import { setMaxListeners } from "node:events";
import { parseArgs } from "node:util";
import { systemClock } from "../../bot/clock.ts";
import { type DeclaredProgram, declareProgram, type StackName } from "../infra/program.ts";
import { endEveryBot } from "./botProcess.ts";
import { DRILLS, type Drill } from "./drills.ts";
import { closingTable, deployment, differences } from "./report.ts";
import { type Outcome, runDrill } from "./runDrill.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];

const USAGE = `npm start -- [--stack ${STACKS.join("|")}] [--all] [--drill NAME] [--rate N]
  --stack   whose declaration is rehearsed (default dev)
  --all     every drill, and one of them in real time too
  --drill   only the drills whose name contains this
  --rate    how many times as fast as real time (default 12)`;

interface Task {
  readonly drill: Drill;
  readonly rate: number;
}

function readArguments(): { readonly stack: StackName; readonly tasks: readonly Task[] } {
  const { values } = parseArgs({
    options: {
      stack: { type: "string", default: "dev" },
      all: { type: "boolean", default: false },
      drill: { type: "string", default: "" },
      rate: { type: "string", default: "12" },
      help: { type: "boolean", default: false },
    },
  });
  const stack = STACKS.find((name) => name === values.stack);
  const rate = Number(values.rate);
  const drills = DRILLS.filter(({ name }) => name.includes(values.drill));
  if (values.help || stack === undefined || !(rate >= 1 && rate <= 60) || drills.length === 0) {
    console.log(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  const fast = drills.map((drill) => ({ drill, rate }));
  const real = values.all ? drills.filter(({ alsoAtRate1 }) => alsoAtRate1).map((drill) => ({ drill, rate: 1 })) : [];
  return { stack, tasks: [...real, ...fast] };
}

async function rehearse(program: DeclaredProgram, tasks: readonly Task[], signal: AbortSignal): Promise<Outcome[]> {
  const width = Math.max(...tasks.map(({ drill }) => drill.name.length));
  let told = false;
  const one = async ({ drill, rate }: Task): Promise<Outcome> => {
    const originMs = Date.now();
    const clock = systemClock(rate, originMs);
    const since = clock.now();
    const say = (step: string): void => {
      const seconds = Math.round((clock.now() - since) / 1_000);
      const at = `${String(Math.floor(seconds / 60)).padStart(2)}:${String(seconds % 60).padStart(2, "0")}`;
      console.log(`${at}  ${drill.name.padEnd(width)}  ${rate === 1 ? "(real time) " : ""}${step}`);
    };
    const options = { program, clock, rate, originMs, signal };
    const nameOf = (rule: string): string => `${program.project}-${program.stack}-${rule}`;
    const outcome = await runDrill(drill, options, nameOf, say, (changed) => {
      if (told) return;
      told = true;
      console.log(`\n${differences(program, changed)}\n`);
    });
    say(outcome.problems.length === 0 ? "passed" : "FAILED");
    return outcome;
  };
  return Promise.all(tasks.map(one));
}

const { stack, tasks } = readArguments();
const interrupt = new AbortController();
// Each world waits on this signal in several places.
setMaxListeners(0, interrupt.signal);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    endEveryBot();
    process.exit(130);
  });
}
process.on("exit", endEveryBot);

const program = await declareProgram({ stack });
console.log(deployment(program));
const outcomes = await rehearse(program, tasks, interrupt.signal);
console.log(`\n${closingTable(outcomes)}`);
const failed = outcomes.filter(({ problems }) => problems.length > 0).length;
console.log(
  failed === 0 ? `\nAll ${outcomes.length} drills passed.` : `\n${failed} of ${outcomes.length} drills failed.`,
);
process.exit(failed === 0 ? 0 : 1);
