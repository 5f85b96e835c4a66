// The bot as a child process: started as its container would be, its stdout read line by line, never left behind.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Clock } from "../../bot/clock.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

/** How to get rid of what an interrupted rehearsal would leave behind, bots above all. */
const leftovers = new Set<() => void>();

/** Makes `endEveryBot` call this too, until the returned function is called. `remove` must be synchronous. */
export function atTheEnd(remove: () => void): () => void {
  leftovers.add(remove);
  return () => leftovers.delete(remove);
}

export interface BotProcessOptions {
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string>>;
  /** Milliseconds of the clock between SIGTERM and SIGKILL: the task's stop timeout. */
  readonly stopTimeoutMs: number;
  onLine(line: string): void;
}

export interface BotProcess {
  readonly pid: number;
  /** Resolves when the process is gone: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** What the process wrote to stderr, the last 10,000 characters. */
  complaints(): string;
  signal(signal: NodeJS.Signals): void;
  /** As ECS stops a task: SIGTERM, then SIGKILL after the stop timeout. */
  stop(): Promise<number | NodeJS.Signals>;
}

const LONGEST_COMPLAINT = 10_000;

/** Reads what a process says until it is gone; then calls `over`. */
export function follow(
  child: ChildProcessByStdio<null, Readable, Readable>,
  over: () => void,
  onLine: (line: string) => void,
): Pick<BotProcess, "ended" | "complaints"> {
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-LONGEST_COMPLAINT);
  });
  createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on("line", onLine);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on("error", (error) => {
      complaints += String(error);
      over();
      resolve(-1);
    });
    // `close` comes after the last line has been read, `exit` may come before.
    child.on("close", (code, signal) => {
      over();
      resolve(code ?? signal ?? -1);
    });
  });
  return { ended, complaints: () => complaints };
}

/** Starts the bot somewhere: as a child process here, or in a container. */
export type Launch = (options: BotProcessOptions) => BotProcess;

export const startBot: Launch = ({ clock, environment, stopTimeoutMs, onLine }) => {
  const child = spawn(process.execPath, ["bot/main.ts"], {
    cwd: ROOT,
    env: { ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { ended, complaints } = follow(
    child,
    atTheEnd(() => child.kill("SIGKILL")),
    onLine,
  );
  return {
    pid: child.pid ?? -1,
    ended,
    complaints,
    signal: (signal) => {
      child.kill(signal);
    },
    async stop() {
      // A stopped (SIGSTOP) process takes no SIGTERM before it goes on.
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      const cancel = clock.schedule(stopTimeoutMs, () => child.kill("SIGKILL"));
      try {
        return await ended;
      } finally {
        cancel();
      }
    },
  };
};

/** Kills whatever still runs, at once, and then removes what it used: the newest first, each though another failed. */
export function endEveryBot(): void {
  for (const remove of [...leftovers].reverse()) {
    leftovers.delete(remove);
    try {
      remove();
    } catch (error) {
      console.error(`left behind: ${String(error)}`);
    }
  }
}
