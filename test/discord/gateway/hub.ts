// The gateway's mind: who is connected, which sessions live, who may identify, and which event goes to whom.

import { randomBytes } from "node:crypto";
import type { Clock } from "../../../bot/clock.ts";
import type { Journal } from "../journal.ts";
import { PRIVILEGED_INTENTS, shardOf, wantsEvent } from "../protocol.ts";
import type { IdentifyGate } from "../rules/identifyGate.ts";
import { Session, type SessionEnd, type SessionIdentity, type ShardTuple } from "../rules/session.ts";
import type { Timers } from "../timers.ts";
import { userObject, type World, withoutContent } from "../world.ts";
import type { Connection } from "./connection.ts";

export interface HubOptions {
  readonly heartbeatIntervalMs: number;
  readonly sessionLifetimeMs: number;
  readonly replayLimit: number;
  readonly privilegedIntents: number;
  /** Large bots must use a multiple of this shard count; else close 4010. */
  readonly shardMultiple: number;
  readonly inFlightGraceMs: number;
}

/** What goes wrong next, for connections that do not exist yet; each number counts down. */
export interface Script {
  /** What the next connections hear in place of HELLO, in order. */
  readonly greetings: ("silence" | "reconnect then hello" | "reconnect only")[];
  invalidIdentifies: number;
  heldReadies: number;
  /** For each of the next RESUMEs: how many events are replayed before the connection ends. */
  readonly replayCuts: number[];
  duplicates: number;
  drops: number;
  splitFrames: boolean;
}

/** Which session got an event, and under which number. */
export interface Delivery {
  readonly shard: number;
  readonly sequence: number;
  readonly sessionId: string;
}

export class Hub {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly journal: Journal;
  readonly world: World;
  readonly gate: IdentifyGate;
  readonly options: HubOptions;
  readonly connections = new Set<Connection>();
  readonly script: Script = {
    greetings: [],
    invalidIdentifies: 0,
    heldReadies: 0,
    replayCuts: [],
    duplicates: 0,
    drops: 0,
    splitFrames: false,
  };
  readonly #sessions = new Map<string, Session>();
  readonly #holders = new Map<Session, Connection>();
  readonly #reported = new WeakSet<Session>();
  readonly #memberListsAt = new Map<string, number>();
  readonly token: { value: string; valid: boolean };
  privilegedIntents: number;
  sessionLifetimeMs: number;
  replayLimit: number;
  /** The presence of each shard as last set. */
  readonly presences = new Map<number, unknown>();
  fatal: { readonly code: number; readonly at: number } | undefined;
  /** The last moment, ms, at which the resume host failed someone; no moment while all is well. */
  resumeHostTroubleAt = Number.NEGATIVE_INFINITY;
  resumeHostAccepts: () => boolean = () => true;
  resumeUrl: () => string = () => "";

  constructor(
    parts: { clock: Clock; timers: Timers; journal: Journal; world: World; gate: IdentifyGate },
    token: { value: string; valid: boolean },
    options: HubOptions,
  ) {
    this.clock = parts.clock;
    this.timers = parts.timers;
    this.journal = parts.journal;
    this.world = parts.world;
    this.gate = parts.gate;
    this.token = token;
    this.options = options;
    this.privilegedIntents = options.privilegedIntents & PRIVILEGED_INTENTS;
    this.sessionLifetimeMs = options.sessionLifetimeMs;
    this.replayLimit = options.replayLimit;
  }

  /** Sessions that a RESUME could still reach, attached or not. */
  get sessions(): readonly Session[] {
    const now = this.clock.now();
    for (const [id, session] of this.#sessions) if (session.over(now)) this.#sessions.delete(id);
    return [...this.#sessions.values()];
  }

  /** The session's connection, if it has one. */
  holder(session: Session): Connection | undefined {
    return this.#holders.get(session);
  }

  /** Shard ids whose session has a connection on which READY or RESUMED went out. */
  readyShards(): number[] {
    return [...this.#holders.keys()].map((session) => session.identity.shard.id).sort((a, b) => a - b);
  }

  /** A session that this IDENTIFY throws away, told once; undefined if there is none. */
  wasted(shard: ShardTuple, intents: number): Session | undefined {
    const now = this.clock.now();
    const found = this.sessions.find(
      (one) =>
        one.identity.shard.id === shard.id &&
        one.identity.shard.count === shard.count &&
        one.identity.intents === intents &&
        one.couldBeResumed(now) &&
        !this.#reported.has(one),
    );
    if (found !== undefined) this.#reported.add(found);
    return found;
  }

  begin(connection: Connection, identity: Omit<SessionIdentity, "id">): Session {
    const id = randomBytes(16).toString("hex");
    const session = new Session({ ...identity, id }, this.clock.now(), this.sessionLifetimeMs, this.replayLimit);
    this.#sessions.set(id, session);
    this.attach(session, connection);
    return session;
  }

  find(sessionId: string): Session | undefined {
    return this.#sessions.get(sessionId);
  }

  attach(session: Session, connection: Connection): void {
    const before = this.#holders.get(session);
    this.#holders.set(session, connection);
    if (before !== undefined && before !== connection) before.superseded();
  }

  /** The connection is gone; the session waits for a RESUME. */
  detach(session: Session, connection: Connection): void {
    if (this.#holders.get(session) !== connection) return;
    this.#holders.delete(session);
    session.detach(this.clock.now());
    this.journal.changed();
  }

  end(session: Session, why: SessionEnd): void {
    this.#holders.delete(session);
    session.end(why);
    this.#sessions.delete(session.identity.id);
    this.journal.changed();
  }

  /** All sessions killed and the token reset: what follows an IDENTIFY past the budget. */
  resetToken(): void {
    this.token.valid = false;
    for (const session of this.sessions) {
      const holder = this.#holders.get(session);
      this.end(session, "token reset");
      holder?.close(4004, "Authentication failed.");
    }
  }

  /** Ms until this server's member list may be asked for again; 0 counts this request. */
  memberListWait(guildId: string): number {
    const now = this.clock.now();
    for (const [id, at] of this.#memberListsAt) if (now - at >= MEMBER_LIST_MS) this.#memberListsAt.delete(id);
    const at = this.#memberListsAt.get(guildId);
    if (at !== undefined) return at + MEMBER_LIST_MS - now;
    this.#memberListsAt.set(guildId, now);
    return 0;
  }

  /**
   * Sends an event to each session that its server, shard and intents entitle; others never see it.
   * Events without a server go to shard 0 alone (events/gateway#sharding).
   */
  dispatch(type: string, data: Record<string, unknown>): Delivery[] {
    if (this.script.drops > 0) {
      this.script.drops--;
      return [];
    }
    const deliveries = this.#dispatch(type, data);
    if (this.script.duplicates === 0) return deliveries;
    this.script.duplicates--;
    return [...deliveries, ...this.#dispatch(type, data)];
  }

  /** Sends an event to this session alone, whatever its intents. */
  tell(session: Session, type: string, dataJson: string): Delivery {
    const event = session.append(type, dataJson);
    this.#holders.get(session)?.event(event);
    this.journal.counts.dispatched++;
    this.journal.changed();
    return { shard: session.identity.shard.id, sequence: event.sequence, sessionId: session.identity.id };
  }

  #dispatch(type: string, data: Record<string, unknown>): Delivery[] {
    const guildId = guildOf(type, data);
    let whole: string | undefined;
    let stripped: string | undefined;
    const deliveries: Delivery[] = [];
    for (const session of this.sessions) {
      const { shard, intents } = session.identity;
      const owner = guildId === undefined ? 0 : shardOf(guildId, shard.count);
      if (shard.id !== owner || !wantsEvent(intents, type, guildId !== undefined)) continue;
      if (this.#hidesContent(type, data, intents)) {
        stripped ??= JSON.stringify(withoutContent(data));
        deliveries.push(this.tell(session, type, stripped));
      } else {
        whole ??= JSON.stringify(data);
        deliveries.push(this.tell(session, type, whole));
      }
    }
    return deliveries;
  }

  #hidesContent(type: string, data: Record<string, unknown>, intents: number): boolean {
    if (type !== "MESSAGE_CREATE" && type !== "MESSAGE_UPDATE") return false;
    if ((intents & MESSAGE_CONTENT) !== 0 || data["guild_id"] === undefined) return false;
    const isBot = (user: unknown): boolean =>
      typeof user === "object" && user !== null && "id" in user && user.id === this.world.bot.id;
    const mentions = data["mentions"];
    return !isBot(data["author"]) && !(Array.isArray(mentions) && mentions.some(isBot));
  }

  /** The bot's own user, as READY and REST give it. */
  botUser(): Record<string, unknown> {
    return { ...userObject(this.world.bot), verified: true, mfa_enabled: true, flags: 0, email: null };
  }
}

const MESSAGE_CONTENT = 1 << 15;
/** events/gateway-events#request-guild-members: a full list once per server and 30 s. */
const MEMBER_LIST_MS = 30_000;

function guildOf(type: string, data: Record<string, unknown>): string | undefined {
  const isGuild = type === "GUILD_CREATE" || type === "GUILD_UPDATE" || type === "GUILD_DELETE";
  const id = isGuild ? data["id"] : data["guild_id"];
  return typeof id === "string" ? id : undefined;
}
