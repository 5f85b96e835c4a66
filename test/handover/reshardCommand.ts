// `npm run reshard` as a process of its own, as a person runs it.

import { spawn } from "node:child_process";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** What it prints, and how it ends. @param environment besides PATH, such as LEDGER and where the table is */
export async function reshard(environment: Readonly<Record<string, string>>, ...given: readonly string[]) {
  const child = spawn(process.execPath, ["infra/tools/reshard.ts", ...given], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], ...environment },
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
