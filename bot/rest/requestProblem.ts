// What keeps a request from being sent as it is: a module written in JavaScript has no types that would tell it (pure).

import { PRIORITIES } from "./queue.ts";
import { pathProblem } from "./route.ts";

const METHODS: ReadonlySet<unknown> = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);
const URGENCIES: ReadonlySet<unknown> = new Set([undefined, ...PRIORITIES]);

/** Names the part that is wrong and what it must be; undefined when nothing is. */
export function requestProblem(request: unknown): string | undefined {
  if (typeof request !== "object" || request === null) return "the request is not an object with method and path";
  const { method, path, priority, deadlineMs, signal } = request as Readonly<Record<string, unknown>>;
  if (!METHODS.has(method)) return `the method is ${shown(method)}; it must be one of ${[...METHODS].join(", ")}`;
  if (typeof path !== "string") return `the path is ${shown(path)}; it must be a text such as /channels/1/messages`;
  const problem = pathProblem(path);
  if (problem !== undefined) return `the path ${problem}`;
  if (!URGENCIES.has(priority)) {
    return `the priority is ${shown(priority)}; it must be one of ${PRIORITIES.join(", ")}`;
  }
  if (deadlineMs !== undefined && !(typeof deadlineMs === "number" && deadlineMs >= 0)) {
    return `deadlineMs is ${shown(deadlineMs)}; it must be a number of milliseconds`;
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) return "the signal is no AbortSignal";
  return undefined;
}

/** A text may hold a webhook's token: only a single short word is shown. */
function shown(value: unknown): string {
  if (typeof value === "string" && /^\w{1,20}$/.test(value)) return `"${value}"`;
  return value === undefined || value === null ? String(value) : `of type ${typeof value}`;
}
