// All shards of this process: starts them, lets them dial and identify in turn, and hands their sessions on.

import type { IntentName } from "../../shared/application.ts";
import type { Secret } from "../../shared/secret.ts";
import type { Cancel, Clock, Random } from "../clock.ts";
import type { Members, MembersQuery, Presence } from "../defineBot.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import type { Jitter } from "../resilience/backoff.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { type Connect, connect, type EdgeRefusal } from "./connection.ts";
import { delayUntil } from "./delay.ts";
import { dialQueue } from "./dialQueue.ts";
import { type FleetStatus, fleetStatus } from "./fleetStatus.ts";
import { gatewayReader } from "./gatewayReader.ts";
import { type GatewayInfo, type IdentifyStep, identifyQueue } from "./identify.ts";
import type { Compression } from "./inflate.ts";
import { memberRequests } from "./members.ts";
import { OutboxError } from "./outbox.ts";
import type { Session } from "./sessionState.ts";
import { createShard, type Shard } from "./shard.ts";
import { watchStalls } from "./stallWatch.ts";
import { exportSession, type Finished, importSession, sortSessions, tokenHash } from "./storedSessions.ts";

export type { FleetStatus, ShardStatus } from "./fleetStatus.ts";
export type { GatewayInfo } from "./identify.ts";
export type PresenceUpdate = Presence;
export type GuildMembersQuery = MembersQuery;
export type GuildMembersResult = Members;

export interface FleetOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly userAgent: string;
  readonly token: Secret;
  readonly intents: number;
  readonly intentNames: readonly IntentName[];
  readonly shardCount: number | "auto";
  readonly shardIds?: readonly number[] | undefined;
  readonly compression: Compression;
  /** Replaces `url` of GET /gateway/bot, whose limits are still read. */
  readonly gatewayUrl?: string | undefined;
  /** Whether a `resume_gateway_url` of ws:// is dialled; by default only with `gatewayUrl`. */
  readonly plainAllowed?: boolean | undefined;
  readonly identifyReserve?: number | undefined;
  readonly identifyOverride: boolean;
  /** Milliseconds after `start` before the first IDENTIFY: for a process that was started too often (crashLoopPauseMs). */
  readonly identifyDelayMs?: number | undefined;
  /** GET /gateway/bot; while it rejects it is asked again with backoff. */
  fetchGateway(signal: AbortSignal): Promise<GatewayInfo>;
  readonly storedSessions: readonly StoredSession[];
  /** Every dispatch, READY and RESUMED included: synchronous, in order of sequence, and it must not throw. */
  onDispatch(shard: number, sequence: number, type: string, data: unknown, replayed: boolean): void;
  /** How far a shard's handlers have come; asked when sessions are exported. */
  finished(shard: number): Finished;
  /** Before the dispatch that brought it. started: `sequence` is READY's. resumed: the last replayed one. */
  onSession(shard: number, session: "started" | "resumed" | "dropped", sequence: number): void;
  /** Once: none of `shardIds` is below the count that `auto` has found, so there is nothing to run. */
  onNoShard?(shardCount: number): void;
  /** Once; by then every shard has stopped. */
  onFatal(fatal: { readonly code: string; readonly fix: string }): void;
  /** How chance spreads reconnects (resilience/backoff.ts); by default full. */
  readonly jitter?: Jitter | undefined;
  /** Opens a connection; by default over `ws`. */
  readonly connect?: Connect | undefined;
  /** Shards come and go by `take` and `giveUp`; by default all of them run from `start` on. */
  readonly leased?: boolean | undefined;
  /**
   * Resolves when an IDENTIFY may go as far as other processes with this token are concerned, or to what all of them
   * together have left when that is no more than the reserve; rejects: not now.
   */
  identifyPermit?(
    shard: number,
    maxConcurrency: number,
    /** Before this IDENTIFY; `resetAt` is wall time. */
    budget: { readonly left: number; readonly reserve: number; readonly resetAt: number } | undefined,
  ): Promise<"granted" | { readonly left: number }>;
  /** The gateway's edge bans this address, or does so no more. */
  onEdge?(state: "banned" | "clear"): void;
}

export interface Fleet {
  start(): void;
  stop(options: { readonly keepSessions: boolean }): Promise<void>;
  setRestBan(untilWall: number | undefined): void;
  setPresence(presence: PresenceUpdate, target?: { readonly shard?: number | undefined }): void;
  requestGuildMembers(query: GuildMembersQuery, signal?: AbortSignal): Promise<GuildMembersResult>;
  sessions(): StoredSession[];
  /** Runs one more shard, from its session if that is ours. Only when leased, and after `start`. */
  take(shard: number, shardCount: number, stored: StoredSession | undefined): void;
  /** Leaves shards to another process: resolves to their sessions once nothing comes in on them any more. */
  giveUp(shards: readonly number[]): Promise<readonly StoredSession[]>;
  status(): FleetStatus;
}

/** What GET /gateway/bot has named for years; used for RESUMEs before it was asked. */
const DEFAULT_GATEWAY = "wss://gateway.discord.gg";

const NO_BUDGET = { left: null, reserve: 0, resetAt: 0, maxConcurrency: 1 } as const;

/** A socket that is left with its session kept: nobody waits for the other side. */
const STOP_KEEPING_MS = 400;
/** A close that ends the session must arrive. */
const STOP_ENDING_MS = 2_000;

export function createFleet(options: FleetOptions): Fleet {
  const { clock, random, telemetry } = options;
  const plainAllowed = options.plainAllowed ?? options.gatewayUrl !== undefined;
  const hash = tokenHash(options.token);
  const shards = new Map<number, Shard>();
  const presences = new Map<number | "all", Presence>();
  // When each shard's session was last written down, ms since 1970.
  const writtenUpTo = new Map<number, number>();
  let phase: "new" | "running" | "stopped" = "new";
  const configured = options.shardCount === "auto" ? undefined : options.shardCount;
  // Known from when there are shards.
  let shardCount: number | undefined;
  let dials = dialQueue(1);
  let identifies = identifyQueue({ shardCount: 1, reserve: undefined, override: false, holdUntil: 0 });
  let holdUntil = 0;
  let waitingUntil: number | null = null;
  let edgeSince: number | null = null;
  let restBan: number | undefined;
  let ticking = false;
  let tickAgain = false;
  let wake: Cancel = () => {};
  let stopWatch: Cancel = () => {};

  const iso = (at: number): string => new Date(clock.wall() + (at - clock.now())).toISOString();

  const gateway = gatewayReader({
    clock,
    random,
    telemetry,
    fetch: (signal) => options.fetchGateway(signal),
    onInfo(info) {
      if (phase !== "running") return;
      if (shardCount === undefined && options.leased !== true) populate(info.shards, [], info);
      else identifies.inform(info, clock.now());
      telemetry.level("IdentifiesRemaining", identifies.budget()?.left ?? info.remaining);
      if (shardCount !== undefined) telemetry.level("ReshardAdvised", info.shards === shardCount ? 0 : 1);
      tick();
    },
  });

  const genericHost = (): string => options.gatewayUrl ?? gateway.latest()?.url ?? DEFAULT_GATEWAY;

  /** Runs both queues until neither lets anybody go, then sleeps until one may. */
  const tick = (): void => {
    tickAgain = true;
    if (ticking || phase !== "running") return;
    ticking = true;
    let wakeAt: number | null = null;
    while (tickAgain) {
      tickAgain = false;
      const now = clock.now();
      const turns = identifies.step(now);
      reportBudget(turns);
      for (const id of turns.send) void permitIdentify(id);
      for (const id of turns.dial) shards.get(id)?.input({ kind: "identifyTurn" });
      if (turns.needsInfo) gateway.refresh();
      const dialling = dials.step(now, random);
      for (const id of dialling.dial) shards.get(id)?.input({ kind: "dialTurn" });
      if (turns.send.length + turns.dial.length + dialling.dial.length > 0) tickAgain = true;
      wakeAt = earlier(turns.wakeAt, dialling.wakeAt);
    }
    ticking = false;
    wake();
    if (wakeAt !== null && phase === "running") wake = clock.schedule(delayUntil(wakeAt, clock), tick);
  };

  const permitIdentify = async (id: number): Promise<void> => {
    if (options.identifyPermit === undefined) {
      spendIdentify(id);
      return;
    }
    const generation = shards.get(id)?.state().generation;
    try {
      // The queue has counted it already.
      const { left, reserve, resetAt, maxConcurrency } = identifies.budget() ?? NO_BUDGET;
      const known =
        left === null ? undefined : { left: left + 1, reserve, resetAt: clock.wall() + resetAt - clock.now() };
      const answer = await options.identifyPermit(id, maxConcurrency, known);
      if (answer !== "granted") {
        identifies.spentTogether(id, answer.left);
        telemetry.level("IdentifiesRemaining", answer.left);
        // Its connection would wait in vain; the queue tells it how long.
        const reason = "all processes together have spent the budget";
        if (generation !== undefined) shards.get(id)?.input({ kind: "broken", generation, reason });
        tick();
        return;
      }
    } catch (error) {
      // The shard's own deadline lets it ask again.
      telemetry.log("warn", `shard ${id}: no leave to IDENTIFY`, { shard: id, error: String(error) });
      identifies.answered(id, clock.now());
      return;
    }
    const state = shards.get(id)?.state();
    if (state?.kind === "identifying" && !state.sent && state.generation === generation) spendIdentify(id);
    // Nothing was sent, so nobody will answer: the key must not wait for it.
    else identifies.answered(id, clock.now());
  };

  const spendIdentify = (id: number): void => {
    const left = identifies.budget()?.left ?? null;
    telemetry.count("Identifies");
    if (left !== null) telemetry.level("IdentifiesRemaining", left);
    telemetry.event("identify.spent", { shard: id, left });
    shards.get(id)?.input({ kind: "identifyNow" });
  };

  const reportBudget = ({ budget, waiting }: IdentifyStep): void => {
    telemetry.level("WaitingForBudget", budget === null ? 0 : 1);
    if (budget === null) {
      waitingUntil = null;
      return;
    }
    for (const id of waiting) shards.get(id)?.input({ kind: "budget", until: budget.until });
    if (waitingUntil === budget.until) return;
    waitingUntil = budget.until;
    const until = iso(budget.until);
    const { left, reserve } = budget;
    const fix = `${waiting.length} shards wait until ${until}; IDENTIFY_RESERVE below ${reserve} or IDENTIFY_OVERRIDE=on spends the rest before`;
    telemetry.event("identify.waiting", { until, left, reserve, fix });
  };

  const unreachable = (id: number, host: string, refusal: EdgeRefusal | undefined): void => {
    dials.failed(id, host, clock.now(), random, refusal);
    const edge = dials.edge();
    if (refusal === undefined || edge === null || edgeSince !== null) return;
    edgeSince = edge.since;
    telemetry.event("edge.banned", {
      via: "gateway",
      route: null,
      address: null,
      status: refusal.status,
      until: iso(edge.until),
      retryAfterMs: refusal.retryAfterMs ?? null,
    });
    options.onEdge?.("banned");
    telemetry.flush();
  };

  const reachable = (host: string): void => {
    dials.hello(host, clock.now(), random);
    if (edgeSince !== null) {
      const bannedForMs = clock.now() - edgeSince;
      edgeSince = null;
      telemetry.event("edge.cleared", { via: "gateway", route: null, address: null, bannedForMs });
      options.onEdge?.("clear");
    }
    tick();
  };

  const fatal = (id: number, code: number, fix: string): void => {
    if (phase !== "running") return;
    void end(true);
    telemetry.log("error", `shard ${id}: Discord refuses the bot with close code ${code}`, { shard: id, code });
    options.onFatal({ code: String(code), fix });
  };

  const add = (id: number, count: number, stored: Session | null): void => {
    const context = {
      shard: id,
      shardCount: count,
      intents: options.intents,
      intentNames: options.intentNames,
      plainAllowed,
      jitter: options.jitter ?? "full",
    };
    const shard = createShard(context, stored, {
      clock,
      random,
      telemetry,
      userAgent: options.userAgent,
      compression: options.compression,
      connect: options.connect ?? connect,
      token: () => options.token.reveal(),
      hostFor(choice, session) {
        const generic = genericHost();
        const resume = session?.resumeUrl ?? null;
        if (choice === "generic" || resume === null) return generic;
        // Other shards have found this host dead already.
        const now = clock.now();
        return dials.isDown(resume, now) && !dials.isDown(generic, now) ? generic : resume;
      },
      askIdentifyTurn() {
        identifies.ask(id);
        tick();
      },
      identifyReady() {
        identifies.ready(id);
        tick();
      },
      identifyAnswered() {
        identifies.answered(id, clock.now());
        tick();
      },
      askDial(notBefore, patient) {
        dials.ask(id, notBefore, patient, clock.now(), random);
        tick();
      },
      leaveQueues() {
        identifies.leave(id);
        dials.leave(id, clock.now(), random);
        tick();
      },
      unreachable: (host, refusal) => unreachable(id, host, refusal),
      reachable,
      moved: (from, to) => {
        if (from === "ready" || to === "ready") telemetry.level("ShardsNotReady", shards.size - countReady());
      },
      dispatch(sequence, type, data, replayed) {
        if (type === "GUILD_MEMBERS_CHUNK" || type === "RATE_LIMITED") members.dispatched(type, data);
        options.onDispatch(id, sequence, type, data, replayed);
      },
      session: (what, sequence) => options.onSession(id, what, sequence),
      fatal: (code, fix) => fatal(id, code, fix),
    });
    shards.set(id, shard);
    const presence = presences.get(id) ?? presences.get("all");
    if (presence !== undefined) shard.setPresence(presence);
  };

  /** @param info the answer that told the count: the queue has it before a shard asks, or it would be asked for again. */
  const populate = (count: number, stored: readonly StoredSession[], info?: GatewayInfo): void => {
    const all = options.shardIds ?? Array.from({ length: count }, (_, id) => id);
    const ids = options.leased === true ? [] : all.filter((id) => id < count);
    if (ids.length === 0 && options.leased !== true) {
      void end(true);
      options.onNoShard?.(count);
      return;
    }
    shardCount = count;
    dials = dialQueue(options.leased === true ? count : ids.length);
    identifies = identifyQueue({
      shardCount: count,
      reserve: options.identifyReserve,
      override: options.identifyOverride,
      holdUntil,
    });
    if (info !== undefined) identifies.inform(info, clock.now());
    applyRestBan();
    const sessions = new Map(stored.map((session) => [session.shard, session]));
    for (const { shard, writtenAt } of stored) writtenUpTo.set(shard, writtenAt);
    for (const id of ids) add(id, count, importSession(sessions.get(id), clock, plainAllowed));
    telemetry.level("ShardsNotReady", shards.size);
    for (const shard of shards.values()) shard.input({ kind: "start" });
    members.begin();
  };

  /** Those of the ledger's sessions that are ours to resume; the others are reported as dropped. */
  const usableSessions = (kept = options.storedSessions): readonly StoredSession[] => {
    const { intents, shardIds } = options;
    const { ours, others } = sortSessions(kept, { hash, intents, shardCount: shardCount ?? configured, shardIds });
    for (const { shard, sequence } of others) {
      telemetry.log("info", `shard ${shard}: the stored session is of another token, intents or shards`, { shard });
      options.onSession(shard, "dropped", sequence);
    }
    return ours;
  };

  const countReady = (): number => [...shards.values()].filter((shard) => shard.state().kind === "ready").length;

  const applyRestBan = (): void => {
    const until = restBan === undefined ? undefined : clock.now() + (restBan - clock.wall());
    dials.restBan(until);
    identifies.ban(until);
    gateway.ban(until);
  };

  const end = async (keepSessions: boolean): Promise<void> => {
    phase = "stopped";
    wake();
    stopWatch();
    gateway.stop();
    members.stop();
    const withinMs = keepSessions ? STOP_KEEPING_MS : STOP_ENDING_MS;
    await Promise.all([...shards.values()].map((shard) => shard.stop(keepSessions, withinMs)));
  };

  const shardOf = (id: number): Shard => {
    const shard = shards.get(id);
    if (shard === undefined)
      throw new OutboxError(
        "noShard",
        `shard ${id} is not one of this process's: ask the one that runs it (SHARD_IDS, TASKS)`,
      );
    return shard;
  };

  const exported = (shard: Shard): StoredSession[] => {
    const { session, kind } = shard.state();
    if (session === null || shardCount === undefined) return [];
    const owner = { shard: shard.id, shardCount, intents: options.intents, tokenHash: hash };
    const finished = options.finished(shard.id);
    const notBefore = writtenUpTo.get(shard.id) ?? 0;
    const kept = exportSession(session, kind === "ready", owner, finished, clock, genericHost(), notBefore);
    writtenUpTo.set(shard.id, kept.writtenAt);
    return [kept];
  };

  const members = memberRequests({
    clock,
    send(guildId, op, data) {
      if (shardCount === undefined) return false;
      shardOf(Number((BigInt(guildId) >> 22n) % BigInt(shardCount))).send(op, data);
      return true;
    },
  });

  return {
    start() {
      if (phase !== "new") return;
      phase = "running";
      holdUntil = clock.now() + (options.identifyDelayMs ?? 0);
      stopWatch = watchStalls(clock, ({ gapMs, cause }) => {
        telemetry.event("process.stalled", { gapMs: Math.round(gapMs), cause });
        if (cause === "suspend") for (const shard of shards.values()) shard.input({ kind: "suspended" });
      });
      if (options.leased === true) return;
      const stored = usableSessions();
      const count = configured ?? stored[0]?.shardCount;
      if (count !== undefined) populate(count, stored);
      else gateway.refresh();
      tick();
    },
    stop: ({ keepSessions }) => end(keepSessions),
    setRestBan(untilWall) {
      restBan = untilWall;
      applyRestBan();
      tick();
    },
    setPresence(presence, target = {}) {
      const { shard } = target;
      if (shard === undefined) presences.clear();
      if (shard !== undefined && shards.size > 0) shardOf(shard).setPresence(presence);
      else for (const each of shards.values()) each.setPresence(presence);
      presences.set(shard ?? "all", presence);
    },
    requestGuildMembers: (query, signal) => members.request(query, signal),
    sessions: () => [...shards.values()].flatMap(exported),
    take(id, count, stored) {
      if (shards.size === 0 || shardCount !== count) populate(count, []);
      const [session] = stored === undefined ? [] : usableSessions([stored]);
      add(id, count, importSession(session, clock, plainAllowed));
      telemetry.level("ShardsNotReady", shards.size - countReady());
      shards.get(id)?.input({ kind: "start" });
    },
    async giveUp(ids) {
      const left = ids.flatMap((id) => shards.get(id) ?? []);
      await Promise.all(left.map((shard) => shard.stop(true, STOP_KEEPING_MS)));
      const sessions = left.flatMap(exported);
      for (const { id } of left) shards.delete(id);
      telemetry.level("ShardsNotReady", shards.size - countReady());
      return sessions;
    },
    status: () =>
      fleetStatus({
        shardCount,
        shards: [...shards.values()],
        budget: identifies.budget(),
        waitingUntil,
        edge: dials.edge(),
        finished: (id) => options.finished(id).sequence,
        iso,
      }),
  };
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
