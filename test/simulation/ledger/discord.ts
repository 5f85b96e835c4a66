// As much of Discord's gateway as leases need: a session a shard, replayed to whoever resumes it, one connection each.

import type { Clock } from "../../../bot/clock.ts";

export interface Listener {
  /** A dispatch on this connection. */
  event(sequence: number, type: string): void;
  /** Another connection has taken the session over. */
  superseded(): void;
}

export interface GatewaySession {
  readonly id: string;
  sequence: number;
  listener: Listener | undefined;
}

export interface SmallDiscord {
  identifies: number;
  /** Events given out so far, as `session/sequence`. */
  readonly events: string[];
  say(shard: number): void;
  /** Replays what came after `sequence`; false: no such session. */
  resume(shard: number, sessionId: string, sequence: number, listener: Listener): boolean;
  identify(shard: number, listener: Listener): string;
  leave(shard: number, listener: Listener): void;
}

export function createSmallDiscord(_clock: Clock): SmallDiscord {
  const sessions = new Map<number, GatewaySession>();
  const discord: SmallDiscord = {
    identifies: 0,
    events: [],
    say(shard) {
      const session = sessions.get(shard);
      if (session === undefined) return;
      session.sequence++;
      discord.events.push(`${session.id}/${session.sequence}`);
      session.listener?.event(session.sequence, "MESSAGE_CREATE");
    },
    resume(shard, sessionId, sequence, listener) {
      const session = sessions.get(shard);
      if (session?.id !== sessionId) return false;
      const before = session.listener;
      session.listener = listener;
      if (before !== listener) before?.superseded();
      const last = session.sequence;
      for (let missed = sequence + 1; missed <= last; missed++) {
        listener.event(missed, missed === 1 ? "READY" : "MESSAGE_CREATE");
      }
      return true;
    },
    identify(shard, listener) {
      discord.identifies++;
      const session = { id: `${shard}.${discord.identifies}`, sequence: 1, listener };
      sessions.get(shard)?.listener?.superseded();
      sessions.set(shard, session);
      listener.event(1, "READY");
      return session.id;
    },
    leave(shard, listener) {
      const session = sessions.get(shard);
      if (session?.listener === listener) session.listener = undefined;
    },
  };
  return discord;
}
