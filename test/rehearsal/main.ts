// `npm start`: rehearses a deployment on this machine and exits with 1 if an alarm stays silent, or fires without cause.

import { setMaxListeners } from "node:events";
import { parseArgs } from "node:util";
import { type DeclaredProgram, declaredOnce, type StackName } from "../infra/program.ts";
import { endEveryBot } from "./botProcess.ts";
import type { Drill } from "./drill.ts";
import { DRILLS } from "./drills.ts";
import { type Plan, rehearse } from "./rehearse.ts";
import { closingTable, deployment } from "./report.ts";
import { REHEARSED_TOKEN } from "./world.ts";

const STACKS: readonly StackName[] = ["dev", "staging", "prod"];

const USAGE = `npm start -- [--stack ${STACKS.join("|")}] [--all] [--drill NAME] [--rate N] [--container]
  --stack      whose declaration is rehearsed (default dev)
  --all        every drill, and one of them in real time too
  --drill      only the drills whose name contains this
  --rate       how many times as fast as real time (default 12)
  --container  builds the image and rehearses the container itself; needs a Docker engine`;

// Worlds at once that two processors keep up with: each is a bot, a simulated Discord and the alarms.
const AT_ONCE = 8;

interface Request {
  readonly stack: StackName;
  readonly rate: number;
  readonly container: boolean;
  readonly plans: readonly Plan[];
}

function readArguments(): Request {
  const { values } = parseArgs({
    options: {
      stack: { type: "string", default: "dev" },
      all: { type: "boolean", default: false },
      drill: { type: "string" },
      rate: { type: "string", default: "12" },
      container: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const stack = STACKS.find((name) => name === values.stack);
  const rate = Number(values.rate);
  const wanted = values.drill;
  const drills = DRILLS.filter(({ name, always }) =>
    wanted === undefined ? values.all || always === true : name.includes(wanted),
  );
  if (values.help || stack === undefined || !(rate >= 1 && rate <= 60) || drills.length === 0) {
    console.log(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  const real = values.all ? drills.filter(({ alsoAtRate1 }) => alsoAtRate1).map((drill) => ({ drill, rate: 1 })) : [];
  const fast = drills.map((drill) => ({ drill, rate: Math.min(rate, drill.mostRate ?? rate) }));
  return { stack, rate, container: values.container, plans: [...real, ...fast] };
}

const { stack, rate, container, plans } = readArguments();
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

if (container) {
  const { rehearseContainer } = await import("./image/rehearseContainer.ts");
  process.exit(await rehearseContainer(stack, rate, interrupt.signal));
}
const programFor = (own: Drill["stack"] = {}): Promise<DeclaredProgram> =>
  declaredOnce({ stack, ...own, secrets: { discordToken: REHEARSED_TOKEN, ...own.secrets } });
const program = await programFor();
console.log(deployment(program));
const declared = await Promise.all(
  plans.map(async (plan): Promise<Plan> => ({ ...plan, program: await programFor(plan.drill.stack) })),
);
const outcomes = await rehearse(program, declared, AT_ONCE, interrupt.signal);
console.log(`\n${closingTable(program, outcomes, DRILLS)}`);
process.exit(outcomes.every(({ problems }) => problems.length === 0) ? 0 : 1);
