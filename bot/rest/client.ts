// Discord's REST API for the bot: what may be asked, and the promise that every request settles.

import type { Secret } from "../../shared/secret.ts";
import type { Clock, Random } from "../clock.ts";
import type { Neighbours, ToldBan } from "../ledger/traffic.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { Call } from "./call.ts";
import { changeOf } from "./change.ts";
import { Dispatcher } from "./dispatcher.ts";
import { type EdgeState, EdgeWatch } from "./edgeWatch.ts";
import { RestError } from "./errors.ts";
import { GetCache } from "./getCache.ts";
import { prepare, type Query } from "./message.ts";
import type { RestFile } from "./multipart.ts";
import type { Priority } from "./queue.ts";
import { Refusals } from "./refusals.ts";
import { requestProblem } from "./requestProblem.ts";
import { type Method, Routes } from "./route.ts";
import { type Open, PooledTransport, type Transport } from "./transport.ts";

export type { EdgeState } from "./edgeWatch.ts";
export { EdgeBanned, RestError, type RestErrorKind } from "./errors.ts";
export type { RestFile } from "./multipart.ts";

export interface RestOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /** `DiscordBot (<url>, <version>)`; anything else may be blocked by the edge (reference#user-agent). */
  readonly userAgent: string;
  /** The whole base, such as https://discord.com/api/v10. */
  readonly apiUrl: string;
  readonly token: Secret;
  /** The bot's global limit, requests a second: 50 unless Discord granted more. */
  readonly globalPerSecond: number;
  /** The public addresses that requests leave by, named when the edge bans them. */
  readonly addresses: readonly string[];
  onEdge(state: EdgeState): void;
  /** The token was refused: nothing authenticated is sent any more. Called once. */
  onUnauthorized(): void;
  /** The bot's own user id, once known: what happens to it as a member decides what it may do. */
  botUserId?(): string | undefined;
  /** How connections are made, through a proxy say; undefined = directly. */
  readonly open?: Open | undefined;
}

export interface RestRequest {
  readonly method: Method;
  /** Below the base, such as /channels/1/messages; emoji may come unencoded. */
  readonly path: string;
  readonly query?: Query;
  /** Sent as JSON. Create Message gets an enforced nonce unless it has one of its own. */
  readonly body?: unknown;
  readonly files?: readonly RestFile[];
  /** For the audit log. */
  readonly reason?: string;
  /** Ends the call while it is queued, in flight or waiting. A request in flight may still be carried out. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the call fails; one that is certain to take longer is refused at once. */
  readonly deadlineMs?: number;
  /** Default: interaction for interaction callbacks, user for all else. */
  readonly priority?: Priority;
  /** Whether the bot's token is sent. Default: except where the path's own token is the credential. */
  readonly auth?: boolean;
  /**
   * For a GET: takes an answer kept from before if it is at most so old (60,000 ms at most), and lets others take this
   * one. An event or a write that may have changed the answer ends that at once.
   */
  readonly cacheMs?: number;
}

/** JSON-able; times are ISO texts. */
export type RestStatus = Dispatcher["status"] & {
  readonly edge: EdgeWatch["status"];
  /** 403s and 404s that are remembered. */
  readonly refusals: number;
};

export interface RestClient {
  /**
   * Sends a request when its turn comes.
   * @typeParam Result what discord-api-types calls the route's result, such as RESTPostAPIChannelMessageResult. It is
   * the caller's word, not inferred: a path is a text, and template types of it would match across slashes.
   * @returns the parsed JSON body; undefined for 204.
   * @param permit asked right before each sending whether this process may still act; undefined: it always may.
   * @throws RestError, told apart by `kind`; EdgeBanned with `until`; or the signal's reason.
   */
  request<Result = unknown>(request: RestRequest, permit?: () => boolean): Promise<Result>;
  /**
   * Tells of each gateway dispatch: what was remembered about a resource that it changes is forgotten.
   * @param data the dispatch's `d`.
   */
  noteDispatch(type: string, data: unknown): void;
  status(): RestStatus;
  /** What other tasks should know: the requests a second that it wants, its own invalid ones, a ban that it has met. */
  traffic(): { readonly demand: number; readonly invalid: number; readonly ban: ToldBan | undefined };
  /** What other tasks have told. */
  heed(neighbours: Neighbours): void;
  /** A ban that an earlier process with this address has met and left. */
  inherit(ban: ToldBan): void;
  /** Refuses new calls, lets those that run and wait finish for `deadlineMs`, then fails the rest and closes. */
  stop(deadlineMs: number): Promise<void>;
}

/** @param transport how requests travel: undici's pool, unless a simulation brings its own. */
export function createRestClient(
  options: RestOptions,
  transport: Transport = new PooledTransport(options.apiUrl, options.clock, options.open),
): RestClient {
  const { clock, random, telemetry } = options;
  const open = { "user-agent": options.userAgent, accept: "application/json" };
  const authorized = { ...open, authorization: `Bot ${options.token.reveal()}` };
  const edge = new EdgeWatch({
    clock,
    random,
    telemetry,
    transport,
    addresses: options.addresses,
    probeHeaders: () => open,
    onEdge: (state) => options.onEdge(state),
  });

  const calls = new Set<Call>();
  /** GETs that others may join, by resource and then by path: a write to the resource ends the sharing. */
  const shared = new Map<string, Map<string, Call>>();
  const cache = new GetCache();
  const refusals = new Refusals();
  const routes = new Routes();
  let idle: (() => void) | undefined;
  let stopping: Promise<void> | undefined;

  const dispatcher = new Dispatcher({
    clock,
    random,
    telemetry,
    transport,
    globalPerSecond: options.globalPerSecond,
    edge,
    headers: (authenticated) => (authenticated ? authorized : open),
    onUnauthorized: () => options.onUnauthorized(),
    onHousekeeping: (now) => {
      cache.sweep(now);
      return cache.size;
    },
    onSettled: (call, outcome) => {
      calls.delete(call);
      if (call.message.method === "GET") {
        unshare(call);
        const text = outcome === undefined || outcome instanceof RestError ? undefined : outcome.text;
        if (cache.size > 0) cache.settle(call.route.major, shareKey(call), call, text, clock.now());
      } else {
        // Failed or not: it may have been carried out.
        cache.drop(call.route.major);
        if (!(outcome instanceof RestError)) refusals.written(call.route);
      }
      if (outcome instanceof RestError && refusals.note(call, outcome, clock.now())) {
        dispatcher.failWaiting((other, now) =>
          other.route.major === call.route.major ? refusals.find(other, now) : undefined,
        );
      }
      if (calls.size === 0) idle?.();
    },
  });
  edge.onBanned = () => dispatcher.failWaiting((call, now) => edge.refusal(call, now));
  edge.onCleared = () => dispatcher.pump();

  const shareKey = (call: Call): string => (call.authenticated ? call.message.path : `open ${call.message.path}`);

  function unshare(call: Call): void {
    const bySame = shared.get(call.route.major);
    if (bySame?.get(shareKey(call)) !== call) return;
    bySame.delete(shareKey(call));
    if (bySame.size === 0) shared.delete(call.route.major);
  }

  const urgency = (priority: Priority): number => ["background", "user", "interaction"].indexOf(priority);

  function refuse(error: unknown): Promise<never> {
    telemetry.count("RequestFailures");
    return Promise.reject(error);
  }

  function request(given: RestRequest, permit?: () => boolean): Promise<unknown> {
    const problem = requestProblem(given);
    if (problem !== undefined) return refuse(new RestError("badRequest", problem, { route: "a request" }));
    const { method, path, signal, deadlineMs } = given;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const route = routes.read(method, path, given.body, clock.wall);
    if (stopping !== undefined) {
      return refuse(new RestError("stopped", "the bot is shutting down", { route: route.name }));
    }
    let message: ReturnType<typeof prepare>;
    try {
      message = prepare(method, route, given, random);
    } catch (error) {
      return refuse(error);
    }
    const priority = given.priority ?? (route.callback ? "interaction" : "user");
    const authenticated = given.auth ?? !route.credentialInPath;
    const waiter = { signal, deadlineMs };

    const call = new Call(route, message, given.body, priority, authenticated, permit, clock, abandon);
    const known = refusals.find(call, clock.now());
    if (known !== undefined) return refuse(known);
    if (method === "GET") {
      const key = shareKey(call);
      if (given.cacheMs !== undefined) {
        const text = cache.find(route.major, key, given.cacheMs, clock.now());
        if (text !== undefined) return Promise.resolve(text === "" ? undefined : JSON.parse(text));
      }
      const running = shared.get(route.major)?.get(key);
      if (running !== undefined && urgency(running.priority) >= urgency(priority)) {
        if (given.cacheMs !== undefined) cache.expect(route.major, key, running);
        return running.wait(waiter);
      }
      if (given.cacheMs !== undefined) cache.expect(route.major, key, call);
    } else {
      shared.delete(route.major);
      cache.drop(route.major);
    }

    call.latest = deadlineMs === undefined ? Infinity : clock.now() + deadlineMs;
    const refusal = dispatcher.refusal(call, deadlineMs);
    if (refusal !== undefined) return refuse(refusal);
    calls.add(call);
    if (method === "GET") {
      let bySame = shared.get(route.major);
      if (bySame === undefined) {
        bySame = new Map();
        shared.set(route.major, bySame);
      }
      bySame.set(shareKey(call), call);
    }
    const result = call.wait(waiter);
    dispatcher.add(call);
    return result;
  }

  const abandon = (call: Call): void => dispatcher.abandon(call);

  function noteDispatch(type: string, data: unknown): void {
    if (type === "READY") {
      // A new session: whatever happened since the last one ended was missed.
      refusals.clear();
      cache.clear();
      shared.clear();
      return;
    }
    if (refusals.size === 0 && cache.size === 0 && shared.size === 0) return;
    const change = changeOf(type, data);
    if (change === undefined) return;
    for (const major of change.majors) {
      cache.drop(major);
      shared.delete(major);
    }
    if (refusals.size === 0) return;
    if (change.seen !== undefined) refusals.learn(change.seen.guild, change.seen.channel);
    refusals.reopen(change.reopens, options.botUserId?.());
  }

  async function shutDown(deadlineMs: number): Promise<void> {
    if (calls.size > 0) {
      await new Promise<void>((resolve) => {
        const cancel = clock.schedule(deadlineMs, resolve);
        idle = () => {
          cancel();
          resolve();
        };
      });
    }
    const stopped = (call: Call): RestError =>
      new RestError("stopped", "the bot shut down before it was done", { route: call.route.name });
    dispatcher.stop();
    edge.stop();
    for (const call of [...calls]) dispatcher.fail(call, stopped(call));
    await transport.close();
  }

  return {
    // The body's shape is the caller's claim, as with any JSON from a wire.
    request: <Result>(given: RestRequest, permit?: () => boolean) => request(given, permit) as Promise<Result>,
    noteDispatch,
    status: () => ({ ...dispatcher.status, edge: edge.status, refusals: refusals.size }),
    traffic: () => ({ ...dispatcher.traffic, ban: edge.told(clock.now()) }),
    heed(neighbours) {
      edge.heed(neighbours, clock.now());
      dispatcher.heed(neighbours);
    },
    inherit: (ban) => edge.inherit(ban, clock.now()),
    stop: (deadlineMs) => {
      stopping ??= shutDown(deadlineMs);
      return stopping;
    },
  };
}
