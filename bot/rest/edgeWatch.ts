// Carries the edge breaker out: who is refused, when GET /gateway asks again, and who hears of it.

import type { Cancel, Clock, Random } from "../clock.ts";
import type { Neighbours, ToldBan } from "../ledger/traffic.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Call } from "./call.ts";
import { EdgeBreaker, type EdgeEffect } from "./edge.ts";
import { EdgeBanned } from "./errors.ts";
import type { Message } from "./message.ts";
import type { Exchange, Flight, Transport } from "./transport.ts";
import { jsonOf, judge } from "./verdict.ts";

/**
 * What the runtime is told; times in milliseconds since 1970. `suspected`: for a moment everything waits as it does when
 * the address is banned, until it is clear whether it is. `route` is null unless one route alone is banned.
 */
export type EdgeState =
  | { readonly state: "clear" }
  | {
      readonly state: "suspected" | "banned";
      readonly sinceWall: number;
      readonly untilWall: number;
      readonly route: string | null;
    };

/** How long a call may silently wait for a ban to end; an interaction's token dies 3 s after it came. */
const PATIENCE_MS = { interaction: 2000, user: 30_000, background: 30_000 } as const;

/** The cheapest thing to ask: unauthenticated, and not limited per bot (events/gateway#get-gateway). */
const PROBE: Message = { method: "GET", path: "/gateway", headers: {}, body: null, nonced: false };

export interface EdgeWatchOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly transport: Transport;
  readonly addresses: readonly string[];
  readonly probeHeaders: () => Readonly<Record<string, string>>;
  readonly onEdge: (state: EdgeState) => void;
}

export class EdgeWatch {
  readonly #options: EdgeWatchOptions;
  readonly #breaker = new EdgeBreaker();
  readonly #address: string | null;
  /** What follows from a ban or its end: refusing calls, or sending them. Set by the one that sends. */
  onBanned: () => void = () => {};
  onCleared: () => void = () => {};
  #timer: Cancel | undefined;
  /** Of the last edge answer. */
  #status: number | null = null;
  #flight: Flight | undefined;
  #stopped = false;

  constructor(options: EdgeWatchOptions) {
    this.#options = options;
    this.#address = options.addresses.length === 0 ? null : options.addresses.join(", ");
    options.telemetry.level("EdgeBannedRoutes", 0);
  }

  /** Whether everything waits: the whole address is banned, or may be. */
  get banned(): boolean {
    return this.#breaker.banned;
  }

  get status(): {
    readonly state: "clear" | "banned";
    readonly since: string | null;
    readonly until: string | null;
    readonly routes: readonly string[];
    readonly address: string | null;
  } {
    const current = this.#breaker.current;
    const text = (at: number | undefined): string | null =>
      at === undefined ? null : new Date(this.#wall(at)).toISOString();
    return {
      state: this.#breaker.banned && !this.#breaker.suspected ? "banned" : "clear",
      since: text(current?.since),
      until: text(current?.until),
      routes: this.#breaker.routes,
      address: this.#address,
    };
  }

  /** The error of a call that a ban would keep too long, or undefined. */
  refusal(call: Call, now: number, status?: number): EdgeBanned | undefined {
    const gate = this.#breaker.gate(now, call.route.name);
    if (gate.kind !== "shut") return undefined;
    const patience = Math.min(PATIENCE_MS[call.priority], call.latest - now);
    if (gate.until - now <= patience) return undefined;
    const until = this.#wall(gate.until);
    return new EdgeBanned({ route: call.route.name, status, until, addresses: this.#address });
  }

  /** For a call whose turn has come while the address passes: undefined to send it, its error, or when to try again. */
  gate(call: Call, now: number): EdgeBanned | { readonly until: number } | undefined {
    const gate = this.#breaker.gate(now, call.route.name);
    if (gate.kind === "open") return undefined;
    if (gate.kind === "probe") {
      this.#breaker.routeProbing(call.route.name);
      return undefined;
    }
    // A route's probe is under way when the time has come already: look again soon.
    return this.refusal(call, now) ?? { until: Math.max(gate.until, now + 250) };
  }

  /** An edge answer; `othersUnderWay` requests were in flight besides. */
  hit(call: Call, now: number, status: number, retryAfterMs: number | undefined, othersUnderWay: number): void {
    this.#status = status;
    const answer = { route: call.route.name, sentAt: call.sentAt, retryAfterMs, othersUnderWay };
    this.#apply([this.#breaker.hit(now, answer, this.#options.random())]);
  }

  /** An answer of the API. */
  passed(call: Call, now: number): void {
    const effects = this.#breaker.passed(now, call.route.name, call.sentAt);
    if (effects.length > 0 || this.#breaker.banned) this.#apply(effects);
  }

  /** Nothing is under way any more. */
  allBack(): void {
    if (this.#breaker.banned) this.#apply(this.#breaker.allBack());
  }

  /** A request on a route ended without any answer: if it was the route's probe, the next may be. */
  lost(call: Call, now: number): void {
    this.#breaker.routeLost(now, call.route.name, this.#options.random());
  }

  /** What other tasks with this address should know. */
  told(now: number): ToldBan | undefined {
    return this.#breaker.told(now);
  }

  /** What an earlier process with this address has left. */
  inherit(left: ToldBan, now: number): void {
    this.#apply(this.#breaker.inherit(now, left));
  }

  /** What other tasks have said of the address. */
  heed({ bans, lifted }: Pick<Neighbours, "bans" | "lifted">, now: number): void {
    const effects = [
      ...bans.flatMap(({ ban, lateMs }) => this.#breaker.hear(now, ban, lateMs)),
      ...(lifted ? this.#breaker.unheard(now) : []),
    ];
    if (effects.length > 0) this.#status = null;
    if (effects.length > 0 || bans.length > 0) this.#apply(effects);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.();
    this.#flight?.abort();
  }

  #wall(at: number): number {
    const { clock } = this.#options;
    return Math.ceil(clock.wall() + at - clock.now());
  }

  #apply(effects: readonly EdgeEffect[]): void {
    const { clock, telemetry } = this.#options;
    for (const effect of effects) {
      const route = effect.route ?? null;
      const { routes } = this.#breaker;
      telemetry.level("EdgeBannedRoutes", routes.length);
      if (effect.kind === "banned") {
        const until = this.#breaker.gate(clock.now(), effect.route ?? "");
        telemetry.event("edge.banned", {
          via: "rest",
          route,
          address: this.#address,
          status: this.#status,
          until: new Date(this.#wall(until.kind === "shut" ? until.until : clock.now())).toISOString(),
          retryAfterMs: effect.retryAfterMs === undefined ? null : Math.round(effect.retryAfterMs),
        });
      } else if (effect.kind === "cleared") {
        const bannedForMs = Math.round(effect.bannedForMs);
        telemetry.event("edge.cleared", { via: "rest", route, address: this.#address, bannedForMs });
      }
    }
    if (effects.length > 0) {
      const current = this.#breaker.current;
      this.#options.onEdge(
        current === undefined
          ? { state: "clear" }
          : {
              state: this.#breaker.suspected ? "suspected" : "banned",
              sinceWall: this.#wall(current.since),
              untilWall: this.#wall(current.until),
              route: current.route ?? null,
            },
      );
      if (effects.some((effect) => effect.kind === "banned")) telemetry.flush();
      if (effects.some(({ kind }) => kind !== "cleared" && kind !== "dismissed")) this.onBanned();
    }
    this.#arm();
    if (effects.some(({ kind }) => kind === "cleared" || kind === "dismissed")) this.onCleared();
  }

  #arm(): void {
    this.#timer?.();
    this.#timer = undefined;
    if (this.#stopped) return;
    const { clock } = this.#options;
    const probeAt = this.#breaker.probeAt() ?? Infinity;
    const settlesAt = this.#breaker.settlesAt() ?? Infinity;
    const due = Math.min(probeAt, settlesAt);
    if (due === Infinity) return;
    this.#timer = clock.schedule(Math.max(due - clock.now(), 0), () => {
      if (settlesAt <= probeAt) this.#apply(this.#breaker.settle());
      else this.#probe();
    });
  }

  #probe(): void {
    const { telemetry, transport, probeHeaders } = this.#options;
    this.#breaker.probing();
    this.#arm();
    telemetry.count("Requests");
    this.#flight = transport.send(PROBE, probeHeaders(), (exchange) => this.#probed(exchange));
  }

  #probed(exchange: Exchange): void {
    const now = this.#options.clock.now();
    const random = this.#options.random();
    this.#flight = undefined;
    if (this.#stopped) return;
    if (exchange.kind !== "answer") {
      this.#breaker.probeLost(now, random);
      this.#arm();
      return;
    }
    const json = jsonOf(exchange.body.toString());
    const verdict = judge({ status: exchange.status, headers: exchange.headers, json, authenticated: false });
    if (verdict.kind === "edge") {
      this.#status = exchange.status;
      const effect = this.#breaker.probeFailed(now, verdict.retryAfterMs, random);
      this.#apply(effect === undefined ? [] : [effect]);
    } else if (verdict.kind === "serverError" || json === undefined) {
      this.#breaker.probeLost(now, random);
      this.#arm();
    } else this.#apply(this.#breaker.probePassed(now));
  }
}
