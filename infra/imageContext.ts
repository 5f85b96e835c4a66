// What goes into the image, and the tag that follows from it: the same files give the same tag on every machine.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** A pattern of .dockerignore that this reader does not know; guessing would give one tag to two images. */
export class ContextError extends Error {
  readonly kind = "context";
  constructor(pattern: string) {
    super(
      `.dockerignore has "${pattern}"; write an allow-list of "*", "!path" and "**/name*" lines, so that the image's tag can follow it`,
    );
    this.name = "ContextError";
  }
}

/** The allow-list of a .dockerignore: paths let in, and name patterns kept out below them. */
export interface AllowList {
  readonly paths: readonly string[];
  readonly refusedNames: readonly RegExp[];
}

/** Reads the strict kind of .dockerignore this project keeps. @throws {ContextError} on any other pattern. */
export function parseAllowList(text: string): AllowList {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines[0] !== "*") throw new ContextError(lines[0] ?? "");
  const paths: string[] = [];
  const refusedNames: RegExp[] = [];
  for (const line of lines.slice(1)) {
    const allowed = /^!(?!.*\.\.)([\w.-]+(?:\/[\w.-]+)*)$/.exec(line)?.[1];
    const refused = /^\*\*\/([\w.*-]+)$/.exec(line)?.[1];
    // Docker lets the last matching line win: a refusal has its meaning here only behind every permission.
    if (allowed !== undefined && refusedNames.length === 0) paths.push(allowed);
    else if (refused !== undefined) {
      const pattern = refused.split("*").map((part) => part.replaceAll(".", "\\."));
      refusedNames.push(new RegExp(`^${pattern.join("[^/]*")}$`));
    } else throw new ContextError(line);
  }
  return { paths, refusedNames };
}

/** Every file that Docker is sent, relative to `root`, sorted; absent paths of the list are left out. */
export function contextFiles(root: string, list: AllowList): readonly string[] {
  const refused = (path: string): boolean => list.refusedNames.some((pattern) => pattern.test(basename(path)));
  const walk = (path: string): string[] => {
    if (refused(path)) return [];
    let entries: string[];
    try {
      entries = readdirSync(join(root, path));
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      if (code === "ENOTDIR") return [path];
      if (code === "ENOENT") return [];
      throw cause;
    }
    return entries.flatMap((entry) => walk(`${path}/${entry}`));
  };
  return [...new Set(list.paths.flatMap(walk))].sort();
}

/** `<content hash>-<architecture>` over the files and the build arguments; ECR keeps tags immutable. */
export function contentTag(
  root: string,
  architecture: string,
  buildArguments: Readonly<Record<string, string>> = {},
): string {
  const hash = createHash("sha256");
  for (const path of contextFiles(root, parseAllowList(readFileSync(join(root, ".dockerignore"), "utf8")))) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  for (const [name, value] of Object.entries(buildArguments).sort()) hash.update(`${name}=${value}\0`);
  return `${hash.digest("hex").slice(0, 20)}-${architecture}`;
}
