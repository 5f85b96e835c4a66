// One set of shards with what belongs to it: connections, handlers' order, leases, checkpoint. A run has one; two while their number changes.

import { type Checkpoint, createCheckpoint } from "../checkpoint.ts";
import type { HandlerContext } from "../defineBot.ts";
import { createDispatcher, type Dispatcher, defaultKey } from "../gateway/dispatch.ts";
import { type EventClaims, eventIdentity } from "../ledger/eventClaims.ts";
import type { Ledger, StoredSession } from "../ledger/ledger.ts";
import { createSharing, type Sharing } from "../sharing.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { RequestShares } from "./requestShares.ts";
import { createShards, type Shards, type ShardsParts } from "./shards.ts";

// A question that has waited for 5 min is not waited for any more; a handler of 15 min outlives its interaction's token
// (interactions/receiving-and-responding: 15 min).
const WAIT_DEADLINE_MS = 300_000;
const RUN_DEADLINE_MS = 900_000;

/**
 * Which events have their handlers called: all; none, which are dropped; or those that the set has claimed before another.
 * `unanswered`: what becomes of an event while the ledger does not say whose it is.
 */
export type Handling = "all" | "none" | { readonly claims: EventClaims; readonly unanswered: boolean };

type Handler = (data: unknown, context: HandlerContext) => unknown;

export interface ShardSetParts extends Omit<ShardsParts, "dispatcher" | "sharing" | "onNewSession"> {
  readonly ledger: Ledger;
  /** How many shards a set has that comes up beside another; undefined: as configured, or as the ledger says. */
  readonly beside: number | undefined;
  /** The process's, one for all of its sets. */
  readonly requestShares: RequestShares;
  handlerOf(type: string): Handler | undefined;
  /** Whether this is the set that the run is about: its levels are published, and the bot module sees what it receives. */
  leads(): boolean;
}

export interface ShardSet {
  readonly dispatcher: Dispatcher;
  /** Absent where the ledger is one process's own. */
  readonly sharing: Sharing | undefined;
  readonly shards: Shards;
  readonly checkpoint: Checkpoint;
  /** For what arrives from now on; at first all. */
  handle(handling: Handling): void;
}

export function createShardSet(parts: ShardSetParts): ShardSet {
  const { environment, definition, clock, ledger, api } = parts;

  const telemetry: Telemetry = {
    ...parts.telemetry,
    level(metric, value) {
      if (parts.leads()) parts.telemetry.level(metric, value);
    },
  };

  let handling: Handling = "all";

  const handlerOf = (type: string): Handler | undefined => {
    const handler = handling === "none" ? undefined : parts.handlerOf(type);
    if (handler === undefined || typeof handling === "string") return handler;
    const { claims, unanswered } = handling;
    return async (data, context) => {
      if (await claims.take(eventIdentity(type, data), unanswered)) await handler(data, context);
    };
  };

  const dispatcher = createDispatcher({
    clock,
    telemetry,
    handler: handlerOf,
    key: (type, data, shard) => definition.key?.(type, data) ?? defaultKey(type, data, shard),
    waitDeadlineMs: WAIT_DEADLINE_MS,
    runDeadlineMs: RUN_DEADLINE_MS,
    ...(ledger.persistent && {
      async writeAhead() {
        await checkpoint.write();
        return checkpoint.kept();
      },
    }),
    ...(ledger.shared !== undefined && {
      mayStart: () => sharing?.mayAct() ?? true,
      settled: () => sharing?.settled(),
    }),
  });

  const sharing: Sharing | undefined =
    ledger.shared === undefined
      ? undefined
      : createSharing({
          clock,
          telemetry,
          ledger,
          shared: ledger.shared,
          dispatcher,
          checkpoint: () => checkpoint,
          fleet: () => shards.fleet(),
          tasks: environment.TASKS,
          loss: environment.LEDGER_LOSS,
          configured: environment.SHARD_COUNT === "auto" ? undefined : environment.SHARD_COUNT,
          beside: parts.beside,
          recommended: () => api.recommendedShards(),
          requests: parts.requestShares.of({ leads: parts.leads, takesPart: () => handling !== "none" }),
        });

  const shards: Shards = createShards({
    ...parts,
    telemetry,
    dispatcher,
    sharing,
    onDispatch(shard, sequence, type, data, replayed) {
      if (parts.leads()) parts.onDispatch(shard, sequence, type, data, replayed);
      dispatcher.dispatch(shard, sequence, type, data, replayed);
    },
    // What a crash loses with a session cannot be replayed, and the next would cost an IDENTIFY: it waits for no turn.
    onNewSession() {
      if (sharing !== undefined || parts.leads()) void checkpoint.write();
    },
  });

  const sessions = (): readonly StoredSession[] => sharing?.sessions() ?? shards.fleet()?.sessions() ?? [];
  const checkpoint = createCheckpoint({ clock, ledger, telemetry, sessions });

  return {
    dispatcher,
    sharing,
    shards,
    checkpoint,
    handle(next) {
      handling = next;
    },
  };
}
