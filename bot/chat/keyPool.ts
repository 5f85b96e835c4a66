// Which key the next request to the model's provider goes out with: the first whose quotas allow it (pure).

import { type Quota, quotaOf } from "../../shared/chat.ts";

/** What has been used in one window, which began at `start`, ms since 1970. */
export interface Usage {
  readonly start: number;
  readonly requests: number;
  readonly tokens: number;
}

export interface KeyState {
  readonly hour: Usage;
  readonly month: Usage;
  /** Until then the provider takes no request with this key, ms since 1970. */
  readonly refusedUntil: number;
}

export type KeyChoice =
  | { readonly kind: "key"; readonly index: number }
  /** No key may be used before `until`, ms since 1970. */
  | { readonly kind: "spent"; readonly until: number };

/** What one of so many tasks may use of a key: each counts for itself, and shards are shared out evenly. */
export function partOf(quota: Quota, tasks: number): Quota {
  return Object.fromEntries(
    Object.entries(quota).map(([limit, most]) => [limit, Math.max(1, Math.floor(most / tasks))]),
  );
}

const HOUR_MS = 3_600_000;

export const hourStart = (now: number): number => now - (now % HOUR_MS);
export const nextHour = (now: number): number => hourStart(now) + HOUR_MS;
export const monthStart = (now: number): number => {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
};
export const nextMonth = (now: number): number => {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
};

const unused = (start: number): Usage => ({ start, requests: 0, tokens: 0 });

export const UNUSED: KeyState = { hour: unused(0), month: unused(0), refusedUntil: 0 };

/** The state as of `now`: a window that has turned begins anew. */
export function turned(state: KeyState, now: number): KeyState {
  const hour = hourStart(now);
  const month = monthStart(now);
  if (state.hour.start === hour && state.month.start === month) return state;
  return {
    ...state,
    hour: state.hour.start === hour ? state.hour : unused(hour),
    month: state.month.start === month ? state.month : unused(month),
  };
}

/** Until when this key may not be used, ms since 1970; `now` or before when it may. */
export function spentUntil(given: KeyState, quota: Quota, now: number): number {
  const state = turned(given, now);
  const full = (used: number, limit: number | undefined): boolean => limit !== undefined && used >= limit;
  let until = state.refusedUntil;
  if (full(state.hour.requests, quota.requestsAnHour) || full(state.hour.tokens, quota.tokensAnHour)) {
    until = Math.max(until, nextHour(now));
  }
  if (full(state.month.requests, quota.requestsAMonth) || full(state.month.tokens, quota.tokensAMonth)) {
    until = Math.max(until, nextMonth(now));
  }
  return until;
}

/** The first key in order of preference that may be used, so that the pool goes back to it once its window turns. */
export function choose(states: readonly KeyState[], quotas: readonly Quota[], now: number): KeyChoice {
  let until = Number.POSITIVE_INFINITY;
  for (const [index, state] of states.entries()) {
    const spent = spentUntil(state, quotaOf(quotas, index), now);
    if (spent <= now) return { kind: "key", index };
    until = Math.min(until, spent);
  }
  return { kind: "spent", until };
}

/** So many keys that may not be used now. */
export function spentKeys(states: readonly KeyState[], quotas: readonly Quota[], now: number): number {
  return states.filter((state, index) => spentUntil(state, quotaOf(quotas, index), now) > now).length;
}

/** One more request is about to leave: counted first, so that a crash never makes it forgotten. */
export function countRequest(given: KeyState, now: number): KeyState {
  const state = turned(given, now);
  const add = (usage: Usage): Usage => ({ ...usage, requests: usage.requests + 1 });
  return { ...state, hour: add(state.hour), month: add(state.month) };
}

/** So many tokens were used, as the provider tells. */
export function countTokens(given: KeyState, tokens: number, now: number): KeyState {
  const state = turned(given, now);
  const add = (usage: Usage): Usage => ({ ...usage, tokens: usage.tokens + tokens });
  return { ...state, hour: add(state.hour), month: add(state.month) };
}

/** The provider refuses the key until then. */
export function refuse(state: KeyState, until: number): KeyState {
  return { ...state, refusedUntil: Math.max(state.refusedUntil, until) };
}

/** States as they were kept, by the keys' names; whatever is no state is left out. */
export function readStates(text: string | undefined): ReadonlyMap<string, KeyState> {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "{}");
  } catch {
    return new Map();
  }
  if (typeof value !== "object" || value === null) return new Map();
  return new Map(Object.entries(value).filter((entry): entry is [string, KeyState] => isState(entry[1])));
}

const isState = (value: unknown): value is KeyState => {
  if (typeof value !== "object" || value === null) return false;
  const { hour, month, refusedUntil } = value as Partial<Record<keyof KeyState, unknown>>;
  return isUsage(hour) && isUsage(month) && typeof refusedUntil === "number";
};

const isUsage = (value: unknown): value is Usage => {
  if (typeof value !== "object" || value === null) return false;
  const { start, requests, tokens } = value as Partial<Record<keyof Usage, unknown>>;
  return [start, requests, tokens].every((number) => typeof number === "number" && number >= 0);
};
