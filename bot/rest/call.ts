// One request and everybody who waits for its result; each caller may give up alone.

import type { Clock } from "../clock.ts";
import { RestError } from "./errors.ts";
import type { Message } from "./message.ts";
import type { Entry, Priority } from "./queue.ts";
import type { Route } from "./route.ts";
import type { Flight } from "./transport.ts";

/** What a request brought: the document's text, and the document itself for the first to ask. */
export interface Result {
  readonly text: string;
  readonly document: unknown;
}

interface Waiter {
  readonly resolve: (document: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly detach: () => void;
}

/** How one caller waits. */
export interface WaiterOptions {
  readonly signal: AbortSignal | undefined;
  readonly deadlineMs: number | undefined;
}

const NOTHING = (): void => {};

export class Call {
  readonly route: Route;
  readonly message: Message;
  /** The caller's own, before it became text. */
  readonly body: unknown;
  readonly priority: Priority;
  readonly authenticated: boolean;
  /** Asked right before each sending whether this process may still act; undefined: it always may. */
  readonly permit: (() => boolean) | undefined;
  /** Monotonic ms since when the permit has been refused. */
  heldSince: number | undefined;
  entry: Entry<Call> | undefined;
  flight: Flight | undefined;
  askedAt = 0;
  sentAt = 0;
  firstSentAt: number | undefined;
  /** Attempts that failed without a usable answer. */
  faults = 0;
  /** 429s met. */
  limited = 0;
  /** Monotonic ms at which the last waiter's deadline ends; Infinity while one has none. */
  latest = 0;
  readonly #clock: Clock;
  /** Mostly one. */
  #waiters: Waiter[] = [];
  readonly #abandoned: (call: Call) => void;

  /** @param abandoned called once nobody waits any more. */
  constructor(
    route: Route,
    message: Message,
    body: unknown,
    priority: Priority,
    authenticated: boolean,
    permit: (() => boolean) | undefined,
    clock: Clock,
    abandoned: (call: Call) => void,
  ) {
    this.route = route;
    this.message = message;
    this.body = body;
    this.priority = priority;
    this.authenticated = authenticated;
    this.permit = permit;
    this.#clock = clock;
    this.#abandoned = abandoned;
  }

  /** Joins one caller. */
  wait(options: WaiterOptions): Promise<unknown> {
    const { signal, deadlineMs } = options;
    this.latest = Math.max(this.latest, deadlineMs === undefined ? Infinity : this.#clock.now() + deadlineMs);
    return new Promise((resolve, reject) => {
      const bound = signal !== undefined || deadlineMs !== undefined;
      this.#waiters.push({ resolve, reject, detach: bound ? this.#attach(options, reject) : NOTHING });
    });
  }

  /** Lets one caller give up by its signal or deadline. @returns what undoes that */
  #attach({ signal, deadlineMs }: WaiterOptions, reject: (error: unknown) => void): () => void {
    const leave = (error: unknown): void => {
      const waiter = this.#waiters.find((one) => one.reject === reject);
      if (waiter === undefined) return;
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
      waiter.detach();
      reject(error);
      if (this.#waiters.length === 0) this.#abandoned(this);
    };
    const abort = (): void => leave(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const late = (): void =>
      leave(new RestError("deadline", `not done within ${deadlineMs} ms`, { route: this.route.name }));
    const cancel = deadlineMs === undefined ? NOTHING : this.#clock.schedule(deadlineMs, late);
    return () => {
      cancel();
      signal?.removeEventListener("abort", abort);
    };
  }

  /** Gives every waiter a document of its own, so that none sees another's changes. */
  resolve(result: Result): void {
    let first = true;
    for (const waiter of this.#take()) {
      waiter.resolve(first || result.text === "" ? result.document : JSON.parse(result.text));
      first = false;
    }
  }

  reject(error: unknown): void {
    for (const waiter of this.#take()) waiter.reject(error);
  }

  #take(): readonly Waiter[] {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.detach();
    return waiters;
  }
}
