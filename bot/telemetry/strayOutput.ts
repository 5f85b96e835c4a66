// Makes log lines of whatever a bot module or a library prints by itself, so that stdout carries JSON and stderr nothing.

import type { Telemetry } from "./telemetry.ts";

type Write = typeof process.stdout.write;

/** From now on console output, direct writes and Node's warnings are free log lines of `telemetry`. */
export function captureStrayOutput({ log }: Pick<Telemetry, "log">): void {
  process.stdout.write = writer((text) => log("info", text));
  process.stderr.write = writer((text) => log("warn", text));
  // Node's own listener prints to stderr past the stream.
  process.removeAllListeners("warning");
  process.on("warning", (warning) => log("warn", `Node warns: ${warning.message}`, { warning: warning.name }));
}

function writer(take: (text: string) => void): Write {
  return (chunk: string | Uint8Array, encodingOrDone?: unknown, done?: unknown): boolean => {
    const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
    if (text.trim() !== "") take(text.trimEnd());
    const callback = typeof encodingOrDone === "function" ? encodingOrDone : done;
    if (typeof callback === "function") queueMicrotask(() => callback());
    return true;
  };
}
