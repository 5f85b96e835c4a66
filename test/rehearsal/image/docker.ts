// The Docker engine of this machine through its command line: what it says, and how it ended.

import { spawn } from "node:child_process";
import { createGzip } from "node:zlib";

export interface Said {
  /** -1 when there is no such program. */
  readonly code: number;
  readonly output: string;
}

/** Runs `docker` with arguments; stdout and stderr together. Never rejects. */
export function docker(...args: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const child = spawn("docker", args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    child.on("error", (error) => resolve({ code: -1, output: String(error) }));
    child.on("close", (code) => resolve({ code: code ?? -1, output: output.trim() }));
  });
}

/** Why no engine answers; undefined when one does. */
export async function noEngine(): Promise<string | undefined> {
  const { code, output } = await docker("version", "--format", "{{.Server.Version}}");
  return code === 0 ? undefined : (output.split("\n").at(-1) ?? `docker version ended with ${code}`);
}

/** Bytes of an image as a registry would store and Fargate pull it: every layer compressed. */
export function compressedSize(image: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("docker", ["save", image], { stdio: ["ignore", "pipe", "inherit"] });
    let bytes = 0;
    child.on("error", reject);
    child.stdout
      .pipe(createGzip())
      .on("data", (part: Buffer) => {
        bytes += part.length;
      })
      .on("error", reject)
      .on("end", () => resolve(bytes));
  });
}
