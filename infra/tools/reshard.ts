// `npm run reshard -- --to N [--stack prod] [--apply]`: another number of shards, without a moment's silence. A stack is its
// table; everything else is the bot's own command.

import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { REPOSITORY_ROOT, readStackFile, runTool, ToolError } from "./tool.ts";

/** Where a stack's plan lies: arguments and variables of the bot's command. */
function placeOf(name: string, to: string | undefined) {
  const stack = readStackFile(name);
  if (!stack.value("ledger")) {
    throw new ToolError(
      `${name} has no ledger; set shardCount to ${to ?? "N"} and deploy, or set ledger to true first`,
    );
  }
  const configured = stack.value("shardCount");
  if (configured !== "auto" && configured !== to) {
    console.log(
      `afterwards: npx pulumi config set --stack ${name} shardCount ${to ?? "N"}, or the next deploy undoes it`,
    );
  }
  return { given: ["--ledger", `dynamodb:${stack.name}`], variables: { AWS_REGION: stack.region } };
}

await runTool(async () => {
  const { values } = parseArgs({
    options: {
      to: { type: "string" },
      stack: { type: "string" },
      ledger: { type: "string" },
      apply: { type: "boolean", default: false },
    },
  });
  const { to, stack, ledger, apply } = values;
  const place = stack === undefined ? undefined : placeOf(stack, to);
  const given = [
    ...(to === undefined ? [] : ["--to", to]),
    ...(place?.given ?? (ledger === undefined ? [] : ["--ledger", ledger])),
    ...(apply ? ["--apply"] : []),
  ];
  const run = spawnSync(process.execPath, ["bot/reshardMain.ts", ...given], {
    cwd: REPOSITORY_ROOT,
    stdio: "inherit",
    env: { ...process.env, ...place?.variables },
  });
  process.exitCode = run.status ?? 1;
});
