// `npm run reshard` as a process of its own, as a person runs it.

import { spawn } from "node:child_process";
import { NODE_ENVIRONMENT, ROOT } from "../face/world.ts";

/** What it prints, and how it ends. @param environment besides Node's, such as LEDGER and where the table is */
export async function reshard(environment: Readonly<Record<string, string>>, ...given: readonly string[]) {
  const child = spawn(process.execPath, ["infra/tools/reshard.ts", ...given], {
    cwd: ROOT,
    env: { ...NODE_ENVIRONMENT, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { printed, exitCode };
}
