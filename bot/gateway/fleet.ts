// All shards of this process: starts them, passes on what the bot asks of them, and hands their sessions on.

import type { Cancel } from "../clock.ts";
import type { Presence } from "../defineBot.ts";
import { tokenHash } from "../ledger/hash.ts";
import type { StoredSession } from "../ledger/ledger.ts";
import { connect } from "./connection.ts";
import type { Fleet, FleetOptions } from "./fleetPort.ts";
import { fleetStatus } from "./fleetStatus.ts";
import type { GatewayInfo } from "./identify.ts";
import { memberRequests } from "./members.ts";
import { OutboxError } from "./outbox.ts";
import type { Session } from "./sessionState.ts";
import { createShard, type Shard, type ShardPorts } from "./shard.ts";
import { watchStalls } from "./stallWatch.ts";
import { exportSession, importSession, sortSessions } from "./storedSessions.ts";
import { createTurns } from "./turns.ts";

export type * from "./fleetPort.ts";
export type { FleetStatus, ShardStatus } from "./fleetStatus.ts";
export type { GatewayInfo } from "./identify.ts";

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
  let stopWatch: Cancel = () => {};

  const iso = (at: number): string => new Date(clock.wall() + (at - clock.now())).toISOString();

  const turns = createTurns({
    clock,
    random,
    telemetry,
    shards,
    identifyReserve: options.identifyReserve,
    identifyOverride: options.identifyOverride,
    identifyPermit: options.identifyPermit,
    gatewayUrl: options.gatewayUrl,
    fetchGateway: (signal) => options.fetchGateway(signal),
    onInfo(info) {
      if (shardCount === undefined && options.leased !== true) populate(info.shards, [], info);
      else turns.inform(info);
      if (shardCount !== undefined) telemetry.level("ReshardAdvised", info.shards === shardCount ? 0 : 1);
    },
    onEdge: (state) => options.onEdge?.(state),
  });

  const fatal = (id: number, code: number, fix: string): void => {
    if (phase !== "running") return;
    void end(true);
    telemetry.log("error", `shard ${id}: Discord refuses the bot with close code ${code}`, { shard: id, code });
    options.onFatal({ code: String(code), fix });
  };

  const ports: ShardPorts = {
    clock,
    random,
    telemetry,
    userAgent: options.userAgent,
    compression: options.compression,
    connect: options.connect ?? connect,
    token: () => options.token.reveal(),
    ...turns.ports,
    moved(id, from, to, cutOff) {
      if (from !== "ready" && to !== "ready") return;
      const notReady = shards.size - countReady();
      telemetry.level("ShardsNotReady", notReady);
      if (notReady === 0) turns.allReady();
      if (from === "ready" && cutOff) options.onCutOff?.(id);
    },
    dispatch(id, sequence, type, data, replayed) {
      if (type === "GUILD_MEMBERS_CHUNK" || type === "RATE_LIMITED") members.dispatched(type, data);
      options.onDispatch(id, sequence, type, data, replayed);
    },
    session(id, what, sequence) {
      if (what === "dropped") members.sessionEnded((guildId) => shardIdOf(guildId) === id);
      options.onSession(id, what, sequence);
    },
    fatal,
  };

  const add = (id: number, count: number, stored: Session | null): void => {
    const context = {
      shard: id,
      shardCount: count,
      intents: options.intents,
      intentNames: options.intentNames,
      plainAllowed,
      jitter: options.jitter ?? "full",
      sendLimit: options.sendLimit,
    };
    const shard = createShard(context, stored, ports);
    shards.set(id, shard);
    const presence = presences.get(id) ?? presences.get("all");
    if (presence !== undefined) shard.setPresence(presence);
  };

  const populate = (count: number, stored: readonly StoredSession[], info?: GatewayInfo): void => {
    const all = options.shardIds ?? Array.from({ length: count }, (_, id) => id);
    const ids = options.leased === true ? [] : all.filter((id) => id < count);
    if (ids.length === 0 && options.leased !== true) {
      void end(true);
      options.onNoShard?.(count);
      return;
    }
    if (options.leased !== true && ids.length < all.length) {
      const missing = all.filter((id) => id >= count).join(", ");
      const there = `SHARD_COUNT=auto finds ${count}, 0 to ${count - 1}`;
      telemetry.log("warn", `SHARD_IDS has ${missing} while ${there}: leave out what is not there, or set SHARD_COUNT`);
    }
    shardCount = count;
    turns.open(count, options.leased === true ? count : ids.length, info);
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

  const end = async (keepSessions: boolean): Promise<void> => {
    phase = "stopped";
    turns.stop();
    stopWatch();
    members.stop();
    const withinMs = keepSessions ? STOP_KEEPING_MS : STOP_ENDING_MS;
    await Promise.all([...shards.values()].map((shard) => shard.stop(keepSessions, withinMs)));
  };

  const shardOf = (id: number): Shard => {
    const shard = shards.get(id);
    if (shard === undefined)
      throw new OutboxError(
        "noShard",
        `shard ${id} is not one of this process's: ask the one that runs it (SHARD_IDS)`,
      );
    return shard;
  };

  const exported = (shard: Shard): StoredSession[] => {
    const { session, kind } = shard.state();
    if (session === null || shardCount === undefined) return [];
    const owner = { shard: shard.id, shardCount, intents: options.intents, tokenHash: hash };
    const finished = options.finished(shard.id);
    const notBefore = writtenUpTo.get(shard.id) ?? 0;
    const kept = exportSession(session, kind === "ready", owner, finished, clock, turns.genericHost(), notBefore);
    writtenUpTo.set(shard.id, kept.writtenAt);
    return [kept];
  };

  /** events/gateway#sharding-sharding-formula; undefined while the count is not known. */
  const shardIdOf = (guildId: string): number | undefined =>
    shardCount === undefined ? undefined : Number((BigInt(guildId) >> 22n) % BigInt(shardCount));

  const members = memberRequests({
    clock,
    shardFor(guildId) {
      const id = shardIdOf(guildId);
      // A shard that another process has may yet come here.
      if (id === undefined || (options.leased === true && !shards.has(id))) return undefined;
      return shardOf(id);
    },
  });

  return {
    start() {
      if (phase !== "new") return;
      phase = "running";
      turns.start(options.identifyDelayMs ?? 0);
      stopWatch = watchStalls(clock, ({ gapMs, cause }) => {
        telemetry.event("process.stalled", { gapMs: Math.round(gapMs), cause });
        if (cause === "suspend") for (const shard of shards.values()) shard.input({ kind: "suspended" });
      });
      if (options.leased === true) return;
      const stored = usableSessions();
      const count = configured ?? stored[0]?.shardCount ?? options.keptShardCount;
      if (count !== undefined) populate(count, stored);
      else turns.refresh();
      turns.tick();
    },
    stop: ({ keepSessions }) => end(keepSessions),
    setRestBan: turns.setRestBan,
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
      members.begin();
    },
    async giveUp(ids) {
      const left = ids.flatMap((id) => shards.get(id) ?? []);
      await Promise.all(left.map((shard) => shard.stop(true, STOP_KEEPING_MS)));
      const sessions = left.flatMap(exported);
      for (const { id } of left) {
        shards.delete(id);
        members.sessionEnded((guildId) => shardIdOf(guildId) === id);
      }
      telemetry.level("ShardsNotReady", shards.size - countReady());
      return sessions;
    },
    status: () =>
      fleetStatus({
        shardCount,
        shards: [...shards.values()],
        budget: turns.budget(),
        waitingUntil: turns.waitingUntil(),
        edge: turns.edge(),
        finished: (id) => options.finished(id).sequence,
        iso,
      }),
  };
}
