// A process of its own for whatever is measured or serves, spoken to in small messages.

import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";

/** What goes between the processes. */
export interface Note {
  readonly kind: string;
  readonly [field: string]: unknown;
}

export interface Worker {
  send(note: Note): void;
  /** The next note of a kind; rejects with the process's end, a `failed` note, or after `withinMs`. */
  next(kind: string, withinMs?: number): Promise<Note>;
  /** Kills the process and resolves once it is gone. */
  end(): Promise<void>;
}

const PATIENCE_MS = 300_000;

/** Node keeps what it has compiled here: stripping types takes some 20 MiB, which a client's memory would be mixed with. */
const COMPILED = path.resolve(import.meta.dirname, "../../node_modules/.cache/mooring-bench-compiled");

/** Starts `file`, given `argument` as JSON. */
export function startWorker(file: string, argument: unknown, execArgv: readonly string[] = []): Worker {
  const child = fork(file, [JSON.stringify(argument)], {
    execArgv: [...execArgv],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // Some clients log by themselves; only what they count matters here.
    env: { ...process.env, NODE_ENV: "production", NO_COLOR: "1", NODE_COMPILE_CACHE: COMPILED },
  });
  const unread: Note[] = [];
  const waiting = new Set<(note: Note | Error) => boolean>();
  const tell = (note: Note | Error): void => {
    for (const take of waiting) if (take(note)) return;
    if (!(note instanceof Error)) unread.push(note);
  };
  let over: Error | undefined;
  child.on("message", (message: unknown) => {
    if (isNote(message)) tell(message);
  });
  child.on("exit", (code, signal) => {
    over = new Error(`${file} ended with ${code ?? signal}`);
    tell(over);
  });
  return {
    send: (note) => void child.send(note),
    next: (kind, withinMs = PATIENCE_MS) =>
      new Promise((resolve, reject) => {
        const take = (note: Note | Error): boolean => {
          if (!(note instanceof Error) && note.kind !== kind && note.kind !== "failed") return false;
          clearTimeout(timer);
          waiting.delete(take);
          if (note instanceof Error) reject(note);
          else if (note.kind === "failed") reject(new Error(String(note["reason"])));
          else resolve(note);
          return true;
        };
        const timer = setTimeout(() => take(new Error(`no ${kind} within ${withinMs / 1000} s`)), withinMs);
        waiting.add(take);
        const index = unread.findIndex((note) => note.kind === kind || note.kind === "failed");
        const [early] = index < 0 ? [] : unread.splice(index, 1);
        if (early !== undefined) take(early);
        else if (over !== undefined) take(over);
      }),
    end: () => ended(child),
  };
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}

function isNote(value: unknown): value is Note {
  return typeof value === "object" && value !== null && "kind" in value && typeof value.kind === "string";
}

/** In the worker: the argument it was started with. */
export function workerArgument(): unknown {
  return JSON.parse(process.argv[2] ?? "null");
}

/** In the worker: sends a note to whoever started it. */
export function report(note: Note): void {
  process.send?.(note);
}

/** In the worker: hears the notes it is sent; a handler that throws ends the measurement. */
export function onNote(handle: (note: Note) => void | Promise<void>): void {
  process.on("message", (message: unknown) => {
    if (!isNote(message)) return;
    void (async () => handle(message))().catch(fail);
  });
  // Exits by itself: profiles are written then, and only then.
  process.once("SIGTERM", () => process.exit(0));
  // Whoever started it is gone, by whatever means.
  process.once("disconnect", () => process.exit(0));
}

/** In the worker: the measurement cannot go on. */
export function fail(error: unknown): void {
  report({ kind: "failed", reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

/** A number of a note. */
export function numberOf(note: Note, field: string): number {
  const value = note[field];
  if (typeof value !== "number") throw new Error(`${note.kind} has no number ${field}`);
  return value;
}
