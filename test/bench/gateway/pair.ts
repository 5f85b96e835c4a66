// Two clients side by side, each alone in its process, that take the same slices of a burst in turns.

import path from "node:path";
import { numberOf, startWorker, type Worker } from "../worker.ts";
import type { Contender } from "./contenders.ts";
import type { Mode } from "./contexts.ts";

/** The load server, with a door for each of two clients. */
export interface Doors {
  readonly server: Worker;
  readonly urls: readonly [string, string];
}

export interface Setting {
  readonly mode: Mode;
  readonly shards: number;
}

/** A client with all its shards ready, and nothing measured yet. */
export interface Client {
  /** Receives so many dispatches on all shards together, give or take one a shard. @returns CPU ms */
  take(events: number): Promise<number>;
  /** The most memory that its process ever held, in bytes. */
  peakBytes(): number;
  /** Heap and external bytes, once what was needed to get here is let go. */
  weigh(): Promise<number>;
  end(): Promise<void>;
}

/** @throws Error when the client does not get ready. */
export async function openClient(
  { server, urls }: Doors,
  door: 0 | 1,
  contender: Contender,
  { mode, shards }: Setting,
  execArgv: readonly string[] = [],
): Promise<Client> {
  const argument = { client: contender.name, mode, shards, url: urls[door] };
  server.send({ kind: "expect", door, mode });
  const worker = startWorker(path.join(import.meta.dirname, "subject.ts"), argument, execArgv);
  let dispatches = 0;
  let peakBytes = 0;
  const end = async (): Promise<void> => {
    await worker.end();
    server.send({ kind: "cut", door });
  };
  try {
    await worker.next("ready", 60_000);
  } catch (error) {
    await end();
    throw error;
  }
  return {
    async take(events) {
      dispatches += Math.floor(events / shards);
      worker.send({ kind: "count", events: dispatches * shards });
      await worker.next("counting");
      server.send({ kind: "send", door, dispatches });
      const counted = await worker.next("counted");
      peakBytes = numberOf(counted, "peakBytes");
      return numberOf(counted, "cpuMs");
    },
    peakBytes: () => peakBytes,
    async weigh() {
      worker.send({ kind: "weigh" });
      return numberOf(await worker.next("weighed"), "bytes");
    },
    end,
  };
}

/** One slice, taken by both within moments of each other. */
export interface Round {
  readonly baselineMs: number;
  readonly clientMs: number;
}

export interface Measured {
  readonly rounds: readonly Round[];
  readonly baselinePeakBytes: number;
  readonly clientPeakBytes: number;
}

// The more a client differs from the baseline, the fewer rounds tell how much; and the slow ones take the longest.
const PLAIN_RATIO = 0.5;
const PLAIN_ROUNDS = 3;

/**
 * Runs a burst in slices, after one for warming up. Who goes first alternates: the machine's mood hits both alike.
 * @param events of one slice
 * @throws Error when a client does not get ready, or loses what it was sent
 */
export async function measurePair(
  doors: Doors,
  setting: Setting,
  baseline: Contender,
  contender: Contender,
  { events, rounds, execArgv }: { readonly events: number; readonly rounds: number; readonly execArgv: string[] },
): Promise<Measured> {
  const reference = await openClient(doors, 0, baseline, setting);
  try {
    const client = await openClient(doors, 1, contender, setting, execArgv);
    try {
      await reference.take(events);
      await client.take(events);
      const measured: Round[] = [];
      while (measured.length < rounds) {
        const first = measured.length % 2 === 0;
        const before = first ? await reference.take(events) : 0;
        const clientMs = await client.take(events);
        const baselineMs = first ? before : await reference.take(events);
        measured.push({ baselineMs, clientMs });
        const plain = measured.every((round) => round.baselineMs / round.clientMs < PLAIN_RATIO);
        if (plain && measured.length >= PLAIN_ROUNDS) break;
      }
      return {
        rounds: measured,
        baselinePeakBytes: reference.peakBytes(),
        clientPeakBytes: client.peakBytes(),
      };
    } finally {
      await client.end();
    }
  } finally {
    await reference.end();
  }
}
