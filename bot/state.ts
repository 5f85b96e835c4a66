// The object of GET /state: everything a person asks at 3 a.m., put together from the parts' own reports.

import type { MetricName } from "../shared/metrics.ts";
import type { FleetStatus, ShardStatus } from "./gateway/fleet.ts";
import type { RestStatus } from "./rest/client.ts";

type Edge = FleetStatus["edge"];

export interface BotState {
  readonly phase: string;
  readonly at: string;
  readonly shardCount: number | null;
  readonly readyShare: number;
  readonly shards: readonly ShardStatus[];
  /** `waitingUntil` is set while shards wait for the budget to come back. */
  readonly identify: FleetStatus["identify"];
  /** `address` is where this deployment leaves from, when it was told. */
  readonly edge: {
    readonly address: string | null;
    readonly rest: Edge & { readonly routes: readonly string[] };
    readonly gateway: Edge;
  };
  /** 401, 403 and 429 (not shared) answers of the last 10 min. */
  readonly invalid: RestStatus["invalid"];
  /**
   * `perSecond`: this task's part of the bot's global limit, less what it gives way. `latencyMs`: p50 and p99 from
   * sending to the answer, over the last 1,024. `refusals`: remembered 403s and 404s.
   */
  readonly requests: Pick<RestStatus, "queued" | "inFlight" | "unauthorized" | "latencyMs" | "refusals"> & {
    readonly perSecond: number;
  };
  readonly fatal: { readonly code: string; readonly fix: string } | null;
  /** Since the start: a counter's sum, a level's present value, a distribution's number of samples. */
  readonly metrics: Readonly<Record<MetricName, number>>;
}

export interface StateParts {
  readonly phase: { readonly phase: string; readonly code?: string; readonly fix?: string };
  /** Unknown before the first dial. */
  readonly fleet: FleetStatus | undefined;
  readonly rest: RestStatus;
  readonly metrics: Readonly<Record<MetricName, number>>;
  /** ms since 1970 */
  readonly now: number;
}

const NOT_DIALLED: Pick<FleetStatus, "shardCount" | "readyShare" | "shards" | "identify" | "edge"> = {
  shardCount: null,
  readyShare: 0,
  shards: [],
  identify: { left: null, total: null, resetAt: null, reserve: null, waitingUntil: null },
  edge: { state: "clear", since: null, until: null },
};

export function describeState({ phase, fleet, rest, metrics, now }: StateParts): BotState {
  const { shardCount, readyShare, shards, identify, edge } = fleet ?? NOT_DIALLED;
  const { state, since, until, routes, address } = rest.edge;
  return {
    phase: phase.phase,
    at: new Date(now).toISOString(),
    shardCount,
    readyShare,
    shards,
    identify,
    edge: { address, rest: { state, since, until, routes }, gateway: edge },
    invalid: rest.invalid,
    requests: {
      queued: rest.queued,
      inFlight: rest.inFlight,
      unauthorized: rest.unauthorized,
      perSecond: rest.globalPerSecond,
      latencyMs: rest.latencyMs,
      refusals: rest.refusals,
    },
    fatal: phase.code === undefined ? null : { code: phase.code, fix: phase.fix ?? "" },
    metrics,
  };
}
