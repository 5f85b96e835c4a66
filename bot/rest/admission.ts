// Whether a call may join the queue at all: what is certain to fail, or to last too long, is refused at once.

import type { Clock } from "../clock.ts";
import type { Call } from "./call.ts";
import type { EdgeWatch } from "./edgeWatch.ts";
import { RestError, unauthorizedError, waitTooLong } from "./errors.ts";
import type { InvalidWatch } from "./invalidWatch.ts";
import type { Scheduler } from "./scheduler.ts";

/** A call whose 429 asks for more than this is told so instead of waiting; a channel's name and topic ask for up to 10 min. */
export const LONGEST_WAIT_MS = 900_000;

export interface AdmissionParts {
  readonly clock: Clock;
  readonly edge: EdgeWatch;
  readonly invalid: InvalidWatch;
  readonly scheduler: Scheduler<Call>;
  /** The bot's token was refused. */
  readonly unauthorized: boolean;
}

/** Why a call cannot join, or undefined. */
export function refusalOf(call: Call, deadlineMs: number | undefined, parts: AdmissionParts): RestError | undefined {
  const { clock, edge, invalid, scheduler, unauthorized } = parts;
  const now = clock.now();
  const route = call.route.name;
  if (call.authenticated && unauthorized) return unauthorizedError(route);
  const barred =
    edge.refusal(call, now) ?? (invalid.refusing(now) ? invalid.refusal(call, now, clock.wall()) : undefined);
  if (barred !== undefined) return barred;
  if (!scheduler.hasRoom(call.route)) {
    return new RestError("queueFull", "too many calls wait; slow down, or stagger bulk work", { route });
  }
  const wait = scheduler.waitAtLeast(call.route, call.priority, now);
  if (deadlineMs !== undefined && wait > deadlineMs) {
    const until = Math.ceil(clock.wall() + wait);
    const problem = `would wait ${Math.ceil(wait)} ms, longer than its ${deadlineMs} ms`;
    return new RestError("deadline", problem, { route, until });
  }
  const shut = scheduler.shutFor(call.route, now);
  if (shut > LONGEST_WAIT_MS && deadlineMs === undefined) {
    return waitTooLong(route, shut, Math.ceil(clock.wall() + shut));
  }
  return undefined;
}
