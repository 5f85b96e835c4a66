// A clock for tests over real sockets in one process: time stands still while bytes are on their way, and jumps when none are.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import type { Clock } from "../bot/clock.ts";

/** Round trips of the sentinel without any other traffic that count as quiet. */
const QUIET_ROUNDS = 3;
const WALL_START_MS = 1_750_000_000_000;

export interface StillClock extends Clock {
  /** Lets time go on until it holds. @returns how long that took, ms of this clock; rejects after `mostMs` */
  until(what: string, holds: () => boolean, mostMs: number): Promise<number>;
  /** Lets so much time pass. */
  pass(milliseconds: number): Promise<void>;
  stop(): void;
}

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * Both ends of every connection must live in this process and on this clock. Then a busy machine only makes a test
 * slower: no measured time depends on it.
 */
export async function stillClock(): Promise<StillClock> {
  const server = createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sentinel = connect(port, "127.0.0.1");
  await once(sentinel, "connect");
  const timers = new Set<Timer>();
  let time = 0;
  let order = 0;

  /** A byte through the kernel and back: what was sent before it has arrived by then. */
  const roundTrip = async (): Promise<void> => {
    sentinel.write(".");
    await once(sentinel, "data");
    await new Promise((resolve) => setImmediate(resolve));
  };

  /** Changes with every byte and every connection of this process. */
  const traffic = (): string => {
    const handles: unknown = Reflect.apply(Reflect.get(process, "_getActiveHandles"), process, []);
    let bytes = 0;
    let sockets = 0;
    for (const handle of Array.isArray(handles) ? handles : []) {
      const isOurs = handle === sentinel || (handle instanceof Socket && handle.remotePort === sentinel.localPort);
      if (!(handle instanceof Socket) || isOurs) continue;
      bytes += handle.bytesRead + handle.bytesWritten;
      sockets += handle.connecting ? 1_000 : 1;
    }
    return `${sockets} ${bytes}`;
  };

  const quiet = async (): Promise<void> => {
    for (let still = 0, before = traffic(); still < QUIET_ROUNDS; ) {
      await roundTrip();
      const now = traffic();
      still = now === before ? still + 1 : 0;
      before = now;
    }
  };

  const earliest = (): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (first === undefined || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  };

  const schedule: Clock["schedule"] = (delayMs, callback) => {
    const timer = { due: time + Math.max(0, delayMs), order: order++, callback };
    timers.add(timer);
    return () => timers.delete(timer);
  };

  /** Runs the next timer if it is due by then; false if none is. */
  const step = async (until: number): Promise<boolean> => {
    const next = earliest();
    if (next === undefined || next.due > until) return false;
    timers.delete(next);
    time = next.due;
    const before = traffic();
    next.callback();
    await new Promise((resolve) => setImmediate(resolve));
    if (traffic() !== before) await quiet();
    return true;
  };

  return {
    now: () => time,
    wall: () => WALL_START_MS + time,
    schedule,
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const abort = (): void => {
          cancel();
          reject(signal?.reason);
        };
        const cancel = schedule(delayMs, () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        });
        signal?.addEventListener("abort", abort, { once: true });
      }),
    async until(what, holds, mostMs) {
      const from = time;
      await quiet();
      while (!holds()) if (!(await step(from + mostMs))) throw new Error(`never came within ${mostMs} ms: ${what}`);
      return time - from;
    },
    async pass(milliseconds) {
      const end = time + milliseconds;
      await quiet();
      while (await step(end));
      time = end;
    },
    stop() {
      timers.clear();
      sentinel.destroy();
      server.close();
    },
  };
}
