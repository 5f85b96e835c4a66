// Carries calls out: asks the cores which may go, sends them, and does what each answer's verdict says.

import type { Cancel, Clock, Random } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { LONGEST_WAIT_MS, refusalOf } from "./admission.ts";
import { Alarm } from "./alarm.ts";
import type { Call, Result } from "./call.ts";
import type { EdgeWatch } from "./edgeWatch.ts";
import { faultError, RestError, refusedError, unauthorizedError, unleasedError, waitTooLong } from "./errors.ts";
import { Demand, GlobalLimit, INVALID_LIMIT } from "./governor.ts";
import { InvalidWatch } from "./invalidWatch.ts";
import { Latency } from "./latency.ts";
import { limitedError, waitAfter } from "./limited.ts";
import type { Entry } from "./queue.ts";
import { type FaultKind, RetryBudget, retryDelay } from "./retry.ts";
import { RetryAfterCheck } from "./retryAfterCheck.ts";
import { Scheduler } from "./scheduler.ts";
import type { Exchange, Transport } from "./transport.ts";
import { isInvalid, jsonOf, judge, type LimitScope, limitHeaders, type Verdict } from "./verdict.ts";

/** Beyond what the global limit lets through: interaction and webhook requests under way, each with a connection. */
const MOST_EXEMPT_IN_FLIGHT = 256;
const HOUSEKEEPING_MS = 10_000;
// How often, and for how long, a call asks whether it may go: longer than the ledger takes to answer or to fail.
const ASK_AGAIN_MS = 50;
const MOST_ASKING_MS = 10_000;

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly transport: Transport;
  readonly globalPerSecond: number;
  readonly edge: EdgeWatch;
  /** The headers of every request, with and without the bot's token. */
  readonly headers: (authenticated: boolean) => Readonly<Record<string, string>>;
  readonly onUnauthorized: () => void;
  /** Forgets what is out of date; how much is still kept. */
  readonly onHousekeeping: (now: number) => number;
  /** A call has its result or its error, or nobody waits for it any more. */
  readonly onSettled: (call: Call, outcome: Result | RestError | undefined) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #scheduler = new Scheduler<Call>();
  readonly #global: GlobalLimit;
  readonly #invalid: InvalidWatch;
  readonly #retries = new RetryBudget();
  readonly #check = new RetryAfterCheck();
  readonly #latency = new Latency();
  readonly #demand = new Demand();
  readonly #alarm: Alarm;
  #unauthorized = false;
  #inFlight = 0;
  #queuedShown = 0;
  #housekeeping: Cancel | undefined;
  #stopped = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#global = new GlobalLimit(options.globalPerSecond);
    this.#invalid = new InvalidWatch(options.telemetry);
    this.#alarm = new Alarm(options.clock, () => this.pump());
    options.telemetry.level("RequestsQueued", 0);
  }

  get status() {
    const now = this.#options.clock.now();
    return {
      unauthorized: this.#unauthorized,
      queued: this.#scheduler.waiting,
      inFlight: this.#inFlight,
      buckets: this.#scheduler.lanes,
      globalPerSecond: this.#global.limit,
      latencyMs: this.#latency.status,
      invalid: { count: this.#invalid.budget.count(now), limit: INVALID_LIMIT, level: this.#invalid.budget.level(now) },
    };
  }

  /** What other processes of the bot should know of this one's requests. */
  get traffic(): { readonly demand: number; readonly invalid: number } {
    const now = this.#options.clock.now();
    const demand = this.#demand.perSecond(now, this.#scheduler.governedWaiting);
    return { demand, invalid: this.#invalid.budget.own(now) };
  }

  /** What they have told. */
  heed({ perSecond, invalid }: { readonly perSecond: number; readonly invalid: number }): void {
    const now = this.#options.clock.now();
    this.#global.share(perSecond);
    this.#invalid.budget.elsewhere = invalid;
    this.#invalid.refresh(now);
    if (this.#invalid.refusing(now)) this.#refuseInvalid(now);
    this.pump();
  }

  /** Why a call cannot even join, or undefined. */
  refusal(call: Call, deadlineMs: number | undefined): RestError | undefined {
    const { clock, edge } = this.#options;
    const [invalid, scheduler, unauthorized] = [this.#invalid, this.#scheduler, this.#unauthorized];
    return refusalOf(call, deadlineMs, { clock, edge, invalid, scheduler, unauthorized });
  }

  /** A call joins the queue. */
  add(call: Call): void {
    call.askedAt = this.#options.clock.now();
    call.entry = this.#scheduler.add(call, call.route, call.priority, call.askedAt);
    this.#retries.earned();
    if (this.#housekeeping === undefined && !this.#stopped) {
      this.#housekeeping = this.#options.clock.schedule(HOUSEKEEPING_MS, () => this.#keepHouse());
    }
    this.pump();
  }

  /** Ends a call that nobody waits for any more. */
  abandon(call: Call): void {
    this.#leave(call, undefined);
    this.pump();
  }

  /** Ends a call with an error, whether it waits or flies. */
  fail(call: Call, error: RestError): void {
    this.#options.telemetry.count("RequestFailures");
    this.#leave(call, error);
    call.reject(error);
  }

  /** Sends what may be sent, then sleeps until something changes by itself. */
  pump(): void {
    if (this.#stopped) return;
    const { clock, edge } = this.#options;
    const now = clock.now();
    while (!edge.banned) {
      if (this.#inFlight >= this.#options.globalPerSecond + MOST_EXEMPT_IN_FLIGHT) break;
      if (this.#invalid.budget.mayStop(now, this.#inFlight)) break;
      const ready = this.#global.readyAt(now);
      const governed = ready !== "answer" && ready <= now;
      const entry = this.#scheduler.next(now, governed, (call) => this.#notBefore(call, now));
      if (entry === undefined) break;
      if (entry.job.heldSince !== undefined) {
        this.#scheduler.released(entry, now);
        this.fail(entry.job, unleasedError(entry.job.route.name));
        continue;
      }
      const gate = edge.gate(entry.job, now);
      if (gate === undefined) this.#send(entry, now);
      else {
        this.#scheduler.released(entry, now);
        if (gate instanceof RestError) this.fail(entry.job, gate);
        else this.#scheduler.again(entry, gate.until, now);
      }
    }
    this.#arm(now);
  }

  /** Ends timers; nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
    this.#alarm.stop();
    this.#housekeeping?.();
    this.#options.telemetry.level("RequestsQueued", 0);
  }

  /** Fails the waiting calls for which there is an error. */
  failWaiting(errorOf: (call: Call, now: number) => RestError | undefined): void {
    const now = this.#options.clock.now();
    for (const { job } of this.#scheduler.entries()) {
      // An error that one of them brought up may have taken others along.
      const error = job.entry === undefined ? undefined : errorOf(job, now);
      if (error !== undefined) this.fail(job, error);
    }
  }

  /** When a call may go: now, or when it is asked again whether this process may act. */
  #notBefore(call: Call, now: number): number {
    if (call.permit === undefined || call.permit()) {
      call.heldSince = undefined;
      return now;
    }
    call.heldSince ??= now;
    return now - call.heldSince >= MOST_ASKING_MS ? now : now + ASK_AGAIN_MS;
  }

  #refuseInvalid(now: number): void {
    const wall = this.#options.clock.wall();
    this.failWaiting((call) => this.#invalid.refusal(call, now, wall));
  }

  #arm(now: number): void {
    const queued = this.#scheduler.waiting;
    if (queued !== this.#queuedShown) {
      this.#queuedShown = queued;
      this.#options.telemetry.level("RequestsQueued", queued);
    }
    let due = this.#options.edge.banned ? Infinity : (this.#scheduler.wakesAt() ?? Infinity);
    if (this.#scheduler.governedReady) {
      const ready = this.#global.readyAt(now);
      if (ready !== "answer" && ready > now) due = Math.min(due, ready);
    }
    this.#alarm.set(due, now);
  }

  #keepHouse(): void {
    const now = this.#options.clock.now();
    this.#scheduler.sweep(now);
    this.#invalid.refresh(now);
    this.#check.prune(now);
    const kept = this.#options.onHousekeeping(now) + this.#scheduler.lanes + this.#check.size;
    const more = kept + this.#invalid.budget.own(now) > 0;
    this.#housekeeping = more ? this.#options.clock.schedule(HOUSEKEEPING_MS, () => this.#keepHouse()) : undefined;
    this.pump();
  }

  #send(entry: Entry<Call>, now: number): void {
    const { telemetry, transport, headers } = this.#options;
    const call = entry.job;
    const { route } = call;
    const margin = this.#check.margin(route, now);
    if (margin !== undefined) {
      if (margin < 0) telemetry.count("RetryAfterViolations");
      telemetry.observe("RetryAfterMarginMilliseconds", margin);
    }
    if (call.firstSentAt === undefined && now > call.askedAt) {
      telemetry.observe("RequestWaitMilliseconds", now - call.askedAt);
    }
    this.#inFlight += 1;
    if (!route.exempt) {
      this.#global.sent();
      this.#demand.sent(now);
    }
    telemetry.count("Requests");
    if (call.faults > 0) telemetry.count("RequestRetries");
    call.sentAt = now;
    call.firstSentAt ??= now;
    call.flight = transport.send(call.message, headers(call.authenticated), (exchange) =>
      this.#landed(entry, exchange),
    );
  }

  #landed(entry: Entry<Call>, exchange: Exchange): void {
    const { clock, telemetry } = this.#options;
    const now = clock.now();
    const call = entry.job;
    this.#inFlight -= 1;
    if (!call.route.exempt) {
      if (exchange.kind === "answer" || !exchange.sent) this.#global.settled(now);
      else this.#global.lost(now);
    }
    call.flight = undefined;
    if (exchange.kind === "answer") {
      telemetry.observe("RequestMilliseconds", now - call.sentAt);
      this.#latency.add(now - call.sentAt);
      this.#answered(entry, exchange, now);
    } else {
      this.#scheduler.released(entry, now);
      this.#options.edge.lost(call, now);
      if (exchange.kind !== "aborted") this.#fault(call, exchange.kind, exchange.sent, undefined, exchange.cause);
    }
    if (this.#inFlight === 0) this.#options.edge.allBack();
    this.pump();
  }

  #answered(entry: Entry<Call>, exchange: Exchange & { kind: "answer" }, now: number): void {
    const call = entry.job;
    const { status, headers } = exchange;
    const text = exchange.body.toString();
    const json = jsonOf(text);
    const verdict = judge({ status, headers, json, authenticated: call.authenticated });
    const limits = verdict.kind === "edge" ? undefined : limitHeaders(headers);
    this.#scheduler.answered(entry, now, limits, verdict.kind === "ok");
    if (isInvalid(status, verdict)) {
      this.#invalid.add(now);
      if (this.#invalid.refusing(now)) this.#refuseInvalid(now);
    }

    if (verdict.kind === "ok") {
      if (text !== "" && json === undefined && status !== 204) {
        this.#options.edge.lost(call, now);
        const cause = new Error(`a ${status} whose body is not a whole JSON document`);
        this.#fault(call, "badResponse", true, status, cause);
        return;
      }
      this.#options.edge.passed(call, now);
      this.#succeed(call, { text: status === 204 ? "" : text, document: status === 204 ? undefined : json });
      return;
    }
    if (verdict.kind === "serverError") this.#options.edge.lost(call, now);
    else if (verdict.kind !== "edge") this.#options.edge.passed(call, now);
    this.#refused(entry, verdict, status, json, now, limits !== undefined);
  }

  #refused(
    entry: Entry<Call>,
    verdict: Exclude<Verdict, { kind: "ok" }>,
    status: number,
    json: unknown,
    now: number,
    numbers: boolean,
  ): void {
    const { edge } = this.#options;
    const call = entry.job;
    const route = call.route.name;
    switch (verdict.kind) {
      case "limited":
        this.#limited(entry, verdict.scope, verdict.retryAfterMs, now, numbers);
        return;
      case "edge": {
        edge.hit(call, now, status, verdict.retryAfterMs, this.#inFlight);
        const error = edge.refusal(call, now, status);
        if (error !== undefined) this.fail(call, error);
        else this.#scheduler.again(entry, now, now);
        return;
      }
      case "unauthorized":
        this.fail(call, unauthorizedError(route, status, verdict.code));
        this.#loseToken(route);
        return;
      case "serverError":
        this.#fault(call, "serverError", true, status, undefined, verdict.code);
        return;
      case "missing":
        // The first attempt made the message, and somebody has deleted it since (Unknown Message): done is done.
        if (call.message.nonced && call.faults > 0 && verdict.code === 10008) {
          this.#succeed(call, { text: "", document: undefined });
          return;
        }
        break;
      default:
    }
    this.fail(call, refusedError(verdict.kind, route, status, verdict.code, verdict.message, json));
  }

  #limited(entry: Entry<Call>, scope: LimitScope, named: number | undefined, now: number, numbers: boolean): void {
    const { clock, telemetry } = this.#options;
    const call = entry.job;
    const { route } = call;
    const wait = waitAfter(named, call.limited);
    const until = now + wait;
    call.limited += 1;
    telemetry.count(
      scope === "global" ? "RateLimitedGlobal" : scope === "shared" ? "RateLimitedShared" : "RateLimited",
    );
    telemetry.event("rest.limited", {
      kind: scope,
      scope: scope === "sublimit" ? "user" : scope,
      route: route.name,
      retryAfterMs: wait,
    });

    if (scope === "global" && !route.exempt) this.#global.blocked(now, until);
    else if (scope === "sublimit") this.#scheduler.holdKinds(route, until);
    else this.#scheduler.block(route, until, now, numbers || scope === "shared");
    this.#check.told(route, scope, until);

    if (wait > LONGEST_WAIT_MS) {
      const wallUntil = Math.ceil(clock.wall() + wait);
      this.failWaiting((other) =>
        other.latest === Infinity && this.#scheduler.shutFor(other.route, now) > LONGEST_WAIT_MS
          ? waitTooLong(other.route.name, wait, wallUntil)
          : undefined,
      );
    }
    const error = limitedError(call, wait, now, clock.wall());
    if (error === undefined) this.#scheduler.again(entry, now, now);
    else this.fail(call, error);
  }

  #fault(call: Call, fault: FaultKind, sent: boolean, status?: number, cause?: unknown, code?: number): void {
    const { clock, random } = this.#options;
    const now = clock.now();
    call.faults += 1;
    const sinceFirstMs = now - (call.firstSentAt ?? now);
    const { method, nonced } = call.message;
    const delay = retryDelay({ method, nonced, fault, sent, faults: call.faults, sinceFirstMs }, random());
    const entry = call.entry;
    if (entry !== undefined && delay !== undefined && now + delay <= call.latest && this.#retries.spend()) {
      this.#scheduler.again(entry, now + delay, now);
      return;
    }
    const maybe = sent && method !== "GET";
    this.fail(call, faultError(fault, maybe, { route: call.route.name, status, code, cause }));
  }

  #loseToken(route: string): void {
    if (this.#unauthorized) return;
    this.#unauthorized = true;
    this.#options.telemetry.event("rest.unauthorized", {
      route,
      fix: "put the bot's current token from the Discord developer portal into the secret, then redeploy",
    });
    this.failWaiting((call) => (call.authenticated ? unauthorizedError(call.route.name) : undefined));
    this.#options.onUnauthorized();
  }

  #succeed(call: Call, result: Result): void {
    this.#leave(call, result);
    call.resolve(result);
  }

  #leave(call: Call, outcome: Result | RestError | undefined): void {
    const { entry, flight } = call;
    call.entry = undefined;
    if (entry !== undefined) {
      this.#scheduler.done(entry, this.#options.clock.now());
      this.#options.onSettled(call, outcome);
    }
    flight?.abort();
  }
}
