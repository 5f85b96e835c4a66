// A clock for tests over real sockets in one process: time stands still while bytes are on their way, and jumps when none are.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import type { Clock } from "../bot/clock.ts";
import { virtualClock } from "./virtualClock.ts";

/** Round trips of the sentinel without any other traffic that count as quiet. */
const QUIET_ROUNDS = 3;

export interface StillClock extends Clock {
  /** Lets time go on until it holds. @returns how long that took, ms of this clock; rejects after `mostMs` */
  until(what: string, holds: () => boolean, mostMs: number): Promise<number>;
  /** Lets so much time pass. */
  pass(milliseconds: number): Promise<void>;
  stop(): void;
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
  const virtual = virtualClock();

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

  /** Runs the next timer if it is due by then; false if none is. */
  const step = async (until: number): Promise<boolean> => {
    const before = traffic();
    if (!virtual.runNext(until)) return false;
    await new Promise((resolve) => setImmediate(resolve));
    if (traffic() !== before) await quiet();
    return true;
  };

  return {
    ...virtual,
    async until(what, holds, mostMs) {
      const from = virtual.now();
      await quiet();
      while (!holds()) if (!(await step(from + mostMs))) throw new Error(`never came within ${mostMs} ms: ${what}`);
      return virtual.now() - from;
    },
    async pass(milliseconds) {
      const end = virtual.now() + milliseconds;
      await quiet();
      while (await step(end));
      await virtual.advance(end - virtual.now());
    },
    stop() {
      sentinel.destroy();
      server.close();
    },
  };
}
