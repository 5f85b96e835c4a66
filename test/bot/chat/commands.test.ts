// The commands: by mention and by slash, each for those alone who may use it, and what they change.

import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { SLASH_COMMANDS } from "../../../bot/chat/rights.ts";
import { ROUTES } from "../../../bot/chat/routes.ts";
import { statusText } from "../../../bot/chat/statusText.ts";
import { APPLICATION } from "../../../shared/application.ts";
import { ASKER_ID, BOT_ID, CHANNEL_ID, chatBench, GUILD_ID, OWNER_ID, type Run, until } from "./chatBench.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const OPERATOR = "1500000000000000005";
const MODERATORS = "1700000000000000001";

async function given(environment: Readonly<Record<string, string>> = {}) {
  const bench = chatBench();
  const start = async (): Promise<Run> => {
    const run = await bench.run({ OPERATOR_USER_IDS: OPERATOR, ...environment });
    ends.push(() => run.end());
    return run;
  };
  return { ...bench, start };
}

const owner = { id: OWNER_ID };
const said = (run: Run): string[] => run.replies().map(({ content }) => content);

describe("$stop and $start", () => {
  it("silence a server and only that one, over a restart, until told otherwise", async () => {
    const bench = await given();
    const run = await bench.start();
    await run.write({ content: "$stop", author: owner }).done;
    await run.write("hello?").done;
    await run.write({ content: "hello?", guild_id: "1200000000000000001" }).done;
    expect(said(run)).toEqual([expect.stringContaining("silent"), expect.stringContaining("hello?")]);
    run.end();
    const next = await bench.start();
    await next.write("hello?").done;
    expect(said(next)).toEqual([]);
    await next.write({ content: "$start", author: owner }).done;
    await next.write("hello?").done;
    expect(said(next)).toEqual(["I am listening again.", expect.stringContaining("hello?")]);
  });

  it("hold for a server that another task has had meanwhile, and as last known while the ledger is out of reach", async () => {
    const bench = await given();
    const [here, there] = [await bench.start(), await bench.start()];
    await here.write("one").done;
    await there.write({ content: "$stop", author: owner }).done;
    await here.write("two").done;
    expect(said(here)).toEqual([expect.stringContaining("one")]);
    const { read } = bench.values;
    Object.assign(bench.values, { read: () => Promise.reject(new Error("out of reach")) });
    await here.write("three").done;
    expect(said(here)).toHaveLength(1);
    Object.assign(bench.values, { read });
  });

  it.each<[string, object, object, object, boolean]>([
    ["a stranger", {}, {}, {}, false],
    ["the owner", { author: owner }, {}, {}, true],
    ["an operator", { author: { id: OPERATOR } }, {}, {}, true],
    ["a role with Manage Messages", { member: { roles: ["1"] } }, {}, {}, true],
    [
      "that role, denied in the channel",
      { member: { roles: ["1"] } },
      { permission_overwrites: [{ id: "1", type: 0, allow: "0", deny: "8192" }] },
      {},
      false,
    ],
    [
      "that role, timed out",
      { member: { roles: ["1"], communication_disabled_until: "2026-03-16T00:00:00Z" } },
      {},
      {},
      false,
    ],
    ["a set role", { member: { roles: [MODERATORS] } }, {}, { CHAT_MODERATOR_ROLES: MODERATORS }, true],
    ["the owner where roles are set", { author: owner }, {}, { CHAT_MODERATOR_ROLES: MODERATORS }, false],
  ])("are for moderators: %s", async (_what, message, channel, environment, allowed) => {
    const bench = await given({ ...environment });
    bench.answers.set(`GET /guilds/${GUILD_ID}`, {
      owner_id: OWNER_ID,
      roles: [
        { id: GUILD_ID, permissions: "68608" },
        { id: "1", permissions: "8192" },
      ],
    });
    bench.answers.set(`GET /channels/${CHANNEL_ID}`, { type: 0, permission_overwrites: [], ...channel });
    const run = await bench.start();
    await run.write({ content: "$stop", ...message }).done;
    expect(said(run)).toEqual([expect.stringContaining(allowed ? "silent" : "moderators")]);
    expect(run.telemetry.named("chat.command")).toMatchObject([
      { command: "stop", guild: GUILD_ID, outcome: allowed ? "done" : "refused" },
    ]);
  });

  it("look at a thread's parent for permissions", async () => {
    const bench = await given();
    const thread = "1300000000000000007";
    bench.answers.set(`GET /channels/${thread}`, { type: 11, parent_id: CHANNEL_ID });
    bench.answers.set(`GET /channels/${CHANNEL_ID}`, {
      type: 0,
      permission_overwrites: [{ id: ASKER_ID, type: 1, allow: "8192", deny: "0" }],
    });
    const run = await bench.start();
    await run.write({ content: "$stop", channel_id: thread }).done;
    expect(said(run)).toEqual([expect.stringContaining("silent")]);
  });

  it("tell a stranger once, and log each try", async () => {
    const bench = await given();
    const run = await bench.start();
    for (let count = 0; count < 3; count++) await run.write("$stop").done;
    expect(said(run)).toEqual(["Sorry, that is for this server's moderators."]);
    expect(run.telemetry.named("chat.command").map(({ outcome }) => outcome)).toEqual([
      "refused",
      "refused",
      "refused",
    ]);
    await bench.clock.advance(3_600_000);
    await run.write("$stop").done;
    expect(said(run)).toHaveLength(2);
  });

  it("say so when they fail", async () => {
    const bench = await given();
    const run = await bench.start();
    run.refuse(({ path }) => path.startsWith("/guilds/"), new Error("Discord is away"));
    await run.write("$stop").done;
    expect(said(run)).toEqual([expect.stringContaining("did not work")]);
    expect(run.telemetry.named("chat.command")).toMatchObject([{ outcome: "failed" }]);
  });
});

describe("$status", () => {
  it("tells uptime, shards, latency, 429s and the model's budget", async () => {
    const bench = await given({
      UPSTREAM_KEYS: "hf_the_first_key,hf_the_second_key",
      UPSTREAM_URL: "http://127.0.0.1:9",
    });
    const run = await bench.start();
    await bench.clock.advance(3_700_000);
    await run.write({ content: "$status", author: owner }).done;
    expect(said(run)).toEqual([
      [
        "Up for 1 h 1 min; 1 of 1 shards ready, latency 42 ms.",
        "Rate limits met (429): 1. Questions answered: 2, waiting: 0.",
        "Model: reachable; 2 of 2 keys usable.",
        "Key 1: 0 this hour, 0 this month.",
        "Key 2: 0 this hour, 0 this month.",
      ].join("\n"),
    ]);
  });

  it("says something even where nothing is known", () => {
    expect(statusText({ state: undefined, upMs: 90 * 3_600_000, upstream: undefined, waiting: 3 })).toBe(
      "Up for 3 d 18 h; 0 of 0 shards ready, latency not measured yet.\n" +
        "Rate limits met (429): 0. Questions answered: 0, waiting: 3.\n" +
        "No model is set up; a built-in responder answers.",
    );
  });
});

describe("$reboot", () => {
  it("is for operators, at most once in ten minutes, also over the restart", async () => {
    const bench = await given();
    const run = await bench.start();
    await run.write({ content: "$reboot", author: owner }).done;
    expect([said(run), run.restarts()]).toEqual([["Sorry, that is for whoever runs me."], 0]);
    await run.write({ content: "$reboot", author: { id: OPERATOR } }).done;
    expect(run.restarts()).toBe(1);
    run.end();
    const next = await bench.start();
    await next.write({ content: "$reboot", author: { id: OPERATOR } }).done;
    expect([said(next), next.restarts()]).toEqual([[expect.stringContaining("ten minutes")], 0]);
    await bench.clock.advance(600_000);
    await next.write({ content: "$reboot", author: { id: OPERATOR } }).done;
    expect(next.restarts()).toBe(1);
  });
});

describe("slash commands", () => {
  const interaction = (name: string, member: object = {}) => ({
    id: "1800000000000000000",
    token: "interaction-token",
    application_id: BOT_ID,
    type: 2,
    guild_id: GUILD_ID,
    channel_id: CHANNEL_ID,
    data: { id: "1", name, type: 1 },
    member: { user: { id: ASKER_ID }, roles: [], permissions: "0", ...member },
  });
  const callbacks = (run: Run): unknown[] =>
    run.calls.filter(({ path }) => path.endsWith("/callback")).map(({ body }) => body);

  it("are made known once, gated by Discord's own permissions", async () => {
    const bench = await given();
    const run = await bench.start();
    const registered = (each: Run) => each.calls.filter(({ method }) => method === "PUT");
    await run.event("READY", { application: { id: "1100000000000000001" } });
    await run.event("READY", { application: { id: "1100000000000000001" } });
    await until(() => registered(run).length > 0);
    expect(registered(run)).toMatchObject([
      { path: "/applications/1100000000000000001/commands", body: SLASH_COMMANDS },
    ]);
    expect(SLASH_COMMANDS.map((command) => [command.name, command.default_member_permissions])).toEqual([
      ["stop", "8192"],
      ["start", "8192"],
      ["status", "8192"],
      ["reboot", "0"],
    ]);
    await bench.clock.advance(0);
    const next = await bench.start();
    await next.event("RESUMED", {});
    await bench.clock.advance(0);
    expect(registered(next)).toEqual([]);
  });

  it("are made known after a resume, too, if they were not", async () => {
    const bench = await given();
    const run = await bench.start();
    await run.event("RESUMED", {});
    await until(() => run.calls.some(({ method }) => method === "PUT"));
    expect(run.calls.map(({ path }) => path)).toEqual(["/applications/@me", `/applications/${BOT_ID}/commands`]);
  });

  it("are answered at once, to whoever used them alone, by Discord's own permissions", async () => {
    const bench = await given();
    const run = await bench.start();
    await run.event("INTERACTION_CREATE", interaction("stop", { permissions: "8192" }));
    await run.event("INTERACTION_CREATE", interaction("stop"));
    await run.event("INTERACTION_CREATE", interaction("stop"));
    await run.event("INTERACTION_CREATE", interaction("reboot", { permissions: "8192" }));
    const refused = { type: 4, data: { flags: 64, content: "Sorry, that is for this server's moderators." } };
    expect(callbacks(run)).toMatchObject([
      { type: 4, data: { flags: 64, content: expect.stringContaining("silent"), allowed_mentions: { parse: [] } } },
      refused,
      refused,
      { type: 4, data: { content: "Sorry, that is for whoever runs me." } },
    ]);
    expect(run.calls.some(({ path }) => path.startsWith("/guilds"))).toBe(false);
  });

  it("are deferred when the ledger is slow, and answered then", async () => {
    const bench = await given();
    const { claim } = bench.values;
    Object.assign(bench.values, {
      claim: async (...given: Parameters<typeof claim>) => {
        await bench.clock.sleep(2_000);
        return claim(...given);
      },
    });
    const run = await bench.start();
    const done = run.event("INTERACTION_CREATE", interaction("reboot", { user: { id: OPERATOR } }));
    await bench.clock.advance(1_500);
    expect(callbacks(run)).toEqual([{ type: 5, data: { flags: 64 } }]);
    await bench.clock.advance(500);
    await done;
    expect(run.calls.at(-1)).toMatchObject({
      method: "PATCH",
      path: `/webhooks/${BOT_ID}/interaction-token/messages/@original`,
      body: { content: expect.stringContaining("starting anew") },
    });
    expect(run.restarts()).toBe(1);
  });

  it.each([
    ["another's command", interaction("ask")],
    ["$ignore", interaction("ignore")],
    ["a button", { ...interaction("stop"), type: 3 }],
    ["a direct message", { ...interaction("stop"), guild_id: undefined, member: undefined }],
  ])("leave %s alone", async (_what, given_) => {
    const bench = await given();
    const run = await bench.start();
    await run.event("INTERACTION_CREATE", given_);
    expect(run.calls).toEqual([]);
  });

  it("wait for no message", async () => {
    const { default: chatBot } = await import("../../../bot/chat/index.ts");
    expect(chatBot.key?.("INTERACTION_CREATE", { id: "1", channel_id: "2" })).toBe("interaction 1");
    expect(chatBot.key?.("MESSAGE_CREATE", { id: "1", channel_id: "2" })).toBeUndefined();
  });
});

describe("least privilege", () => {
  const root = path.resolve(import.meta.dirname, "../../..");
  const sources = globSync("bot/chat/**/*.ts", { cwd: root }).map((file) => ({
    file,
    text: readFileSync(path.join(root, file), "utf8"),
  }));

  it("asks for the permissions of the routes it calls, and no others", () => {
    const needed = new Set<string>(Object.values(ROUTES).flat());
    expect([...needed].sort()).toEqual([...APPLICATION.permissions].sort());
  });

  it("calls no route but those whose permissions are stated", () => {
    expect(sources.length).toBeGreaterThan(10);
    for (const { file, text } of sources) {
      if (file.endsWith("routes.ts")) continue;
      expect(text, file).not.toMatch(/path:\s*[`"']\/|bot\.(send|reply)\(/);
    }
    const routes = sources.find(({ file }) => file.endsWith("routes.ts"))?.text ?? "";
    expect(routes.match(/path: `/g)).toHaveLength(Object.keys(ROUTES).length - 1);
    for (const name of Object.keys(ROUTES)) expect(routes).toMatch(new RegExp(`(function|const) ${name}Call\\b`));
  });
});
