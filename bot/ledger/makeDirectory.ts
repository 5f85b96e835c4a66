// Makes a directory and those above it, or says why not.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { codeOf } from "./fileFaults.ts";

// Session ids and hashes are for the bot's user alone.
const MODE = 0o700;

/**
 * Node's own recursive mkdir asks again for ever where a file system takes no directory below one that exists, as /proc
 * does with ENOENT. Rejects with the file system's error.
 */
export async function makeDirectory(directory: string): Promise<void> {
  try {
    await make(directory);
  } catch (error) {
    const above = path.dirname(directory);
    if (codeOf(error) !== "ENOENT" || above === directory) throw error;
    await makeDirectory(above);
    await make(directory);
  }
}

async function make(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: MODE });
  } catch (error) {
    // Also when it is a file: that shows when something is put into it.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}
