// Stdout, written before the call returns, so that the last line before an exit is never lost; what it cannot take is dropped.

import { writeSync } from "node:fs";
import type { WriteLine } from "./log.ts";

const STDOUT = 1;
// A pipe that its reader has set non-blocking answers EAGAIN while it is full. Heartbeats wait as long as we do.
const FULL_FOR_MS = 5_000;
const LOOK_MS = 5;

export type Write = (bytes: Uint8Array, offset: number) => number;

export interface StandardOutputOptions {
  /** Writes what it can from that offset on, and tells how many bytes that were; throws as write(2) fails. */
  readonly write: Write;
  pause(milliseconds: number): void;
}

const PROCESS: StandardOutputOptions = {
  write: (bytes, offset) => writeSync(STDOUT, bytes, offset),
  pause(milliseconds) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  },
};

/**
 * No failure of stdout ends the bot or holds it up for long: a reader that has gone (EPIPE) and a disk that is full (ENOSPC)
 * cost lines, not sessions.
 */
export function standardOutput({ write, pause }: StandardOutputOptions = PROCESS): WriteLine {
  // After a line that found no room the next one tries once, until there is room again.
  let patience = FULL_FOR_MS;
  let brokenOff = false;

  const writeAll = (bytes: Uint8Array): void => {
    let offset = 0;
    let waited = 0;
    while (offset < bytes.length) {
      try {
        offset += write(bytes, offset);
        patience = FULL_FOR_MS;
        brokenOff = offset < bytes.length;
      } catch (error) {
        const isFull = error instanceof Error && "code" in error && error.code === "EAGAIN";
        if (!isFull || waited >= patience) {
          patience = 0;
          return;
        }
        pause(LOOK_MS);
        waited += LOOK_MS;
      }
    }
  };

  return (line) => writeAll(Buffer.from(brokenOff ? `\n${line}` : line));
}
