// One client alone in its process: counts what arrives and reports the CPU time and memory that it took.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fail, numberOf, onNote, report, workerArgument } from "../worker.ts";
import { CONTENDERS } from "./contenders.ts";
import { MODES } from "./contexts.ts";

interface Argument {
  readonly client: string;
  readonly mode: string;
  readonly url: string;
  readonly shards: number;
}

const argument = workerArgument() as Argument;
const contender = CONTENDERS.find(({ name }) => name === argument.client);
const mode = MODES.find((known) => known === argument.mode);
if (contender === undefined || mode === undefined) throw new Error("the benchmark started a client that it has not");

let ready = 0;
let events = 0;
let awaited = Number.POSITIVE_INFINITY;
let reached: () => void = () => {};

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

onNote(async (note) => {
  if (note.kind === "count") {
    const before = process.cpuUsage();
    const startedAt = performance.now();
    const done = Promise.withResolvers<void>();
    reached = done.resolve;
    awaited = numberOf(note, "events");
    report({ kind: "counting" });
    if (events < awaited) await done.promise;
    const { user, system } = process.cpuUsage(before);
    const wallMs = performance.now() - startedAt;
    report({ kind: "counted", cpuMs: (user + system) / 1000, wallMs, peakBytes: peakBytes(), events });
  } else if (note.kind === "weigh") {
    // What was needed to get here is let go first: promises, timers, code caches.
    await sleep(1_000);
    for (let round = 0; round < 4; round++) {
      globalThis.gc?.();
      await sleep(100);
    }
    const { heapUsed, external } = process.memoryUsage();
    report({ kind: "weighed", bytes: heapUsed + external });
  }
});

const start = await contender.load();
await start({
  url: argument.url,
  shards: argument.shards,
  mode,
  ready() {
    ready++;
    if (ready === argument.shards) report({ kind: "ready" });
  },
  event() {
    events++;
    if (events === awaited) reached();
  },
});

/** The most memory that this process ever held. */
function peakBytes(): number {
  try {
    // Unlike getrusage's, this number does not begin with the memory of the process that forked this one.
    const found = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    if (found !== null) return Number(found[1]) * 1024;
  } catch {}
  return process.resourceUsage().maxRSS * 1024;
}
