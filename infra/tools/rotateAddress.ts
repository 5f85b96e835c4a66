// `npm run rotate -- --stack prod --to blue [--reason 1015]`: makes another slot's address the one in use, after the guard.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { slots as syntax } from "../settings/slots.ts";
import { judge } from "./guard.ts";
import { rotate } from "./rotation.ts";

/** The CLI could not be run or refused; its own message is on the terminal. */
class CommandError extends Error {
  readonly kind = "command";
}

/** Runs the CLI in the repository; `show` leaves the terminal to it, otherwise its output is returned. */
function pulumi(show: boolean, ...args: readonly string[]): string {
  const run = spawnSync("npx", ["pulumi", ...args], {
    cwd: join(import.meta.dirname, "../.."),
    encoding: "utf8",
    stdio: ["inherit", show ? "inherit" : "pipe", "inherit"],
    maxBuffer: 256 * 1024 * 1024,
  });
  if (run.status !== 0) throw new CommandError(`npx pulumi ${args.join(" ")} ended with ${run.status ?? run.signal}`);
  return run.stdout ?? "";
}

function main(): void {
  const { values } = parseArgs({
    options: { stack: { type: "string" }, to: { type: "string" }, reason: { type: "string" } },
  });
  const { stack, to, reason } = values;
  if (stack === undefined || to === undefined)
    throw new CommandError("give --stack and --to, such as --stack prod --to blue");
  const of = ["--stack", stack];
  const from = pulumi(false, "config", "get", "egressSlot", ...of).trim();
  const slots = syntax.read(pulumi(false, "config", "get", "egressSlots", ...of));
  if (!slots.ok) throw new CommandError(`egressSlots ${slots.problem}`);
  const today = new Date().toISOString().slice(0, 10);
  const rotation = rotate({ slots: slots.value, from, to, today, ...(reason === undefined ? {} : { reason }) });
  if (!rotation.ok) throw new CommandError(rotation.problem);
  for (const command of rotation.commands) pulumi(true, "config", ...command, ...of);

  const { reasons } = judge(JSON.parse(pulumi(false, "preview", "--json", ...of)));
  if (reasons.length > 0) {
    throw new CommandError(
      `this would be more than a rotation:\n  ${reasons.join("\n  ")}\nThe configuration is changed, nothing else is; put it back with git.`,
    );
  }
  // Asks before it acts, and returns once the new task is steady.
  pulumi(true, "up", ...of);
  pulumi(true, "stack", "output", "publicAddresses", ...of);
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
