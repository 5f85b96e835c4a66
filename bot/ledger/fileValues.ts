// A ledger's values as files: one each, so that a claim is one step of the file system, between processes as well.

import { createHash, randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { codeOf, failed } from "./fileFaults.ts";
import { MOST_VALUES, type Values } from "./ledger.ts";
import { makeDirectory } from "./makeDirectory.ts";

const FILE_MODE = 0o600;
// A sweep looks at each file once; so many writes apart it costs little, and the directory cannot grow by more.
const SWEEP_EVERY = 1_000;
// A claim meets an expired one, removes it and tries again; more than a few such meetings are no coincidence.
const MOST_TRIES = 4;

interface Kept {
  readonly key: string;
  readonly value: string;
  readonly expiresAt: number;
}

/**
 * A kill leaves the old value or the new one; a power cut may take the last seconds. A file's mtime is when
 * it expires, also a draft's that a killed process left behind.
 */
export function createFileValues(directory: string): Values {
  let untilSweep = 0;

  const fileOf = (key: string): string =>
    path.join(directory, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);

  const readKept = async (key: string): Promise<Kept | undefined> => {
    const file = fileOf(key);
    try {
      const kept = keptFrom(await readFile(file, "utf8"));
      return kept?.key === key ? kept : undefined;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw failed("unreadable", file, error);
    }
  };

  /** Writes the value beside its place, and hands it to `publish`, which puts it there in one step. */
  const draft = async <Result>(kept: Kept, publish: (from: string, to: string) => Promise<Result>): Promise<Result> => {
    const file = fileOf(kept.key);
    const beside = `${file}.${randomUUID()}.tmp`;
    try {
      await makeDirectory(directory);
      await writeFile(beside, JSON.stringify(kept), { mode: FILE_MODE });
      await utimes(beside, kept.expiresAt / 1_000, kept.expiresAt / 1_000);
      return await publish(beside, file);
    } catch (error) {
      throw failed("unwritable", file, error);
    } finally {
      await rm(beside, { force: true }).catch(() => {});
    }
  };

  const sweep = async (now: number): Promise<void> => {
    if (untilSweep-- > 0) return;
    untilSweep = SWEEP_EVERY;
    const files: { readonly file: string; readonly expiresAt: number }[] = [];
    for (const name of await readdir(directory)) {
      const file = path.join(directory, name);
      const found = await stat(file).catch(() => undefined);
      if (found === undefined) continue;
      if (found.mtimeMs <= now) await rm(file, { force: true });
      else if (name.endsWith(".json")) files.push({ file, expiresAt: found.mtimeMs });
    }
    files.sort((left, right) => left.expiresAt - right.expiresAt);
    for (const { file } of files.slice(0, Math.max(0, files.length - MOST_VALUES))) await rm(file, { force: true });
  };

  return {
    async read(key, now) {
      const kept = await readKept(key);
      return kept !== undefined && kept.expiresAt > now ? kept.value : undefined;
    },
    async claim(key, value, now, expiresAt) {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const won = await draft({ key, value, expiresAt }, async (from, to) => {
          try {
            await link(from, to);
            return true;
          } catch (error) {
            if (codeOf(error) === "EEXIST") return false;
            throw error;
          }
        });
        if (won) {
          await sweep(now);
          return true;
        }
        const kept = await readKept(key);
        if (kept !== undefined && kept.expiresAt > now) return false;
        await rm(fileOf(key), { force: true });
      }
      return false;
    },
    async write(key, value, now, expiresAt) {
      await draft({ key, value, expiresAt }, rename);
      await sweep(now);
    },
    async remove(key) {
      const file = fileOf(key);
      try {
        await rm(file, { force: true });
      } catch (error) {
        throw failed("unwritable", file, error);
      }
    },
  };
}

function keptFrom(text: string): Kept | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { key, value: kept, expiresAt } = value as Partial<Record<keyof Kept, unknown>>;
  if (typeof key !== "string" || typeof kept !== "string" || typeof expiresAt !== "number") return undefined;
  return { key, value: kept, expiresAt };
}
