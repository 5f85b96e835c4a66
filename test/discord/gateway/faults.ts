// What a test can do to the gateway: break connections, refuse dials, and script what comes next.

import type { Cancel } from "../../../bot/clock.ts";
import type { Journal, RuleName } from "../journal.ts";
import type { Refusal } from "../listener.ts";
import type { EdgeShape } from "../rules/edge.ts";
import { guildObject } from "../world.ts";
import type { Host } from "./authentication.ts";
import type { Connection } from "./connection.ts";
import type { Hub } from "./hub.ts";
import type { GatewayServer } from "./server.ts";

/** A shard's connection by its id, or every connection, those without a session too. */
export type Target = number | "all";

export interface OutageOptions {
  /** ms; without it the outage lasts until `endOutage`. */
  readonly durationMs?: number;
  /** `reset` accepts and resets, so that dials are counted; `refuse` closes the port. */
  readonly how?: Refusal;
  /** Leaves the connections that exist alone. */
  readonly keepConnections?: boolean;
}

export interface RefusedUpgrades {
  readonly status: 429 | 403;
  readonly retryAfterSeconds?: number;
  readonly durationMs?: number;
  readonly shape?: EdgeShape;
}

export class GatewayFaults {
  readonly #hub: Hub;
  readonly #server: GatewayServer;
  readonly #journal: Journal;
  #cancelOutage: Cancel = () => {};

  constructor(hub: Hub, server: GatewayServer) {
    this.#hub = hub;
    this.#server = server;
    this.#journal = hub.journal;
  }

  /** RST on the TCP connection. */
  reset(target: Target): void {
    for (const connection of this.#connections(target)) connection.reset();
  }

  /** The connection stays open; nothing is heard, nothing said, no close answered. */
  blackHole(target: Target): void {
    for (const connection of this.#connections(target)) connection.blackHole();
  }

  /** Heartbeats are heard and not acknowledged, on the connections that exist. */
  noAcks(target: Target): void {
    for (const connection of this.#connections(target)) connection.acknowledge({ kind: "none" });
  }

  /** Each ACK comes `ms` late; 0 makes them prompt again. */
  lateAcks(target: Target, ms: number): void {
    for (const connection of this.#connections(target)) {
      connection.acknowledge(ms === 0 ? { kind: "prompt" } : { kind: "late", ms });
    }
  }

  /** The client's close frame is answered after `afterMs`, or never, nor is the TCP connection ended. */
  ignoreClose(target: Target, afterMs?: number): void {
    for (const connection of this.#connections(target)) connection.ignoreClose(afterMs);
  }

  /** zlib-stream messages come in two frames each (events/gateway#zlib-stream). */
  splitFrames(on: boolean): void {
    this.#hub.script.splitFrames = on;
  }

  /** Op 7; the connection is closed with 1001 after 5 s. */
  reconnect(target: Target): void {
    for (const connection of this.#connections(target)) connection.reconnect();
  }

  /** What the next connections hear in place of a plain HELLO, one entry each. */
  greetings(...greetings: ("silence" | "reconnect then hello" | "reconnect only")[]): void {
    this.#hub.script.greetings.push(...greetings);
  }

  /** Op 9 on a live session; `false` ends it. */
  invalidSession(target: Target, resumable: boolean): void {
    for (const connection of this.#connections(target)) connection.invalidate(resumable);
  }

  /** The next `count` IDENTIFYs that obey the rules get op 9 false all the same. */
  refuseIdentifies(count: number): void {
    this.#hub.script.invalidIdentifies = count;
  }

  /** The next `count` IDENTIFYs are taken and never answered; heartbeats are. */
  holdReady(count: number): void {
    this.#hub.script.heldReadies = count;
  }

  /** Op 1: the client must answer with a heartbeat at once. */
  requestHeartbeat(target: Target): void {
    for (const connection of this.#connections(target)) connection.requestHeartbeat();
  }

  /** Closes with any code; 4003, 4007, 4009 and the fatal ones end the session. */
  close(target: Target, code: number, reason = ""): void {
    for (const connection of this.#connections(target)) connection.close(code, reason);
  }

  /** The resume host refuses connections until `resumeHostBack`. */
  resumeHostDead(how: Refusal = "refuse"): void {
    this.#server.refuse("resume", how);
  }

  resumeHostBack(): Promise<void> {
    return this.#server.accept("resume");
  }

  /** Dials fail on a host or on both; connections stay. */
  refuseDials(host: Host | "both" = "both", how: Refusal = "refuse"): void {
    this.#server.refuse(host, how);
  }

  acceptDials(host: Host | "both" = "both"): Promise<void> {
    return this.#server.accept(host);
  }

  /** Both hosts are down; connections are reset unless kept. Ends by itself if it has a duration. */
  outage(options: OutageOptions = {}): void {
    const { durationMs, how = "reset", keepConnections = false } = options;
    this.#server.refuse("both", how);
    if (!keepConnections) this.reset("all");
    this.#cancelOutage();
    if (durationMs !== undefined) this.#cancelOutage = this.#hub.timers.after(durationMs, () => void this.endOutage());
  }

  async endOutage(): Promise<void> {
    this.#cancelOutage();
    await this.#server.accept("both");
    this.#journal.changed();
  }

  /** The edge answers each upgrade with 429 or 403 until lifted or for a time. Lift by the returned function. */
  refuseUpgrades({ status, retryAfterSeconds, durationMs, shape }: RefusedUpgrades): () => void {
    const until = durationMs === undefined ? undefined : this.#hub.clock.now() + durationMs;
    const fallback: EdgeShape = status === 429 ? "text-1015" : "forbidden-40333";
    const lift = this.#server.edge.ban({ shape: shape ?? fallback, retryAfterSeconds, until });
    const lifted = (): void => {
      lift();
      this.#hub.resumeHostTroubleAt = this.#hub.clock.now();
    };
    if (durationMs !== undefined) this.#hub.timers.after(durationMs, lifted);
    return lifted;
  }

  /** Each session without a connection, or of this shard, is forgotten: a RESUME gets op 9 false. */
  expireSessions(target: Target = "all"): void {
    for (const session of this.#hub.sessions) {
      if (session.attached || (target !== "all" && session.identity.shard.id !== target)) continue;
      this.#hub.end(session, "expired");
    }
  }

  /** How long sessions begun from now on outlive their connection, ms. */
  sessionLifetime(ms: number): void {
    this.#hub.sessionLifetimeMs = ms;
  }

  /** Sessions replay no more than `limit` events from now on; a RESUME from before that gets op 9 false. */
  replayLimit(limit: number): void {
    this.#hub.replayLimit = limit;
    for (const session of this.#hub.sessions) session.limitReplay(limit);
  }

  /** The next RESUME's replay ends, with its connection, after so many events. */
  cutReplay(afterEvents: number): void {
    this.#hub.script.replayCuts.push(afterEvents);
  }

  /** The next `count` dispatches come twice, under two sequences (reference#consistency). */
  duplicateEvents(count: number): void {
    this.#hub.script.duplicates = count;
  }

  /** The next `count` dispatches never come (reference#consistency). */
  dropEvents(count: number): void {
    this.#hub.script.drops = count;
  }

  /** The portal's switches; sessions that use one switched off are closed with 4003, and the next IDENTIFY gets 4014. */
  setPrivilegedIntents(bits: number): void {
    const hub = this.#hub;
    const lost = hub.privilegedIntents & ~bits;
    hub.privilegedIntents = bits;
    hub.fatal = undefined;
    for (const connection of [...hub.connections]) {
      if (((connection.session?.identity.intents ?? 0) & lost) !== 0) connection.close(4003, "Not authenticated.");
    }
  }

  /** What GET /gateway/bot says is left, and until when, ms from now. */
  setBudget(remaining: number, resetAfterMs: number, total?: number): void {
    this.#hub.gate.set(this.#hub.clock.now(), remaining, resetAfterMs, total);
  }

  /** The token stops working: REST answers 401, the gateway 4004. */
  revokeToken(): void {
    this.#hub.resetToken();
  }

  /** A person has put the matter right: the token works, and dialling after a fatal code is no fault any more. */
  forgive(): void {
    this.#hub.token.valid = true;
    this.#hub.fatal = undefined;
  }

  /** A server goes into an outage, comes back, or removes the bot (events/gateway-events#guild-delete). */
  guild(guildId: string, to: "unavailable" | "available" | "removed"): void {
    const { world } = this.#hub;
    const guild = world.guild(guildId);
    guild.unavailable = to === "unavailable";
    if (to === "available") this.#hub.dispatch("GUILD_CREATE", guildObject(guild, world.bot));
    else this.#hub.dispatch("GUILD_DELETE", to === "removed" ? { id: guildId } : { id: guildId, unavailable: true });
    if (to === "removed") world.guilds.delete(guildId);
  }

  /** Leaves a rule uncounted until the returned function is called, where the test itself causes the breach. */
  excuse(rule: RuleName): () => void {
    return this.#journal.excuse(rule);
  }

  #connections(target: Target): Connection[] {
    const all = [...this.#hub.connections];
    return target === "all" ? all : all.filter(({ session }) => session?.identity.shard.id === target);
  }
}
