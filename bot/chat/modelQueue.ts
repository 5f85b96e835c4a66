// Lets so many questions at once to the model, the others wait: each server in turn, so many of each.

import { createFairTurns } from "./fairTurns.ts";

/** Too many questions of that server wait already. */
export class QueueFull extends Error {
  override readonly name = "QueueFull";
  readonly kind = "busy";
}

export interface ModelQueue {
  readonly waiting: number;
  /** Rejects with QueueFull at once, or with the signal's reason. */
  run<Result>(server: string, work: () => Promise<Result>, signal: AbortSignal): Promise<Result>;
}

/** @param onWaiting told whenever their number may have changed. */
export function createModelQueue(most: {
  readonly running: number;
  readonly waitingPerServer: number;
  onWaiting?(waiting: number): void;
}): ModelQueue {
  const turns = createFairTurns<() => void>(most.waitingPerServer);
  let running = 0;
  const changed = (): void => most.onWaiting?.(turns.waiting);

  const release = (): void => {
    const next = turns.next();
    changed();
    // The place goes to the next one, so that nobody slips in between.
    if (next === undefined) running--;
    else next();
  };

  const enter = (server: string, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    if (running < most.running) {
      running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        turns.remove(server, start);
        changed();
        reject(signal.reason);
      };
      const start = (): void => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      if (!turns.add(server, start)) {
        reject(new QueueFull(`${most.waitingPerServer} questions of this server wait already`));
        return;
      }
      signal.addEventListener("abort", abort, { once: true });
      changed();
    });
  };

  return {
    get waiting() {
      return turns.waiting;
    },
    async run(server, work, signal) {
      await enter(server, signal);
      try {
        return await work();
      } finally {
        release();
      }
    },
  };
}
