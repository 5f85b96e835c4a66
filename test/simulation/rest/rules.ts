// One run's rules: which requests are counted where, how strictly, and which of it the headers tell.

import type { Chance } from "../gateway/chance.ts";
import type { Rate } from "./counters.ts";

/** What a limit looks at; ids stand in the path. */
export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: string;
}

export interface Rule extends Rate {
  readonly name: string;
  /** What the headers call it: two rules of one hash may count apart, as Create and Edit Message do. */
  readonly hash: string;
  fits(asked: Asked): boolean;
}

/** A limit that no header tells of. `shared`: others use it up too, and its 429 counts against nobody. */
export interface HiddenRule extends Rate {
  readonly name: string;
  readonly shared: boolean;
  fits(asked: Asked): boolean;
}

/** The top-level resource, or a user's for what has none. */
export const resourceOf = (path: string): string =>
  /^\/(?:channels|guilds|webhooks)\/\d+(?:\/token\d?)?/.exec(path)?.[0] ?? "";

export function createRules(
  chance: Chance,
  answersGetLost: boolean,
): { readonly told: Rule[]; readonly hidden: HiddenRule[] } {
  const shape = (): Rate["shape"] => chance.pick(["leaky", "fixed"]);
  // When answers get lost, nobody can tell how full a bucket of one or two is.
  const least = answersGetLost ? 4 : 1;
  const rule = (name: string, hash: string, method: string, path: RegExp, limit: number, periodMs: number): Rule => ({
    name,
    hash,
    limit: Math.max(limit, least),
    periodMs,
    shape: shape(),
    fits: (asked) => (method === "" || asked.method === method) && path.test(asked.path),
  });
  const same = chance.happens(0.5);
  return {
    told: [
      rule("create", "create", "POST", /^\/channels\/\d+\/messages$/, 5, 5_000),
      rule("edit", same ? "create" : "edit", "PATCH", /\/messages\/\d+$/, 5, 5_000),
      rule("react", "react", "", /\/reactions\//, 1, 250),
      rule("roles", "roles", "PUT", /\/roles\//, 10, 10_000),
      rule("history", "history", "GET", /^\/channels\/\d+\/messages$/, chance.whole(1, 9), chance.whole(500, 6_000)),
      rule("webhook", "webhook", "POST", /^\/webhooks\//, 5, 2_000),
      rule("channel", "channel", "PATCH", /^\/channels\/\d+$/, 10, 15_000),
    ],
    hidden: [
      {
        name: "name",
        shared: false,
        limit: 2,
        periodMs: 600_000,
        shape: "fixed",
        fits: ({ method, path, body }) =>
          method === "PATCH" && /^\/channels\/\d+$/.test(path) && body.includes('"name"'),
      },
      {
        name: "webhooks of a channel",
        shared: true,
        limit: 30,
        periodMs: 60_000,
        shape: "fixed",
        fits: ({ method, path }) => method === "POST" && path.startsWith("/webhooks/"),
      },
    ],
  };
}
