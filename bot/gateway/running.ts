// The handlers that go on after they were called: a deadline for each, and an end for all when a drain is over.

import type { Cancel, Clock } from "../clock.ts";
import type { HandlerContext } from "../defineBot.ts";
import { Chain, type Link } from "./chain.ts";

/** What a handler is handed. */
export class RunContext implements HandlerContext {
  readonly shard: number;
  readonly sequence: number;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: Error } | undefined;

  constructor(shard: number, sequence: number) {
    this.shard = shard;
    this.sequence = sequence;
  }

  // Made when asked for: most handlers never do.
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#aborted ??= { reason };
    this.#controller?.abort(reason);
  }
}

export interface RunningParts<Job> {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** A handler has settled, or overrun its deadline; once for each. */
  ended(job: Job, failure: { readonly error: unknown } | undefined): void;
  /** Others may start. */
  freed(): void;
}

export interface Running<Job> {
  readonly size: number;
  jobs(): Iterable<Job>;
  follow(job: Job, context: RunContext, result: PromiseLike<unknown>): void;
  /** Aborts all. What still runs counts as unfinished whatever becomes of it, since another process runs it again. */
  cutOff(reason: Error): void;
}

interface Run<Job> {
  readonly job: Job;
  readonly context: RunContext;
  readonly overrunsAt: number;
  /** Among those that run; undefined once it is over. */
  place: Link<Run<Job>> | undefined;
}

export function createRunning<Job>({ clock, deadlineMs, ended, freed }: RunningParts<Job>): Running<Job> {
  // By start, hence by deadline too.
  const runs = new Chain<Run<Job>>();
  let isCutOff = false;
  let cancelDeadline: Cancel | undefined;

  /** False: its deadline has ended it before, or all were cut off. */
  const end = (run: Run<Job>, failure: { readonly error: unknown } | undefined): boolean => {
    if (isCutOff || run.place === undefined) return false;
    runs.remove(run.place);
    run.place = undefined;
    ended(run.job, failure);
    return true;
  };

  /** One timer for all, set for the handler that has run longest; when that ends first, it fires for nothing. */
  const watch = (): void => {
    const { first } = runs;
    if (cancelDeadline !== undefined || first === undefined) return;
    cancelDeadline = clock.schedule(first.overrunsAt - clock.now(), () => {
      cancelDeadline = undefined;
      const now = clock.now();
      for (const run of runs) {
        if (run.overrunsAt > now) break;
        const error = new Error(`the handler ran longer than ${deadlineMs} ms; its slot was given to the next event`);
        if (end(run, { error })) run.context.abort(error);
      }
      if (isCutOff) return;
      watch();
      freed();
    });
  };

  return {
    get size() {
      return runs.size;
    },
    *jobs() {
      for (const { job } of runs) yield job;
    },
    follow(job, context, result) {
      const run: Run<Job> = { job, context, overrunsAt: clock.now() + deadlineMs, place: undefined };
      run.place = runs.add(run);
      if (cancelDeadline === undefined) watch();
      // After an overrun the end is of no interest any more; a late rejection must only not be unhandled.
      Promise.resolve(result).then(
        () => {
          if (end(run, undefined)) freed();
        },
        (error: unknown) => {
          if (end(run, { error })) freed();
        },
      );
    },
    cutOff(reason) {
      isCutOff = true;
      for (const { context } of runs) context.abort(reason);
    },
  };
}
