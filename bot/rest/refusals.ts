// What Discord has refused with 403 or 404, remembered so that the same mistake is paid once, until an event says otherwise.

import type { Change } from "./change.ts";
import { RestError } from "./errors.ts";
import type { Message } from "./message.ts";
import type { Route } from "./route.ts";

/** Beyond this the oldest is forgotten, and costs a request again. */
const MOST_REMEMBERED = 10_000;
/** Where an event tells of a change: as long as one may be missed (an intent that is not asked for, a lost session). */
const TOLD_MS = 3_600_000;
/** Where none may (a user, an invite, a ban without its intent): short, for a lookup that finds nothing is no mistake. */
const UNTOLD_MS = 60_000;

/** The top-level resource itself does not exist, or its token is dead: Unknown Webhook, Unknown Interaction, invalid token. */
const DEAD = new Set([10015, 10062, 50027]);
/** Unknown Channel and Unknown Guild, and the top-level resources that they are about. */
const UNKNOWN: ReadonlyMap<number, string> = new Map([
  [10003, "channels/"],
  [10004, "guilds/"],
]);

/** A request as far as a refusal can depend on it. */
export interface Asked {
  readonly route: Route;
  readonly message: Message;
  /** The caller's own, before it became text. */
  readonly body: unknown;
  readonly authenticated: boolean;
}

interface Refusal {
  readonly key: string;
  readonly major: string;
  readonly path: string;
  readonly error: RestError;
  /** Monotonic ms. */
  readonly until: number;
}

/** All times are monotonic milliseconds. */
export class Refusals {
  /** Oldest first. */
  readonly #byKey = new Map<string, Refusal>();
  readonly #byMajor = new Map<string, Set<Refusal>>();
  /** Servers of channels that refuse something, learnt from events that name both. */
  readonly #guildOf = new Map<string, string>();

  get size(): number {
    return this.#byKey.size;
  }

  /** The error that this request would meet again, or undefined. */
  find(asked: Asked, now: number): RestError | undefined {
    if (this.#byKey.size === 0 || !this.#byMajor.has(asked.route.major)) return undefined;
    const keys = [wholeKey(asked), forbiddenKey(asked), missingKey(asked)];
    for (const key of keys) {
      const refusal = this.#byKey.get(key);
      if (refusal === undefined) continue;
      if (refusal.until <= now) this.#forget(refusal);
      else return repeated(asked.route, refusal.error);
    }
    return undefined;
  }

  /** A request failed; whether that is something new to remember. */
  note(asked: Asked, error: RestError, now: number): boolean {
    const { kind, status, code } = error;
    // The edge answers with 403 as well, and speaks of no resource.
    if (kind !== "forbidden" && kind !== "missing" && kind !== "clientError") return false;
    const dead = code !== undefined && DEAD.has(code);
    if (status !== 403 && status !== 404 && !(status === 401 && dead)) return false;
    const { major, path } = asked.route;
    const whole = dead || isUnknown(asked, status, code);
    const key = whole ? wholeKey(asked) : status === 403 ? forbiddenKey(asked) : missingKey(asked);
    if (this.#byKey.has(key)) return false;
    const lasts = major !== "" && (whole || status === 403) ? TOLD_MS : UNTOLD_MS;
    const refusal: Refusal = { key, major, path, error, until: now + lasts };
    this.#byKey.set(key, refusal);
    const group = this.#byMajor.get(major) ?? new Set();
    this.#byMajor.set(major, group.add(refusal));
    for (const oldest of this.#byKey.values()) {
      if (this.#byKey.size <= MOST_REMEMBERED && oldest.until > now) break;
      this.#forget(oldest);
    }
    return true;
  }

  /** A write went through: what did not exist beside it may exist now. */
  written(route: Route): void {
    for (const refusal of this.#byMajor.get(route.major) ?? []) {
      if (refusal.error.status === 404 && !refusal.key.startsWith("whole ")) this.#forget(refusal);
    }
  }

  /** An event that names a server and a channel of it. */
  learn(guild: string, channel: string): void {
    const major = `channels/${channel}`;
    if (this.#byMajor.has(major)) this.#guildOf.set(major, guild);
  }

  /** Forgets what no longer needs to hold. @param own the bot's own user id, when known */
  reopen(reopens: Change["reopens"], own: string | undefined): void {
    if (reopens === undefined) return;
    if (reopens.kind === "channel") {
      this.#forgetAll(`channels/${reopens.channel}`);
      return;
    }
    const { guild } = reopens;
    if (reopens.kind === "member" && own !== undefined && reopens.user !== own) {
      for (const refusal of this.#byMajor.get(`guilds/${guild}`) ?? []) {
        if (refusal.path.includes(`/${reopens.user}`)) this.#forget(refusal);
      }
      return;
    }
    // Roles, overwrites and parents decide together; which of them a refusal was about, its code does not say.
    this.#forgetAll(`guilds/${guild}`);
    for (const major of [...this.#byMajor.keys()]) {
      if (major.startsWith("channels/") && (this.#guildOf.get(major) ?? guild) === guild) this.#forgetAll(major);
    }
  }

  clear(): void {
    this.#byKey.clear();
    this.#byMajor.clear();
    this.#guildOf.clear();
  }

  #forgetAll(major: string): void {
    for (const refusal of this.#byMajor.get(major) ?? []) this.#forget(refusal);
  }

  #forget(refusal: Refusal): void {
    this.#byKey.delete(refusal.key);
    const group = this.#byMajor.get(refusal.major);
    group?.delete(refusal);
    if (group?.size !== 0) return;
    this.#byMajor.delete(refusal.major);
    this.#guildOf.delete(refusal.major);
  }
}

/** Whether a 404 is about the top-level resource itself: by its code, unless the body names others it may be about. */
function isUnknown({ route, message }: Asked, status: number, code: number | undefined): boolean {
  if (status !== 404) return false;
  // A webhook by its token, and nothing below it: whatever the code, it is gone.
  if (route.exempt && /^\/webhooks\/[^/?]+\/[^/?]+(?:\?(?!.*thread_id=).*)?$/.test(message.path)) return true;
  const about = code === undefined ? undefined : UNKNOWN.get(code);
  const named = typeof message.body === "string" ? /\d{15,20}/.test(message.body) : message.body !== null;
  return about !== undefined && route.major.startsWith(about) && !named;
}

const wholeKey = ({ route }: Asked): string => `whole ${route.major}`;

/** Without the query: what is forbidden is so for each page. With the fields: a role may be, and a nickname not. */
function forbiddenKey(asked: Asked): string {
  const { body, authenticated, message } = asked;
  const fields = typeof body === "object" && body !== null ? Object.keys(body).sort().join(",") : "";
  return `403 ${authenticated ? "" : "open "}${message.method} ${place(asked.route)} ${fields}`;
}

function missingKey(asked: Asked): string {
  const query = asked.message.path.indexOf("?");
  return `404 ${forbiddenKey(asked)}${query < 0 ? "" : asked.message.path.slice(query)}`;
}

/** The path, with the fingerprint of a token in its place. */
function place(route: Route): string {
  return route.exempt ? `${route.major}/${route.path.split("/").slice(4).join("/")}` : route.path;
}

function repeated(route: Route, error: RestError): RestError {
  const problem = `${error.message.slice(error.message.indexOf(": ") + 2)}; known from before, nothing was sent`;
  const { status, code, errors } = error;
  return new RestError(error.kind, problem, { route: route.name, status, code, errors });
}
