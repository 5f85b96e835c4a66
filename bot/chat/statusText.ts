// What $status says: how long the bot runs, its shards, its latency, its 429s, and what is left to ask the model (pure).

import type { UpstreamStatus } from "./upstream.ts";

export interface StatusParts {
  /** The object of GET /state. */
  readonly state: unknown;
  readonly upMs: number;
  /** undefined = no key is set. */
  readonly upstream: UpstreamStatus | undefined;
  readonly waiting: number;
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;

const numberOf = (value: unknown, name: string): number => {
  const found = fieldOf(value, name);
  return typeof found === "number" ? found : 0;
};

export function statusText({ state, upMs, upstream, waiting }: StatusParts): string {
  const shards = fieldOf(state, "shards");
  const list: readonly unknown[] = Array.isArray(shards) ? shards : [];
  const ready = list.filter((shard) => fieldOf(shard, "state") === "ready").length;
  const acks = list.map((shard) => numberOf(shard, "ackMs")).filter((milliseconds) => milliseconds > 0);
  const metrics = fieldOf(state, "metrics");
  const limited = numberOf(metrics, "RateLimited") + numberOf(metrics, "RateLimitedGlobal");
  return [
    `Up for ${duration(upMs)}; ${ready} of ${list.length} shards ready, latency ${latency(acks)}.`,
    `Rate limits met (429): ${limited}. Questions answered: ${numberOf(metrics, "QuestionsAnswered")}, waiting: ${waiting}.`,
    ...upstreamLines(upstream),
  ].join("\n");
}

function upstreamLines(upstream: UpstreamStatus | undefined): string[] {
  if (upstream === undefined) return ["No model is set up; a built-in responder answers."];
  const { keys, spent, breaker, budget } = upstream;
  const used = budget.map(({ requestsThisHour, requestsThisMonth, spentUntil }, index) => {
    const state = spentUntil === null ? "" : `, spent until ${spentUntil}`;
    return `Key ${index + 1}: ${requestsThisHour} this hour, ${requestsThisMonth} this month${state}.`;
  });
  return [`Model: ${breaker === "closed" ? "reachable" : "failing"}; ${keys - spent} of ${keys} keys usable.`, ...used];
}

const latency = (acks: readonly number[]): string =>
  acks.length === 0 ? "not measured yet" : `${Math.round(acks.reduce((sum, ack) => sum + ack, 0) / acks.length)} ms`;

function duration(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  const days = Math.floor(minutes / 1_440);
  const hours = Math.floor(minutes / 60) % 24;
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}
