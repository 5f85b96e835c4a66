// One HTTP exchange over undici's pool: always settles, within its time, with the whole body or a named fault.

import type { Socket } from "node:net";
import { type buildConnector, type Dispatcher, Pool } from "undici";
import type { Cancel, Clock } from "../clock.ts";
import { type Message, NO_HEADERS } from "./message.ts";
import type { Answer } from "./verdict.ts";

export type Exchange =
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers: Answer["headers"];
      readonly body: Buffer;
    }
  /** `sent`: a byte may have left. */
  | { readonly kind: "network" | "timeout" | "badResponse"; readonly sent: boolean; readonly cause: Error }
  | { readonly kind: "aborted"; readonly sent: boolean };

/** An exchange under way. */
export interface Flight {
  /** Gives up; the exchange ends as `aborted` at once. */
  abort(): void;
}

// AWS's NAT gateway resets a flow that was idle for 350 s; a connection is given up long before, and well within what
// Discord's edge keeps open, since a request written to a closing connection is lost with its outcome unknown.
const KEEP_ALIVE_MS = 120_000;
/** From handing a request over to the last byte of its answer. Discord's own edge gives up on its API after 100 s. */
const ANSWER_MS = 20_000;
/** Uploads may take longer: 25 MiB (reference#uploading-files) at 2 Mbit/s. */
const UPLOAD_MS = 110_000;
const UPLOAD_BYTES = 256 * 1024;
const LONGEST_ANSWER_BYTES = 64 * 1024 * 1024;

/** Things that all last equally long, with one timer for the oldest; taking one out costs nothing. */
class Deadlines {
  readonly #clock: Clock;
  readonly #lastMs: number;
  readonly #running = new Map<() => void, number>();
  #timer: Cancel | undefined;

  constructor(clock: Clock, lastMs: number) {
    this.#clock = clock;
    this.#lastMs = lastMs;
  }

  add(expire: () => void): void {
    this.#running.set(expire, this.#clock.now() + this.#lastMs);
    this.#arm();
  }

  remove(expire: () => void): void {
    this.#running.delete(expire);
  }

  #arm(): void {
    const [oldest] = this.#running.values();
    if (this.#timer !== undefined || oldest === undefined) return;
    this.#timer = this.#clock.schedule(oldest - this.#clock.now(), () => {
      this.#timer = undefined;
      for (const [expire, due] of [...this.#running]) {
        if (due > this.#clock.now()) break;
        this.#running.delete(expire);
        expire();
      }
      this.#arm();
    });
  }

  stop(): void {
    this.#timer?.();
  }
}

/** How requests travel; whoever sends them needs no more than this. */
export interface Transport {
  /** Sends a request; `settle` is called exactly once, never before `send` returns. */
  send(message: Message, headers: Readonly<Record<string, string>>, settle: (exchange: Exchange) => void): Flight;
  /** Breaks every connection. */
  close(): Promise<void>;
}

/** Opens a connection to the API's host; exactly one of error and socket is given, once. */
export type Open = (
  target: { readonly hostname: string; readonly port: number; readonly secure: boolean },
  done: (error: Error | null, socket: Socket | null) => void,
) => void;

function connector(open: Open): buildConnector.connector {
  return ({ hostname, port, protocol }, done) => {
    const secure = protocol === "https:";
    const target = { hostname, port: port === "" ? (secure ? 443 : 80) : Number(port), secure };
    open(target, (error, socket) => {
      if (socket === null) done(error ?? new Error("no connection"), null);
      else done(null, socket);
    });
  };
}

export class PooledTransport implements Transport {
  readonly #pool: Pool;
  readonly #answers: Deadlines;
  readonly #uploads: Deadlines;
  readonly #base: string;

  /**
   * @param apiUrl the API's whole base, without a trailing slash.
   * @param open how connections are made; undefined = directly.
   */
  constructor(apiUrl: string, clock: Clock, open?: Open) {
    const { origin, pathname } = new URL(apiUrl);
    this.#answers = new Deadlines(clock, ANSWER_MS);
    this.#uploads = new Deadlines(clock, UPLOAD_MS);
    this.#base = pathname.replace(/\/+$/, "");
    this.#pool = new Pool(origin, {
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // Waits are measured on the clock that was handed in; undici's own timers would run on another.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: LONGEST_ANSWER_BYTES,
      ...(open === undefined ? {} : { connect: connector(open) }),
    });
  }

  send(message: Message, headers: Readonly<Record<string, string>>, settle: (exchange: Exchange) => void): Flight {
    let controller: Dispatcher.DispatchController | undefined;
    let sent = false;
    let status = 0;
    let answerHeaders: Answer["headers"] = {};
    const chunks: Buffer[] = [];
    let open = true;
    const size = message.body === null ? 0 : message.body.length;
    const deadlines = size > UPLOAD_BYTES ? this.#uploads : this.#answers;

    const end = (exchange: Exchange): void => {
      if (!open) return;
      open = false;
      deadlines.remove(late);
      settle(exchange);
    };
    const giveUp = (reason: Error): void => {
      // Before the request starts there is no controller: it is stopped when it would start.
      if (controller !== undefined && !controller.aborted) controller.abort(reason);
    };
    const late = (): void => {
      const cause = new Error(status === 0 ? "no answer in time" : "the answer's body did not end in time");
      end({ kind: "timeout", sent, cause });
      giveUp(cause);
    };
    deadlines.add(late);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started;
        if (!open) started.abort(new Error("given up before it was sent"));
        else sent = true;
      },
      onResponseStart(_controller, code, received) {
        // 1xx answers come before the real one.
        status = code;
        answerHeaders = received;
      },
      onResponseData(_controller, chunk) {
        chunks.push(chunk);
      },
      onResponseEnd() {
        const [only] = chunks;
        const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
        end({ kind: "answer", status, headers: answerHeaders, body });
      },
      onResponseError(_controller, cause) {
        // With a status in hand the connection broke within the body: what arrived is half an answer.
        end({ kind: status === 0 ? "network" : "badResponse", sent, cause });
      },
    };
    const options: Dispatcher.DispatchOptions = {
      path: this.#base + message.path,
      method: message.method,
      headers: message.headers === NO_HEADERS ? headers : { ...headers, ...message.headers },
      body: message.body,
    };
    try {
      this.#pool.dispatch(options, handler);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      queueMicrotask(() => end({ kind: "network", sent, cause }));
    }
    return {
      abort: () => {
        end({ kind: "aborted", sent });
        giveUp(new Error("given up by the caller"));
      },
    };
  }

  async close(): Promise<void> {
    this.#answers.stop();
    this.#uploads.stop();
    await this.#pool.destroy();
  }
}
