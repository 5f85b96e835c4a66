// What a REST route is, how a path finds its route, and the two kinds of answer that handlers give.

import type { Clock } from "../../../bot/clock.ts";
import type { Journal } from "../journal.ts";
import type { SessionStartLimit } from "../rules/identifyGate.ts";
import type { Timers } from "../timers.ts";
import type { World } from "../world.ts";
import type { Body } from "./body.ts";

/** What handlers may know and do. */
export interface Surroundings {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly journal: Journal;
  readonly world: World;
  readonly token: { value: string; valid: boolean };
  readonly shards: number;
  gatewayUrl(): string;
  sessionStartLimit(): SessionStartLimit;
  dispatch(type: string, data: Record<string, unknown>): void;
  privilegedIntents(): number;
}

export interface Call {
  readonly method: string;
  readonly query: URLSearchParams;
  /** Path parameters by their names in the template. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly body: Body;
  readonly around: Surroundings;
}

export interface Answer {
  readonly status: number;
  /** Sent as JSON; absent for an empty body. */
  readonly json?: unknown;
}

/** A limit by route and top-level resource, with the headers that tell of it. */
export interface Limit {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  /** Routes can tell the same hash and still count apart; the name if absent. */
  readonly hashName?: string;
}

/** A limit that no header tells of. */
export interface HiddenLimit {
  /** Unique with the resource it counts for. */
  readonly key: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly scope: "user" | "shared";
}

export interface Route {
  readonly method: string;
  readonly template: string;
  /** "path": the credential is in the path, and the global limit does not count it (interactions/receiving-and-responding#endpoints). */
  readonly credential: "bot" | "none" | "path";
  readonly limit?: (call: Call) => Limit;
  readonly hidden?: (call: Call) => HiddenLimit[];
  readonly handle: (call: Call) => Answer;
}

export interface Match {
  readonly route: Route;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Finds routes by path; built once. */
export class Router {
  readonly #routes: readonly { route: Route; segments: readonly string[] }[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, segments: route.template.split("/") }));
  }

  /** `path` without the API's base. "method" if the path exists with other methods only. */
  match(method: string, path: string): Match | "method" | undefined {
    const parts = path.split("/");
    let otherMethod = false;
    for (const { route, segments } of this.#routes) {
      if (segments.length !== parts.length) continue;
      const parameters = bind(segments, parts);
      if (parameters === undefined) continue;
      if (route.method === method) return { route, parameters };
      otherMethod = true;
    }
    return otherMethod ? "method" : undefined;
  }
}

function bind(segments: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? "";
    if (segment.startsWith("{") && part !== "") parameters[segment.slice(1, -1)] = decoded(part);
    else if (segment !== part) return undefined;
  }
  return parameters;
}

/** The value of the first top-level resource in the path (topics/rate-limits). */
export function topLevel(parameters: Readonly<Record<string, string>>): string {
  const { channel_id, guild_id, webhook_id, webhook_token } = parameters;
  return channel_id ?? guild_id ?? (webhook_id === undefined ? "" : `${webhook_id}/${webhook_token ?? ""}`);
}

export const ok = (json: unknown): Answer => ({ status: 200, json });
export const empty: Answer = { status: 204 };
export const fail = (status: number, code: number, message: string): Answer => ({ status, json: { message, code } });

/** A field of the body is wrong (reference#error-messages). */
export function invalidForm(field: string, code: string, message: string): Answer {
  const errors = { [field]: { _errors: [{ code, message }] } };
  return { status: 400, json: { message: "Invalid Form Body", code: 50035, errors } };
}

export function parameter(call: Call, name: string): string {
  return call.parameters[name] ?? "";
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
