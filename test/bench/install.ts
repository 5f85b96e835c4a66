// Brings the peers in on first use: they are no part of the product's own installation.

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";

const DECLARED = path.join(import.meta.dirname, "peers");
/** Beside the product's own packages, so that whatever passes over those passes over these. */
const INSTALLED = path.resolve(import.meta.dirname, "../../node_modules/.cache/mooring-bench");
const FILES = ["package.json", "package-lock.json", ".npmrc"];

/** Where the peers are looked up from. */
export const PEERS_BASE = path.join(INSTALLED, "package.json");

/** Installs the peers as their lockfile says, unless they are there already. */
export function installPeers(): void {
  // npm writes this file last; where it is missing, an installation was cut short.
  const whole = existsSync(path.join(INSTALLED, "node_modules", ".package-lock.json"));
  const same = whole && FILES.every((file) => contentOf(INSTALLED, file) === contentOf(DECLARED, file));
  if (same) return;
  process.stderr.write("installing the clients to compare with into node_modules/.cache/mooring-bench (once)\n");
  mkdirSync(INSTALLED, { recursive: true });
  for (const file of FILES) copyFileSync(path.join(DECLARED, file), path.join(INSTALLED, file));
  // Their optional parts are about voice.
  execFileSync("npm", ["ci", "--ignore-scripts", "--omit=optional", "--no-fund", "--no-audit"], {
    cwd: INSTALLED,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
}

function contentOf(folder: string, file: string): string {
  return readFileSync(path.join(folder, file), "utf8");
}

/** A peer's installed version. */
export function peerVersion(name: string): string {
  const file = path.join(INSTALLED, "node_modules", name, "package.json");
  const content: unknown = JSON.parse(readFileSync(file, "utf8"));
  const version = typeof content === "object" && content !== null && "version" in content ? content.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
