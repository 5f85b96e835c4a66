// Drills on the REST API: its rate limits, a token that it refuses, the budget of invalid requests, its outages.

import path from "node:path";
import { type Drill, identifies, MINUTE_MS } from "../drill.ts";
import type { World } from "../world.ts";

const MODULES = path.resolve(import.meta.dirname, "../modules");
// The simulated Discord spells a route with channel_id, the log as Discord's documentation does.
const REPLIES = "POST /channels/{channel_id}/messages";
const LOGGED_REPLIES = "POST /channels/{channel.id}/messages";

const limitReplies =
  (scope: "user" | "global") =>
  ({ discord }: World): void =>
    discord.faults.rest.limitNext(REPLIES, Number.POSITIVE_INFINITY, { scope, retryAfterSeconds: 1 });

const clear = ({ discord }: World): void => discord.faults.rest.clear();

const answered = ({ discord }: World): readonly string[] =>
  discord.counts.rest.messagesCreated > 0 ? [] : ["nobody was answered"];

/** A person has put a working token in; with it a new task starts. */
const renewToken = async (world: World): Promise<void> => {
  clear(world);
  world.discord.faults.gateway.forgive();
  await world.replaceBot();
};

// Discord bans an address at 10,000 invalid requests in 10 min (topics/rate-limits#invalid-request-limit); the bot
// promises to stop at half of that.
const INVALID_STOP = 5_000;

export const REST_DRILLS: readonly Drill[] = [
  {
    name: "API 429 spike",
    fault: "one route answers 429 again and again, though its bucket has room",
    alarm: "RateLimited",
    names: [{ event: "rest.limited", fields: { kind: "sublimit", route: LOGGED_REPLIES } }],
    always: true,
    quietMs: 2 * MINUTE_MS,
    inflict: limitReplies("user"),
    lift: clear,
    verify: identifies(1),
  },
  {
    name: "global 429",
    fault: "the API says that the bot's limit over all routes is passed",
    alarm: "RateLimitedGlobal",
    names: [{ event: "rest.limited", fields: { kind: "global", route: LOGGED_REPLIES } }],
    quietMs: 2 * MINUTE_MS,
    inflict: limitReplies("global"),
    lift: clear,
    verify: identifies(1),
  },
  {
    name: "shared 429",
    fault: "others have used a resource up; its 429s are no fault of the bot's",
    names: [{ event: "rest.limited", fields: { kind: "shared", route: LOGGED_REPLIES } }],
    quietMs: MINUTE_MS,
    // Four in 10 s, so that no reply meets more than it can bear.
    inflict: ({ discord, repeat }) =>
      repeat(10_000, () => discord.faults.rest.limitNext(REPLIES, 4, { scope: "shared", retryAfterSeconds: 1 })),
    lastsMs: 6 * MINUTE_MS,
    lift(world) {
      world.endRepeat();
      clear(world);
    },
    verify: (world) => {
      const { shared } = world.discord.counts.rest.limited;
      // More than ten a minute for minutes: as 429s of the bot's own they would have paged.
      return [...identifies(1)(world), ...(shared > 60 ? [] : [`only ${shared} shared 429s came; the drill is void`])];
    },
  },
  {
    name: "5xx storm",
    // Errors in four minutes of five would page; two minutes, and the retries after them, reach into three at most.
    fault: "for two minutes every reply ends in a 502",
    quietMs: MINUTE_MS,
    inflict: ({ discord }) =>
      discord.faults.rest.serverErrors(REPLIES, { durationMs: 2 * MINUTE_MS, status: 502, html: true }),
    lastsMs: 5 * MINUTE_MS,
    lift: clear,
    verify(world) {
      const { serverErrors } = world.discord.counts.rest;
      const enough = serverErrors > 20 ? [] : [`only ${serverErrors} 502s came; the drill is void`];
      return [...identifies(1)(world), ...answered(world), ...enough];
    },
  },
  {
    name: "401 while running",
    fault: "the API refuses the token with 401, and does so a minute later too",
    alarm: "Fatal",
    names: [
      { event: "rest.unauthorized", fields: { route: LOGGED_REPLIES } },
      { event: "fatal", fields: { code: "401", fix: /DISCORD_TOKEN/ } },
    ],
    quietMs: 2 * MINUTE_MS,
    inflict: ({ discord }) =>
      discord.faults.rest.serverErrors("any", { durationMs: 60 * MINUTE_MS, status: 401, html: false }),
    lift: renewToken,
    verify: identifies(2),
  },
  {
    name: "token reset",
    fault: "somebody resets the token in the developer portal: 4004 and 401",
    alarm: "Fatal",
    names: [{ event: "fatal", fields: { code: "4004", fix: /token/i } }],
    quietMs: 2 * MINUTE_MS,
    inflict: ({ discord }) => discord.faults.gateway.revokeToken(),
    lift: renewToken,
    verify: identifies(2),
  },
  {
    name: "invalid requests burn",
    fault: "the bot loses its access and its module asks on and on: 403 upon 403",
    alarm: "InvalidRequests",
    also: ["InvalidRequestsRising"],
    quietMs: MINUTE_MS,
    // What was refused counts for ten minutes.
    clearsMs: 18 * MINUTE_MS,
    exceptions: () => [
      {
        name: "BOT_MODULE",
        value: path.join(MODULES, "burning.ts"),
        why: "the bundled bot asks for nothing that could be refused a thousand times",
      },
    ],
    inflict(world) {
      for (const channel of world.discord.world.channels.values()) channel.denied = 50001;
      world.usersAsk("the history, please");
    },
    lift(world) {
      for (const channel of world.discord.world.channels.values()) channel.denied = undefined;
      world.usersAsk("how are you");
    },
    verify(world) {
      const { invalid } = world.discord.counts.rest;
      return [
        ...identifies(1)(world),
        ...(invalid <= INVALID_STOP ? [] : [`${invalid} requests were refused; the bot must stop at ${INVALID_STOP}`]),
      ];
    },
    tell: ({ discord }) => `stopped itself after ${discord.counts.rest.invalid} refused requests; 10,000 are a ban`,
  },
];
