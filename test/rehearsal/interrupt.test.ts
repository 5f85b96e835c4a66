// Ctrl-C in the middle of a rehearsal: it ends at once, and no bot is left behind.

import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { soon } from "../face/world.ts";

const MAIN = path.join(import.meta.dirname, "main.ts");

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

it.concurrent.each(["SIGINT", "SIGTERM"] as const)("leaves no bot behind after %s", async (signal) => {
  const child = spawn(process.execPath, [MAIN, "--drill", "deploy"], { stdio: ["ignore", "pipe", "inherit"] });
  const bots: number[] = [];
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const pid = /ready \(process (\d+)\)/.exec(line)?.[1];
    if (pid !== undefined) bots.push(Number(pid));
    if (bots.length === 2) break;
  }
  expect(bots.map(isAlive)).toEqual([true, true]);
  child.kill(signal);
  expect(await ended).toBe(130);
  // A killed process is gone once its parent, or init after that, has taken its exit status.
  await soon("an end of both bots", () => !bots.some(isAlive));
});
