// One shard's driver: feeds the reducer from socket and timers, and carries its effects out.

import type { Cancel, Clock, Random } from "../clock.ts";
import type { Presence } from "../defineBot.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { closeMeaning } from "./closeCodes.ts";
import type { Connect, Connection, EdgeRefusal } from "./connection.ts";
import { delayUntil } from "./delay.ts";
import type { ShardContext } from "./dialling.ts";
import type { Compression } from "./inflate.ts";
import { KEEP_SESSION_CODE } from "./leaving.ts";
import type { Withdraw } from "./outbox.ts";
import { dialAddress, readPayload } from "./protocol.ts";
import { initialState, reduce } from "./session.ts";
import {
  type Effect,
  type Input,
  nextDeadline,
  type Session,
  type ShardState,
  type StateName,
  stateName,
} from "./sessionState.ts";
import { shardSender } from "./shardSender.ts";

/** A destroyed socket reports its end within a turn of the event loop or two. */
const AFTER_DESTROY_MS = 100;

/** What the fleet is to its shards, one for all: a shard tells its id where it matters. */
export interface ShardPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly userAgent: string;
  readonly compression: Compression;
  readonly connect: Connect;
  /** The raw token; called only where an IDENTIFY or RESUME is written. */
  token(): string;
  /** The address to dial, without parameters. */
  hostFor(choice: "resume" | "generic", session: Session | null): string;
  askIdentifyTurn(shard: number): void;
  identifyReady(shard: number): void;
  identifyAnswered(shard: number): void;
  askDial(shard: number, notBefore: number, patient: boolean): void;
  leaveQueues(shard: number): void;
  unreachable(shard: number, host: string, edge: EdgeRefusal | undefined): void;
  reachable(host: string): void;
  /** `cutOff`: a connection has ended, and not by us. */
  moved(shard: number, from: StateName, to: StateName, cutOff: boolean): void;
  dispatch(shard: number, sequence: number, type: string, data: unknown, replayed: boolean): void;
  session(shard: number, what: "started" | "resumed" | "dropped", sequence: number): void;
  fatal(shard: number, code: number, fix: string): void;
}

export interface Shard {
  readonly id: number;
  state(): ShardState;
  /** The last heartbeat's latency in ms. */
  ackMs(): number | null;
  input(input: Input): void;
  setPresence(presence: Presence): void;
  /** Queues one payload for READY, and calls back when it goes; throws an OutboxError when it is not taken. */
  send(op: number, data: unknown, sent: () => void): Withdraw;
  /** Resolves when every socket of this shard is gone, at the latest after `withinMs`. */
  stop(keepSession: boolean, withinMs: number): Promise<void>;
}

/** A shard that waits for `start`. */
export function createShard(context: ShardContext, stored: Session | null, ports: ShardPorts): Shard {
  const { clock, random, telemetry } = ports;
  const { shard: id } = context;
  const sender = shardSender({
    clock,
    telemetry,
    context,
    token: ports.token,
    state: () => state,
    write(text) {
      telemetry.count("PayloadsSent");
      connection?.send(text);
    },
  });
  const inputs: Input[] = [];
  // The sockets of this shard that are not gone yet: the newest, and older ones that are closing.
  const closing = new Set<Connection>();
  let state: ShardState = initialState(stored, clock.now());
  let connection: Connection | undefined;
  let host = "";
  let edge: EdgeRefusal | undefined;
  let closeWithinMs: number | undefined;
  let ackMs: number | null = null;
  let running = false;
  let wake: { at: number; cancel: Cancel } | undefined;

  const run = (first: Input): void => {
    if (running) {
      inputs.push(first);
      return;
    }
    running = true;
    try {
      for (let input: Input | undefined = first; input !== undefined; input = inputs.shift()) advance(input);
    } finally {
      running = false;
    }
    arm();
  };

  const advance = (input: Input): void => {
    const before = state;
    const { state: after, effects } = reduce(state, input, clock.now(), random, context);
    state = after;
    if (before.kind !== after.kind || before.kind === "waiting" || before.kind === "identifying") {
      reportMove(before, after);
    }
    for (const effect of effects) perform(effect);
  };

  const reportMove = (before: ShardState, after: ShardState): void => {
    const from = stateName(before);
    const to = stateName(after);
    if (from === to) return;
    const close = after.lastClose === before.lastClose ? null : after.lastClose;
    telemetry.event("shard.state", {
      shard: id,
      from,
      to,
      closeCode: close?.code ?? null,
      closedBy: close?.by ?? null,
    });
    ports.moved(id, from, to, close !== null && close.by !== "us");
    if (after.kind === "ready") sender.ready(after.heartbeat.intervalMs);
  };

  /** One timer: an earlier deadline replaces it, a later one lets it fire for nothing. */
  const arm = (): void => {
    const at = nextDeadline(state);
    if (at === null) {
      wake?.cancel();
      wake = undefined;
      return;
    }
    if (wake !== undefined && wake.at <= at) return;
    wake?.cancel();
    const cancel = clock.schedule(delayUntil(at, clock), () => {
      wake = undefined;
      run({ kind: "timer", behind: connection?.behind() ?? false });
    });
    wake = { at, cancel };
  };

  const perform = (effect: Effect): void => {
    switch (effect.kind) {
      case "dispatch":
        telemetry.count("Events");
        if (effect.replayed) telemetry.count("EventsReplayed");
        ports.dispatch(id, effect.sequence, effect.type, effect.data, effect.replayed);
        return;
      case "heartbeat":
        sender.heartbeat(effect.sequence);
        return;
      case "identify":
        sender.identify();
        return;
      case "resume":
        telemetry.count("ResumesTried");
        sender.resume(effect.session);
        return;
      case "acknowledged":
        ackMs = effect.latencyMs;
        telemetry.observe("HeartbeatAckMilliseconds", effect.latencyMs);
        return;
      case "acknowledgementMissed":
        telemetry.count("MissedHeartbeatAcks");
        return;
      case "dial":
        dial(effect.generation, ports.hostFor(effect.host, effect.session));
        return;
      case "close":
        leave(effect.code, effect.reason);
        return;
      case "unreachable":
        ports.unreachable(id, host, edge);
        return;
      case "reachable":
        ports.reachable(host);
        return;
      case "session":
        if (effect.what === "resumed") {
          telemetry.count("ResumesSucceeded");
          telemetry.event("session.resumed", { shard: id, replayed: effect.replayed });
        }
        ports.session(id, effect.what, effect.sequence);
        return;
      case "askIdentifyTurn":
        ports.askIdentifyTurn(id);
        return;
      case "identifyReady":
        ports.identifyReady(id);
        return;
      case "identifyAnswered":
        ports.identifyAnswered(id);
        return;
      case "askDial":
        ports.askDial(id, effect.notBefore, effect.patient);
        return;
      case "leaveQueues":
        ports.leaveQueues(id);
        return;
      case "fatal":
        ports.fatal(id, effect.code, effect.fix);
        return;
    }
  };

  const dial = (generation: number, chosen: string): void => {
    host = chosen;
    edge = undefined;
    sender.connect();
    telemetry.count("Dials");
    const address = dialAddress(chosen, ports.compression);
    const opened = ports.connect(
      { address, userAgent: ports.userAgent, compression: ports.compression, clock },
      {
        opened: () => run({ kind: "opened", generation }),
        text(text) {
          const payload = readPayload(text);
          if (payload === undefined) run({ kind: "broken", generation, reason: "a message is no gateway payload" });
          else run({ kind: "payload", generation, payload });
        },
        broken: (reason) => run({ kind: "broken", generation, reason }),
        closed(code, reason, refusal) {
          if (generation === state.generation) edge = refusal;
          telemetry.log("info", `shard ${id}: ${closeMeaning(code)}`, { shard: id, code: code ?? null, reason });
          run({ kind: "closed", generation, code });
        },
      },
    );
    connection = opened;
    closing.add(opened);
    void opened.gone.then(() => closing.delete(opened));
  };

  const leave = (code: number, reason: string): void => {
    telemetry.log("debug", `shard ${id}: closes, ${reason}`, { shard: id, code });
    edge = undefined;
    connection?.close(code, closeWithinMs);
    connection = undefined;
  };

  return {
    id,
    state: () => state,
    ackMs: () => ackMs,
    input: run,
    setPresence: sender.setPresence,
    send: sender.send,
    async stop(keepSession, withinMs) {
      closeWithinMs = withinMs;
      run({ kind: "stop", keepSession });
      sender.stop();
      for (const old of closing) old.close(KEEP_SESSION_CODE, withinMs);
      const late = Promise.withResolvers<void>();
      const cancel = clock.schedule(withinMs + AFTER_DESTROY_MS, () => late.resolve());
      await Promise.race([Promise.all([...closing].map(({ gone }) => gone)), late.promise]);
      cancel();
    },
  };
}
