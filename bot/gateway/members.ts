// Requests for guild members (op 8): one guild a request, one full list a guild per 30 s, and every waiter settles.

import { randomUUID } from "node:crypto";
import type { Cancel, Clock } from "../clock.ts";
import type { Members, MembersQuery } from "../defineBot.ts";
import type { Withdraw } from "./outbox.ts";
import { OPCODE, textField } from "./protocol.ts";
import type { Shard } from "./shard.ts";

/** Why a request for members failed. */
export class MembersError extends Error {
  override readonly name = "MembersError";
  readonly kind: "rateLimited" | "timeout" | "sessionEnded" | "stopped" | "invalid" | "full";
  /** With rateLimited: when Discord would answer again, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: MembersError["kind"], message: string, retryAfterMs?: number) {
    super(message);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

/** One full list a guild per 30 s (events/gateway-events#request-guild-members), and a little for the way. */
const GUILD_GAP_MS = 30_500;
/** From the payload, or the last chunk, to the next chunk. */
const CHUNK_MS = 90_000;
/** Until the guild's shard is one of this process's. */
const SHARD_MS = 90_000;
/** Until the shard has sent the payload: a full outbox, spread out as it is, takes twelve minutes. */
const SEND_MS = 900_000;
const MOST_WAITERS = 1_000;
const MOST_USER_IDS = 100;

export interface MemberRequests {
  request(query: MembersQuery, signal?: AbortSignal): Promise<Members>;
  /** There are shards from now on: sends what was asked for before. */
  begin(): void;
  /** The session of some guilds' shard has ended, or is another process's: no answer comes to what was asked in it. */
  sessionEnded(isOf: (guildId: string) => boolean): void;
  /** GUILD_MEMBERS_CHUNK and RATE_LIMITED dispatches. */
  dispatched(type: string, data: unknown): void;
  stop(): void;
}

export interface MemberRequestsOptions {
  readonly clock: Clock;
  /** Where the guild's payloads are queued; undefined: not here, or not yet. May throw, and so may its `send`. */
  shardFor(guildId: string): Pick<Shard, "send"> | undefined;
}

interface Waiter {
  readonly guildId: string;
  readonly members: unknown[];
  readonly presences: unknown[];
  readonly notFound: string[];
  chunks: number;
  /** spaced: behind the guild's last full list. held: for want of its shard. queued: its shard has it. sent: asked. */
  phase: "spaced" | "held" | "queued" | "sent";
  /** Ends the phase. */
  deadline: Cancel;
  /** Only where it is queued does this do anything. */
  withdraw: Withdraw;
  send(): void;
  settle(outcome: Members | MembersError | Error): void;
}

/** How long each phase lasts, and what has not happened then. */
const DEADLINE = {
  held: [SHARD_MS, "there is no shard here for"],
  queued: [SEND_MS, "the shard could not send the request for members of"],
  sent: [CHUNK_MS, "no members of"],
} as const;

const listOf = (data: unknown, field: string): readonly unknown[] => {
  const value: unknown = typeof data === "object" && data !== null ? Reflect.get(data, field) : undefined;
  return Array.isArray(value) ? value : [];
};
const numberOf = (data: unknown, field: string): number => {
  const value: unknown = typeof data === "object" && data !== null ? Reflect.get(data, field) : undefined;
  return typeof value === "number" ? value : Number.NaN;
};

export function memberRequests(options: MemberRequestsOptions): MemberRequests {
  const { clock } = options;
  const waiters = new Map<string, Waiter>();
  // When a guild's next full list may be asked for; entries that have passed are dropped with each request.
  const fullListAt = new Map<string, number>();
  let stopped = false;

  const enter = (waiter: Waiter, phase: "held" | "queued" | "sent"): void => {
    const [most, what] = DEADLINE[phase];
    waiter.phase = phase;
    waiter.deadline();
    waiter.deadline = clock.schedule(most, () =>
      waiter.settle(new MembersError("timeout", `${what} guild ${waiter.guildId} within ${most} ms`)),
    );
  };

  /** Milliseconds until this request may go; its place is taken. */
  const reserve = (query: MembersQuery): number => {
    const now = clock.now();
    for (const [guild, at] of fullListAt) if (at <= now) fullListAt.delete(guild);
    if (query.userIds !== undefined || (query.query ?? "") !== "") return 0;
    const at = Math.max(now, fullListAt.get(query.guildId) ?? now);
    fullListAt.set(query.guildId, at + GUILD_GAP_MS);
    return at - now;
  };

  const validate = (query: MembersQuery): void => {
    if (!/^\d{1,20}$/.test(query.guildId))
      throw new MembersError("invalid", `guildId "${query.guildId}" is no snowflake`);
    const ids = query.userIds?.length ?? 0;
    if (ids > MOST_USER_IDS)
      throw new MembersError("invalid", `${ids} userIds are asked for, Discord takes ${MOST_USER_IDS}`);
    if (stopped) throw new MembersError("stopped", "the gateway is stopping");
    if (waiters.size >= MOST_WAITERS)
      throw new MembersError("full", `${MOST_WAITERS} requests for members wait already`);
  };

  return {
    async request(query, signal) {
      validate(query);
      signal?.throwIfAborted();
      // At most 32 bytes, else Discord leaves it out of the answer.
      const nonce = randomUUID().replaceAll("-", "");
      const result = Promise.withResolvers<Members>();
      const abort = (): void => waiter.settle(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
      const waiter: Waiter = {
        guildId: query.guildId,
        members: [],
        presences: [],
        notFound: [],
        chunks: 0,
        phase: "spaced",
        deadline: () => {},
        withdraw: () => {},
        send() {
          waiter.withdraw();
          try {
            const shard = options.shardFor(query.guildId);
            if (shard === undefined) {
              if (waiter.phase !== "held") enter(waiter, "held");
              return;
            }
            enter(waiter, "queued");
            const data = requestData(query, nonce);
            waiter.withdraw = shard.send(OPCODE.REQUEST_GUILD_MEMBERS, data, () => enter(waiter, "sent"));
          } catch (error) {
            waiter.settle(error instanceof Error ? error : new Error(String(error)));
          }
        },
        settle(outcome) {
          waiters.delete(nonce);
          waiter.deadline();
          waiter.withdraw();
          signal?.removeEventListener("abort", abort);
          if (outcome instanceof Error) result.reject(outcome);
          else result.resolve(outcome);
        },
      };
      waiters.set(nonce, waiter);
      signal?.addEventListener("abort", abort, { once: true });
      const waitMs = reserve(query);
      if (waitMs === 0) waiter.send();
      else waiter.deadline = clock.schedule(waitMs, waiter.send);
      return result.promise;
    },
    begin() {
      for (const waiter of [...waiters.values()]) if (waiter.phase === "held") waiter.send();
    },
    sessionEnded(isOf) {
      for (const waiter of [...waiters.values()]) {
        const { guildId, phase } = waiter;
        if (!isOf(guildId)) continue;
        if (phase === "queued") waiter.send();
        if (phase !== "sent") continue;
        const message = `the session in which the members of guild ${guildId} were asked for has ended: ask again`;
        waiter.settle(new MembersError("sessionEnded", message));
      }
    },
    dispatched(type, data) {
      if (type === "RATE_LIMITED") {
        const nonce = textField(Reflect.get(Object(data), "meta"), "nonce");
        const waiter = nonce === undefined ? undefined : waiters.get(nonce);
        if (waiter === undefined) return;
        const seconds = numberOf(data, "retry_after");
        // Without a time to go by, the documented gap.
        const retryAfterMs = seconds >= 0 ? seconds * 1000 : GUILD_GAP_MS;
        fullListAt.set(waiter.guildId, clock.now() + retryAfterMs);
        const message = `Discord lists the members of guild ${waiter.guildId} again in ${Math.ceil(retryAfterMs)} ms`;
        waiter.settle(new MembersError("rateLimited", message, retryAfterMs));
        return;
      }
      const nonce = textField(data, "nonce");
      const waiter = nonce === undefined ? undefined : waiters.get(nonce);
      if (nonce === undefined || waiter === undefined) return;
      waiter.members.push(...listOf(data, "members"));
      waiter.presences.push(...listOf(data, "presences"));
      waiter.notFound.push(...listOf(data, "not_found").map(String));
      waiter.chunks++;
      enter(waiter, "sent");
      if (waiter.chunks >= numberOf(data, "chunk_count")) {
        const { members, presences, notFound } = waiter;
        waiter.settle({ members, presences, notFound });
      }
    },
    stop() {
      stopped = true;
      for (const waiter of [...waiters.values()]) waiter.settle(new MembersError("stopped", "the gateway is stopping"));
    },
  };
}

function requestData({ guildId, query, limit, userIds, presences }: MembersQuery, nonce: string): object {
  const asked = userIds === undefined ? { query: query ?? "", limit: limit ?? 0 } : { user_ids: userIds };
  return { guild_id: guildId, ...asked, ...(presences === undefined ? {} : { presences }), nonce };
}
