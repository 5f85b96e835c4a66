// From method and path to what Discord limits by: the route's template, its top-level resource, its exemptions.

import { createHash } from "node:crypto";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Where one request belongs. No field holds an interaction or webhook token in clear. */
export interface Route {
  /** For people and errors: `PATCH /channels/{channel.id}/messages/{message.id}`. */
  readonly name: string;
  /** What a bucket hash is learnt for: method and template, or several routes known to share one bucket. */
  readonly key: string;
  /** The top-level resource's value ("" without one): channel, guild, webhook, webhook with token (topics/rate-limits). */
  readonly major: string;
  /** What hidden sub-limits delay together, inside this bucket; a request waits while one of its kinds is held. */
  readonly kinds: readonly string[];
  /** Requests that change the same resource keep their order by this key; undefined for reads, which need none. */
  readonly order: string | undefined;
  /** Interaction and webhook-token routes do not count towards the bot's global limit (topics/rate-limits). */
  readonly exempt: boolean;
  /** The path's own token is the credential; no Authorization header is needed. */
  readonly credentialInPath: boolean;
  /** Answers an interaction, whose token dies after 3 s (interactions/receiving-and-responding). */
  readonly callback: boolean;
  /** `POST /channels/{channel.id}/messages`, the one route with `enforce_nonce` (resources/message#create-message). */
  readonly createMessage: boolean;
  /** The path as it goes on the wire, percent-encoded. */
  readonly path: string;
}

const DISCORD_EPOCH_MS = 1_420_070_400_000n;
const SNOWFLAKE = /^\d{15,20}$/;

/** Milliseconds since 1970 at which a snowflake was made (reference#snowflakes). */
export function snowflakeTime(snowflake: string): number {
  return Number((BigInt(snowflake) >> 22n) + DISCORD_EPOCH_MS);
}

// Observed classes of Delete Message, each with a bucket of its own: younger than 10 s, older than 14 days, between.
const YOUNG_MS = 10_000;
const OLD_MS = 14 * 24 * 3_600_000;

function ageClass(messageId: string, wallNow: number): string {
  if (!SNOWFLAKE.test(messageId)) return "";
  const age = wallNow - snowflakeTime(messageId);
  return age < YOUNG_MS ? " (young)" : age > OLD_MS ? " (old)" : "";
}

/** A stand-in for a token in keys: equal for equal tokens, and of no use to a reader. */
function fingerprint(token: string): string {
  return createHash("sha256").update(token).digest("base64url").slice(0, 16);
}

// What the placeholder after a collection is called in Discord's documentation, where it is not the plain singular.
const PLACEHOLDERS: ReadonlyMap<string, string> = new Map([
  ["reactions", "emoji"],
  ["invites", "code"],
  ["templates", "code"],
  ["permissions", "overwrite.id"],
  ["entities", "entity.id"],
  ["thread-members", "user.id"],
  ["recipients", "user.id"],
  ["members", "user.id"],
  ["bans", "user.id"],
]);
/** Collections whose members are named by something else than a snowflake. */
const CODES = new Set(["reactions", "invites", "templates"]);

const TOP_LEVEL = new Set(["channels", "guilds", "webhooks"]);

// RFC 3986: what may stand in a path segment unescaped; an escape that is already there stays.
const PLAIN_PATH = /^[\w\-.~@:!$&'()*+,;=/]*$/;

function encodeSegment(segment: string): string {
  return segment.replace(/%[0-9A-Fa-f]{2}|[^\w\-.~@:!$&'()*+,;=]+/g, (part) =>
    /^%[0-9A-Fa-f]{2}$/.test(part) ? part : encodeURIComponent(part),
  );
}

function bodyHas(body: unknown, field: string): boolean {
  return typeof body === "object" && body !== null && field in body;
}

/** Whether a path can be sent at all; returns what is wrong and how to mend it. */
export function pathProblem(path: string): string | undefined {
  if (/^(?:\/[^/?#]+)+$/.test(path) && !path.includes("/.")) return undefined;
  if (!path.startsWith("/")) return "must start with /, without the API's base";
  if (/[?#]/.test(path)) return "has ? or #; put the query into `query`, and encode these in a segment";
  if (/\/(\/|$)/.test(path)) return "has an empty segment: an id is missing";
  return /\/\.{1,2}(\/|$)/.test(path) ? "has . or .. as a segment" : undefined;
}

/** What stands in the template for a segment after `previous`: its placeholder when it names a thing, or itself. */
function placeholder(previous: string, segment: string): string {
  if (SNOWFLAKE.test(segment)) return `{${PLACEHOLDERS.get(previous) ?? `${previous.replace(/s$/, "")}.id`}}`;
  const named = CODES.has(previous) && segment !== "@me";
  return named ? `{${PLACEHOLDERS.get(previous)}}` : segment;
}

/** Routes read before, of each method: most bots ask the same few paths again and again. Those with a token are not kept. */
const MOST_KEPT = 500;

/** Reads routes, and keeps those that depend on nothing but method and path. */
export class Routes {
  // By path alone, which has its hash already, where a text made of method and path would need one for each call.
  readonly #kept = { GET: new Map<string, Route>(), POST: new Map<string, Route>(), PUT: new Map<string, Route>() };

  /** As `routeOf`. */
  read(method: Method, path: string, body: unknown, wallNow: () => number): Route {
    // A deleted message's age, and which fields of a channel change, make another route of the same path.
    if (method === "DELETE" || method === "PATCH") return routeOf(method, path, body, wallNow());
    const kept = this.#kept[method];
    const known = kept.get(path);
    if (known !== undefined) return known;
    const route = routeOf(method, path, body, wallNow());
    if (route.exempt) return route;
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(path, route);
    return route;
  }
}

/**
 * Reads a route.
 * @param path below the API's base, starting with "/", without a query; emoji may come unencoded.
 * @param body tells sub-limited requests apart (a channel's name or topic from its other fields).
 * @param wallNow milliseconds since 1970: Delete Message is limited by the message's age.
 */
export function routeOf(method: Method, path: string, body: unknown, wallNow: number): Route {
  const given = path.slice(1).split("/");
  const segments = PLAIN_PATH.test(path) ? given : given.map(encodeSegment);
  const [first = "", second = "", third = ""] = segments;

  const callback = first === "interactions" && segments[3] === "callback";
  const tokenAt = callback || (first === "webhooks" && SNOWFLAKE.test(second) && third !== "") ? 2 : -1;

  let plain = "";
  let previous = "";
  for (const [index, segment] of segments.entries()) {
    plain += `/${index === tokenAt ? (callback ? "{interaction.token}" : "{webhook.token}") : placeholder(previous, segment)}`;
    previous = segment;
  }
  const name = `${method} ${plain}`;

  // The path as keys hold it: a fingerprint in the token's place.
  const token = tokenAt === 2 ? fingerprint(third) : "";
  const resource = (): string =>
    tokenAt === 2 ? `/${[first, second, token, ...segments.slice(3)].join("/")}` : `/${segments.join("/")}`;

  const hasMajor = TOP_LEVEL.has(first) && SNOWFLAKE.test(second);
  const major = callback
    ? `interactions/${second}`
    : hasMajor
      ? // Lanes keep it; what a template makes of two texts holds on to more than their characters.
        (tokenAt === 2 ? [first, second, token] : [first, second]).join("/")
      : "";

  const reaction = first === "channels" && third === "messages" && segments[4] === "reactions";
  const written = method !== "GET";
  let key = name;
  let order = written ? resource() : undefined;
  if (reaction && written) {
    // One bucket per channel for adding and removing, whichever the emoji (observed across all reaction routes);
    // the order in which a message's reactions appear is the order in which they are sent.
    key = "WRITE /channels/{channel.id}/messages/{message.id}/reactions";
    order = `/${segments.slice(0, 5).join("/")}`;
  } else if (method === "DELETE" && plain === "/channels/{channel.id}/messages/{message.id}") {
    key = name + ageClass(segments[3] ?? "", wallNow);
  }

  let kinds: readonly string[] = [key];
  if (method === "PATCH" && plain === "/channels/{channel.id}") {
    // Observed: a channel's name and topic each change twice in 10 min, far below what the bucket's headers say.
    const limited = ["name", "topic"].filter((field) => bodyHas(body, field));
    if (limited.length > 0) kinds = limited.map((field) => `${key} ${field}`);
    order = `${order} ${limited.join(" ")}`;
  }

  return {
    name,
    key,
    major,
    kinds,
    order,
    exempt: tokenAt === 2,
    credentialInPath: tokenAt === 2,
    callback,
    createMessage: name === "POST /channels/{channel.id}/messages",
    path: `/${segments.join("/")}`,
  };
}
