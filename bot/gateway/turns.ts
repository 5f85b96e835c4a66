// Whose turn it is to dial and to identify: runs both queues for a fleet, and reads the budget that they go by.

import type { Cancel, Clock, Random } from "../clock.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Budget } from "./budget.ts";
import { delayUntil } from "./delay.ts";
import { dialQueue } from "./dialQueue.ts";
import { gatewayReader } from "./gatewayReader.ts";
import { type GatewayInfo, identifyQueue } from "./identify.ts";
import type { Shard, ShardPorts } from "./shard.ts";
import { type IdentifyPermit, identifySpending } from "./spending.ts";

/** What GET /gateway/bot has named for years; used for RESUMEs before it was asked. */
const DEFAULT_GATEWAY = "wss://gateway.discord.gg";

/**
 * A start by RESUME asks nothing. Once the fleet is ready and at rest, what is left of the budget and the recommended
 * count are to be known all the same: it asks so much later, and up to twice that, lest many processes ask together.
 */
const LOOK_MS = 60_000;

export interface TurnsParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly shards: ReadonlyMap<number, Shard>;
  readonly identifyReserve: number | undefined;
  readonly identifyOverride: boolean;
  readonly identifyPermit: IdentifyPermit | undefined;
  /** Replaces `url` of GET /gateway/bot. */
  readonly gatewayUrl: string | undefined;
  fetchGateway(signal: AbortSignal): Promise<GatewayInfo>;
  /** An answer of GET /gateway/bot: it is for `open` or for `inform`. */
  onInfo(info: GatewayInfo): void;
  onEdge(state: "banned" | "clear"): void;
}

/** What shards ask of the queues. */
type QueuePorts = Pick<
  ShardPorts,
  | "hostFor"
  | "askIdentifyTurn"
  | "identifyReady"
  | "identifyAnswered"
  | "askDial"
  | "leaveQueues"
  | "unreachable"
  | "reachable"
>;

export interface Turns {
  /** From now on turns are given. @param holdMs no IDENTIFY for so long */
  start(holdMs: number): void;
  /**
   * Begins with empty queues.
   * @param dialling shards that may dial here
   * @param info the answer that told the count: the queue has it before a shard asks, or it would be asked for again
   */
  open(shardCount: number, dialling: number, info: GatewayInfo | undefined): void;
  inform(info: GatewayInfo): void;
  /** Asks GET /gateway/bot. */
  refresh(): void;
  /** All shards are ready: asks a while later, unless the budget is known by then. */
  allReady(): void;
  /** Lets go whoever may go; called by the ports, too. */
  tick(): void;
  /** REST is banned until that wall time; undefined lifts it. */
  setRestBan(untilWall: number | undefined): void;
  readonly ports: QueuePorts;
  /** Where a dial without a resume URL goes. */
  genericHost(): string;
  budget(): Budget | null;
  /** When the wait for the budget is over; null: nobody waits. */
  waitingUntil(): number | null;
  edge(): { readonly since: number; readonly until: number } | null;
  stop(): void;
}

export function createTurns(parts: TurnsParts): Turns {
  const { clock, random, telemetry, shards } = parts;
  let phase: "new" | "running" | "stopped" = "new";
  let dials = dialQueue(1);
  let identifies = identifyQueue({ shardCount: 1, reserve: undefined, override: false, holdUntil: 0 });
  let holdUntil = 0;
  let restBan: number | undefined;
  let edgeSince: number | null = null;
  let ticking = false;
  let tickAgain = false;
  let wake: Cancel = () => {};
  let look: Cancel | undefined;

  const gateway = gatewayReader({
    clock,
    random,
    telemetry,
    fetch: (signal) => parts.fetchGateway(signal),
    onInfo(info) {
      if (phase !== "running") return;
      parts.onInfo(info);
      telemetry.level("IdentifiesRemaining", identifies.budget()?.left ?? info.remaining);
      tick();
    },
  });

  const genericHost = (): string => parts.gatewayUrl ?? gateway.latest()?.url ?? DEFAULT_GATEWAY;

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
      spending.report(turns);
      for (const id of turns.send) spending.spend(id);
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

  const { identifyPermit: permit } = parts;
  const spending = identifySpending({ clock, telemetry, shards, permit, queue: () => identifies, tick });

  const applyRestBan = (): void => {
    const until = restBan === undefined ? undefined : clock.now() + (restBan - clock.wall());
    dials.restBan(until);
    identifies.ban(until);
    gateway.ban(until);
  };

  return {
    start(holdMs) {
      phase = "running";
      holdUntil = clock.now() + holdMs;
    },
    open(shardCount, dialling, info) {
      dials = dialQueue(dialling);
      const { identifyReserve: reserve, identifyOverride: override } = parts;
      identifies = identifyQueue({ shardCount, reserve, override, holdUntil });
      if (info !== undefined) identifies.inform(info, clock.now());
      applyRestBan();
    },
    inform: (info) => identifies.inform(info, clock.now()),
    refresh: () => gateway.refresh(),
    allReady() {
      if (look !== undefined || phase !== "running" || identifies.budget() !== null) return;
      look = clock.schedule(LOOK_MS * (1 + random()), () => {
        look = undefined;
        if (identifies.budget() === null) gateway.refresh("idle");
      });
    },
    tick,
    setRestBan(untilWall) {
      restBan = untilWall;
      applyRestBan();
      tick();
    },
    ports: {
      hostFor(choice, session) {
        const generic = genericHost();
        const resume = session?.resumeUrl ?? null;
        if (choice === "generic" || resume === null) return generic;
        // Other shards have found this host dead already.
        const now = clock.now();
        return dials.isDown(resume, now) && !dials.isDown(generic, now) ? generic : resume;
      },
      askIdentifyTurn(id) {
        identifies.ask(id);
        tick();
      },
      identifyReady(id) {
        identifies.ready(id);
        tick();
      },
      identifyAnswered(id) {
        identifies.answered(id, clock.now());
        tick();
      },
      askDial(id, notBefore, patient) {
        dials.ask(id, notBefore, patient, clock.now(), random);
        tick();
      },
      leaveQueues(id) {
        identifies.leave(id);
        dials.leave(id, clock.now(), random);
        tick();
      },
      unreachable(id, host, refusal) {
        dials.failed(id, host, clock.now(), random, refusal);
        const edge = dials.edge();
        if (refusal === undefined || edge === null || edgeSince !== null) return;
        edgeSince = edge.since;
        telemetry.event("edge.banned", {
          via: "gateway",
          route: null,
          address: null,
          status: refusal.status,
          until: new Date(clock.wall() + edge.until - clock.now()).toISOString(),
          retryAfterMs: refusal.retryAfterMs ?? null,
        });
        parts.onEdge("banned");
        telemetry.flush();
      },
      reachable(host) {
        dials.hello(host, clock.now(), random);
        if (edgeSince !== null) {
          const bannedForMs = Math.round(clock.now() - edgeSince);
          edgeSince = null;
          telemetry.event("edge.cleared", { via: "gateway", route: null, address: null, bannedForMs });
          parts.onEdge("clear");
        }
        tick();
      },
    },
    genericHost,
    budget: () => identifies.budget(),
    waitingUntil: spending.waitingUntil,
    edge: () => dials.edge(),
    stop() {
      phase = "stopped";
      wake();
      look?.();
      gateway.stop();
    },
  };
}

function earlier(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
