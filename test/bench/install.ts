// Brings the peers in on first use: they are no part of the product's own installation.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

const FOLDER = path.join(import.meta.dirname, "peers");

/** Installs the peers as their lockfile says, unless they are there already. */
export function installPeers(): void {
  const lock = path.join(FOLDER, "package-lock.json");
  // npm writes this file last, so an installation that was cut short, or is older than the lockfile, is done again.
  const installed = path.join(FOLDER, "node_modules", ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  process.stderr.write("installing the clients to compare with into test/bench/peers/node_modules (once)\n");
  // Their optional parts are about voice.
  execFileSync("npm", ["ci", "--ignore-scripts", "--omit=optional", "--no-fund", "--no-audit"], {
    cwd: FOLDER,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
}

/** A peer's installed version. */
export function peerVersion(name: string): string {
  const file = path.join(FOLDER, "node_modules", name, "package.json");
  const content: unknown = JSON.parse(readFileSync(file, "utf8"));
  const version = typeof content === "object" && content !== null && "version" in content ? content.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
