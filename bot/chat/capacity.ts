// How far quotas, IDENTIFYs and REST limits reach for so many users (pure).

/** What is asked: who writes how much, and what the model's provider allows. */
export interface CapacityQuestion {
  readonly users: number;
  /** Share of the users who are active at the busiest time, 0 to 1. */
  readonly active: number;
  /** Messages that each active user writes to the bot in one such time. */
  readonly lines: number;
  /** Length of the busy time in hours; there is one a day. */
  readonly hours: number;
  /** Days a month. */
  readonly days: number;
  /** Requests that one key may make. */
  readonly hourlyQuota: number | undefined;
  readonly monthlyQuota: number | undefined;
  readonly servers: number;
  /** Replies that one answer is cut into, on average. */
  readonly chunks: number;
}

export interface QuotaUse {
  readonly used: number;
  readonly quota: number;
  /** Used times the quota. */
  readonly times: number;
  /** Into the window until it runs out: minutes of the busy hour, days of the month; null = it does not. */
  readonly runsOutAfter: number | null;
  /** Keys of that quota that would do. */
  readonly keys: number;
}

export interface Capacity {
  readonly activeUsers: number;
  readonly queriesAnHour: number;
  readonly queriesAMonth: number;
  readonly hour: QuotaUse | undefined;
  readonly month: QuotaUse | undefined;
  /** Enough for both quotas; undefined when there is none. */
  readonly keys: number | undefined;
  /** What a single key would have to allow instead. */
  readonly tier: { readonly hourlyQuota: number; readonly monthlyQuota: number };
  readonly shards: number;
  readonly identifies: {
    readonly aStart: number;
    readonly aDay: number;
    /** Starts of all shards that a day allows. */
    readonly starts: number;
  };
  readonly rest: {
    readonly requestsASecond: number;
    readonly limit: number;
    /** Times that the load could grow before the limit is met. */
    readonly headroom: number;
  };
}

/** events/gateway#sharding: at most 2,500 servers a shard; Discord recommends about 1,000 for each. */
const SERVERS_PER_SHARD = 1_000;
/** events/gateway#session-start-limit-object. */
const IDENTIFIES_A_DAY = 1_000;
/** topics/rate-limits#global-rate-limit. */
const REST_PER_SECOND = 50;
/** Besides its replies an answer takes one typing indicator. */
const REQUESTS_BESIDE_REPLIES = 1;

export function planCapacity(question: CapacityQuestion): Capacity {
  const { users, active, lines, hours, days, hourlyQuota, monthlyQuota, servers, chunks } = question;
  const activeUsers = users * active;
  const queriesAnHour = (activeUsers * lines) / hours;
  const queriesAMonth = activeUsers * lines * days;
  const hour = quotaUse(queriesAnHour, hourlyQuota, 60);
  const month = quotaUse(queriesAMonth, monthlyQuota, days);
  const shards = Math.max(1, Math.ceil(servers / SERVERS_PER_SHARD));
  const requestsASecond = (queriesAnHour / 3_600) * (chunks + REQUESTS_BESIDE_REPLIES);
  return {
    activeUsers,
    queriesAnHour,
    queriesAMonth,
    hour,
    month,
    keys: hour === undefined && month === undefined ? undefined : Math.max(hour?.keys ?? 1, month?.keys ?? 1),
    tier: { hourlyQuota: Math.ceil(queriesAnHour), monthlyQuota: Math.ceil(queriesAMonth) },
    shards,
    identifies: { aStart: shards, aDay: IDENTIFIES_A_DAY, starts: Math.floor(IDENTIFIES_A_DAY / shards) },
    rest: { requestsASecond, limit: REST_PER_SECOND, headroom: REST_PER_SECOND / requestsASecond },
  };
}

function quotaUse(used: number, quota: number | undefined, window: number): QuotaUse | undefined {
  if (quota === undefined) return undefined;
  const times = used / quota;
  return { used, quota, times, runsOutAfter: times > 1 ? window / times : null, keys: Math.max(1, Math.ceil(times)) };
}

/** A message as people write it, and how many words make so many characters. */
const WORDS_PER_CHARACTER = 2_100 / 10_000;
const WORDS_PER_MESSAGE = 7;

/** Messages that a quota in characters allows: 2,100 words in 10,000 characters, 7 words a message. */
export function messagesFrom(characters: number): number {
  return Math.floor((characters * WORDS_PER_CHARACTER) / WORDS_PER_MESSAGE);
}

/** The plan as lines of a table: what, how much, and what follows. */
export function capacityTable(plan: Capacity): string {
  const { hour, month, keys, tier, shards, identifies, rest } = plan;
  const rows: [string, string, string][] = [
    ["active users", number(plan.activeUsers), ""],
    ["queries an hour", number(plan.queriesAnHour), quotaText(hour, "min into the busy hour")],
    ["queries a month", number(plan.queriesAMonth), quotaText(month, "days into the month")],
    [
      "keys needed",
      keys === undefined ? "1" : number(keys),
      keys === undefined ? "no quota was given" : keysText(plan),
    ],
    ["or one tier with", `${number(tier.hourlyQuota)} an hour`, `${number(tier.monthlyQuota)} a month`],
    [
      "shards",
      number(shards),
      `${number(identifies.starts)} full starts a day of ${number(identifies.aDay)} IDENTIFYs`,
    ],
    [
      "REST requests a second",
      rest.requestsASecond.toFixed(2),
      `${number(Math.floor(rest.headroom))} times below the limit of ${rest.limit}`,
    ],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(([what, much, then]) => `${what.padEnd(widths[0] ?? 0)}  ${much.padStart(widths[1] ?? 0)}  ${then}`.trimEnd())
    .join("\n");
}

function quotaText(use: QuotaUse | undefined, unit: string): string {
  if (use === undefined) return "no quota was given";
  const { quota, times, runsOutAfter } = use;
  if (runsOutAfter === null) return `within ${number(quota)} (${Math.round(times * 100)} %)`;
  return `${times.toFixed(1)} times ${number(quota)}: runs out ${runsOutAfter.toFixed(1)} ${unit}`;
}

function keysText({ hour, month }: Capacity): string {
  const parts = [hour && `${number(hour.keys)} for the hour`, month && `${number(month.keys)} for the month`];
  return parts.filter((part) => part !== undefined).join(", ");
}

const number = (value: number): string =>
  value.toLocaleString("en-US", { maximumFractionDigits: Number.isInteger(value) ? 0 : 1 });
