// What the file system refuses, as a ledger's error that names the place and the fix.

import { LedgerError } from "./ledgerError.ts";

/** What a person does about an error of the file system, by its code. */
const FIXES: Readonly<Record<string, string>> = {
  ENOENT: "name a directory in LEDGER=file:DIR that can be made",
  EACCES: "give the bot's user the right to read and write there",
  EPERM: "give the bot's user the right to read and write there",
  EROFS: "mount a writable volume there",
  ENOSPC: "make room on that volume",
  EDQUOT: "make room on that volume",
  ENOTDIR: "name a directory in LEDGER=file:DIR, not a file",
  EEXIST: "name a directory in LEDGER=file:DIR, not a file",
  EISDIR: "move the directory of that name away",
};

export function failed(kind: "unreadable" | "unwritable", file: string, cause: unknown): LedgerError {
  const code = codeOf(cause);
  const fix = FIXES[code ?? ""] ?? "check the volume that it lies on";
  return new LedgerError(kind, `${file} is ${kind} (${code ?? String(cause)}); ${fix}`, cause);
}

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
