// A ledger in a directory: one JSON file for each kind of record, each replaced as a whole or not at all.

import { createHash, randomUUID } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { codeOf, failed } from "./fileFaults.ts";
import { createFileValues } from "./fileValues.ts";
import type { Ledger } from "./ledger.ts";
import { LedgerError } from "./ledgerError.ts";
import { makeDirectory } from "./makeDirectory.ts";
import { newerSessions, type Reader, readRefusal, readSessions, readStarts, withStart } from "./records.ts";
import { planFrom, planText, type ShardPlan } from "./shardPlan.ts";

// Session ids and hashes are for the bot's user alone.
const FILE_MODE = 0o600;

interface RecordFile<Value> {
  readonly name: string;
  readonly read: Reader<Value>;
  readonly empty: Value;
}

const SESSIONS: RecordFile<Awaited<ReturnType<Ledger["readSessions"]>>> = {
  name: "sessions.json",
  read: readSessions,
  empty: [],
};
const STARTS: RecordFile<readonly number[]> = { name: "starts.json", read: readStarts, empty: [] };
const PLAN: RecordFile<ShardPlan | undefined> = {
  name: "shards.json",
  read: (value) => planFrom(JSON.stringify(value)),
  empty: undefined,
};
const REFUSAL: RecordFile<Awaited<ReturnType<Ledger["readRefusal"]>>> = {
  name: "refusal.json",
  read: readRefusal,
  empty: undefined,
};

// The last access to each directory: whoever opens it in this process waits for the one before, so that what is read,
// compared and replaced stays one step. Between processes a replacement is whole, but the last one wins.
const turns = new Map<string, Promise<unknown>>();

/**
 * One directory belongs to one bot process, or to its predecessor and successor in a deploy; it is created when first
 * written to. A broken or foreign file is renamed to `<name>.damaged-<hash>` and reported once as LedgerError "damaged".
 */
export function createFileLedger(directory: string): Ledger {
  const home = path.resolve(directory);

  const inTurn = async <Result>(access: () => Promise<Result>): Promise<Result> => {
    const before = turns.get(home);
    const turn = (async () => {
      await before?.catch(() => {});
      return access();
    })();
    turns.set(home, turn);
    return turn;
  };

  const read = async <Value>({ name, read, empty }: RecordFile<Value>): Promise<Value> => {
    const file = path.join(home, name);
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return empty;
      throw failed("unreadable", file, error);
    }
    const value = read(parsed(text));
    if (value !== undefined) return value;
    // The same damage gets the same name, so that a restart loop does not fill the directory.
    const aside = `${file}.damaged-${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
    try {
      await rename(file, aside);
    } catch (error) {
      throw failed("unwritable", file, error);
    }
    throw new LedgerError(
      "damaged",
      `${file} is not what a bot writes there; it was set aside as ${aside} and the bot goes on without it. ` +
        "Delete it, or move it back if another program needs it",
    );
  };

  /** Puts `change(kept)` in the file's place; undefined deletes it. Damage is set aside, and told after the write. */
  const replace = async <Value>(record: RecordFile<Value>, change: (kept: Value) => Value): Promise<void> => {
    let kept = record.empty;
    let damage: unknown;
    try {
      kept = await read(record);
    } catch (error) {
      if (!(error instanceof LedgerError && error.kind === "damaged")) throw error;
      damage = error;
    }
    const file = path.join(home, record.name);
    const next = change(kept);
    try {
      if (next === undefined) await rm(file, { force: true });
      else if (next !== kept) await write(home, file, `${JSON.stringify(next)}\n`);
    } catch (error) {
      throw failed("unwritable", file, error);
    }
    if (damage !== undefined) throw damage;
  };

  return {
    persistent: true,
    readSessions: () => inTurn(() => read(SESSIONS)),
    writeSessions: (next) => inTurn(() => replace(SESSIONS, (kept) => newerSessions(kept, next))),
    readStarts: () => inTurn(() => read(STARTS)),
    recordStart: (at) => inTurn(() => replace(STARTS, (starts) => withStart(starts, at))),
    readRefusal: () => inTurn(() => read(REFUSAL)),
    writeRefusal: (refusal) => inTurn(() => replace(REFUSAL, () => refusal)),
    values: createFileValues(path.join(home, "values")),
    shardPlans: {
      read: () =>
        inTurn(async () => {
          const plan = await read(PLAN);
          return { plan, version: plan && planText(plan) };
        }),
      write: (next, version) =>
        inTurn(async () => {
          const kept = await read(PLAN);
          if ((kept && planText(kept)) !== version) return false;
          await replace(PLAN, () => next);
          return true;
        }),
    },
  };
}

/** Replaces a file so that a crash or a power cut leaves the old text or the new one, never a part of it. */
async function write(directory: string, file: string, text: string): Promise<void> {
  await makeDirectory(directory);
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = await open(draft, "wx", FILE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(directory);
}

/** Makes the rename itself outlive a power cut, where the file system can do that. */
async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await open(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The new file is in place; only a power cut within seconds could bring the old one back.
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
