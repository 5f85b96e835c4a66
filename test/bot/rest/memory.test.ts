// What the client remembers between requests: refusals that cost one request, answers kept for a while, events that end both.

import { describe, expect, it } from "vitest";
import { type Change, changeOf } from "../../../bot/rest/change.ts";
import { RestError } from "../../../bot/rest/client.ts";
import { GetCache } from "../../../bot/rest/getCache.ts";
import { Refusals } from "../../../bot/rest/refusals.ts";
import { routeOf } from "../../../bot/rest/route.ts";
import { given, ok } from "./given.ts";
import { type FakeDiscord, id, type Reply, type Setting } from "./harness.ts";

const refused = (status: number, code: number | undefined): Reply => ({
  status,
  headers: { via: "1.1 google" },
  body: { message: "no", ...(code === undefined ? {} : { code }) },
});
const GUILD = id(500);
const BOT = id(600);
const messages = `/channels/${id(1)}/messages`;
const ask = async (made: Setting, method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown) =>
  made.client.request({ method, path, body }).then(
    () => "done",
    (error: unknown) => (error instanceof RestError ? `${error.kind} ${error.status} ${error.code}` : String(error)),
  );

describe("a refusal", () => {
  it.each([
    [403, 50013, "forbidden"],
    [403, 50001, "forbidden"],
    [404, 10003, "missing"],
    [404, undefined, "missing"],
  ])(
    "%i (code %s) costs one request, however often it is asked for, queued calls included",
    async (status, code, kind) => {
      const made = await given(() => refused(status, code));
      const first = await Promise.all(Array.from({ length: 20 }, () => ask(made, "POST", messages, { content: "x" })));
      const later = await ask(made, "POST", messages, { content: "y" });
      expect(new Set([...first, later])).toEqual(new Set([`${kind} ${status} ${code}`]));
      expect(made.discord.arrivals).toHaveLength(1);
      expect(made.telemetry.levels.get("InvalidRequests")).toBe(status === 403 ? 1 : 0);
      expect(made.client.status().refusals).toBe(1);
    },
  );

  type Case = readonly [string, number, number, string, string, boolean];
  it.each([
    ["403 leaves other routes of the channel alone", 403, 50013, messages, `${messages}/pins`, false],
    ["Unknown Channel is about the whole channel", 404, 10003, messages, `/channels/${id(1)}`, true],
    ["Unknown Message is about that message", 404, 10008, `${messages}/${id(7)}`, `${messages}/${id(8)}`, false],
    ["Unknown Guild is about the whole server", 404, 10004, `/guilds/${GUILD}`, `/guilds/${GUILD}/roles`, true],
    [
      "Unknown Ban is about that ban",
      404,
      10026,
      `/guilds/${GUILD}/bans/${id(8)}`,
      `/guilds/${GUILD}/bans/${id(9)}`,
      false,
    ],
    [
      "Unknown Webhook is about all of it",
      404,
      10015,
      `/webhooks/${id(1)}/t`,
      `/webhooks/${id(1)}/t/messages/${id(3)}`,
      true,
    ],
    [
      "a dead interaction token is, too",
      401,
      50027,
      `/webhooks/${id(1)}/t`,
      `/webhooks/${id(1)}/t/messages/${id(3)}`,
      true,
    ],
    ["another token of that webhook may live", 404, 10015, `/webhooks/${id(1)}/t`, `/webhooks/${id(1)}/u`, false],
  ] satisfies Case[])("%s", async (_, status, code, path, other, whole) => {
    const made = await given(() => refused(status, code));
    await ask(made, "GET", path);
    await ask(made, "GET", other);
    expect(made.discord.arrivals).toHaveLength(whole ? 1 : 2);
  });

  it("of a forbidden page holds for each page, and of one field not for another", async () => {
    const made = await given(() => refused(403, 50013));
    const member = `/guilds/${GUILD}/members/${id(8)}`;
    await made.client.request({ method: "GET", path: messages, query: { before: id(1) } }).catch(() => {});
    await made.client.request({ method: "GET", path: messages, query: { before: id(2) } }).catch(() => {});
    expect(made.discord.arrivals).toHaveLength(1);
    await ask(made, "PATCH", member, { nick: "x" });
    await ask(made, "PATCH", member, { mute: true });
    await ask(made, "PATCH", member, { nick: "y" });
    expect(made.discord.arrivals).toHaveLength(3);
  });

  it("of an unknown interaction holds for whatever else is answered to it", async () => {
    const made = await given(() => refused(404, 10062));
    await ask(made, "POST", `/interactions/${id(1)}/t/callback`, { type: 5 });
    await ask(made, "POST", `/interactions/${id(1)}/t/callback`, { type: 4, data: { content: "x" } });
    expect(made.discord.arrivals).toHaveLength(1);
  });

  it("of a reply to a deleted message says nothing about the channel", async () => {
    const made = await given(() => refused(404, 10003));
    await ask(made, "POST", messages, { content: "x", message_reference: { message_id: id(9) } });
    await ask(made, "POST", messages, { content: "x" });
    expect(made.discord.arrivals).toHaveLength(2);
  });

  it.each([
    ["a role of that server", "GUILD_ROLE_UPDATE", { guild_id: GUILD, role: { id: id(3) } }, true],
    ["an overwrite", "CHANNEL_UPDATE", { id: id(1), guild_id: GUILD }, true],
    ["a parent's overwrite", "CHANNEL_UPDATE", { id: id(2), guild_id: GUILD }, true],
    ["the bot's own roles", "GUILD_MEMBER_UPDATE", { guild_id: GUILD, user: { id: BOT } }, true],
    ["a new session", "READY", { user: { id: BOT } }, true],
    ["the server's return", "GUILD_CREATE", { id: GUILD }, true],
    ["another server's role", "GUILD_ROLE_UPDATE", { guild_id: id(501), role: { id: id(3) } }, false],
    ["somebody else's roles", "GUILD_MEMBER_UPDATE", { guild_id: GUILD, user: { id: id(8) } }, false],
    ["a message", "MESSAGE_CREATE", { guild_id: GUILD, channel_id: id(1), id: id(9), author: { id: id(8) } }, false],
    ["a presence", "PRESENCE_UPDATE", { guild_id: GUILD, user: { id: BOT } }, false],
  ])("and %s: %s", async (_, type, data, again) => {
    const made = await given(() => refused(403, 50013), { botUserId: () => BOT });
    await ask(made, "POST", messages, { content: "x" });
    made.client.noteDispatch("MESSAGE_CREATE", { guild_id: GUILD, channel_id: id(1), id: id(4) });
    made.client.noteDispatch(type, data);
    await ask(made, "POST", messages, { content: "x" });
    expect(made.discord.arrivals).toHaveLength(again ? 2 : 1);
  });

  it("to write to somebody ends when that person writes", async () => {
    const made = await given(() => refused(403, 50007));
    await ask(made, "POST", messages, { content: "x" });
    made.client.noteDispatch("MESSAGE_CREATE", { channel_id: id(1), id: id(4) });
    await ask(made, "POST", messages, { content: "x" });
    expect(made.discord.arrivals).toHaveLength(2);
  });

  it("of what was not there ends when the bot makes it, or its member comes", async () => {
    const ban = `/guilds/${GUILD}/bans/${id(8)}`;
    const made = await given(({ method }) => (method === "GET" ? refused(404, 10026) : { status: 204 }), {
      botUserId: () => BOT,
    });
    await ask(made, "GET", ban);
    await ask(made, "PUT", ban);
    await ask(made, "GET", ban);
    expect(made.discord.arrivals).toHaveLength(3);
    made.client.noteDispatch("GUILD_BAN_ADD", { guild_id: GUILD, user: { id: id(9) } });
    await ask(made, "GET", ban);
    expect(made.discord.arrivals).toHaveLength(3);
    made.client.noteDispatch("GUILD_BAN_ADD", { guild_id: GUILD, user: { id: id(8) } });
    await ask(made, "GET", ban);
    expect(made.discord.arrivals).toHaveLength(4);
  });

  it("is forgotten after an hour, after a minute where no event tells, and never fills memory", () => {
    const refusals = new Refusals();
    const asked = (path: string) => {
      const route = routeOf("GET", path, undefined, 0);
      return {
        route,
        message: { method: "GET", path: route.path, headers: {}, body: null, nonced: false },
        body: undefined,
        authenticated: true,
      } as const;
    };
    const error = (status: number) => new RestError("forbidden", "no", { route: "GET /x", status });
    refusals.note(asked(messages), error(403), 0);
    refusals.note(asked("/users/@me/x"), error(403), 0);
    refusals.note(asked(`/channels/${id(2)}/x`), error(404), 0);
    expect(refusals.find(asked(messages), 3_599_999)).toBeInstanceOf(RestError);
    expect(refusals.find(asked("/users/@me/x"), 59_999)).toBeInstanceOf(RestError);
    expect(refusals.find(asked("/users/@me/x"), 60_000)).toBeUndefined();
    expect(refusals.find(asked(`/channels/${id(2)}/x`), 60_000)).toBeUndefined();
    expect(refusals.find(asked(messages), 3_600_000)).toBeUndefined();
    for (let number = 0; number < 12_000; number++) refusals.note(asked(`/channels/${id(number)}`), error(403), 0);
    expect(refusals.size).toBe(10_000);
    expect(refusals.find(asked(`/channels/${id(1_999)}`), 1)).toBeUndefined();
    expect(refusals.find(asked(`/channels/${id(2_000)}`), 1)).toBeDefined();
    refusals.note(asked(`/channels/${id(99_999)}`), error(403), 3_600_000);
    expect(refusals.size).toBe(1);
  });
});

describe("changeOf", () => {
  type Case = readonly [string, unknown, Partial<Change> | undefined];
  it.each([
    ["TYPING_START", { channel_id: "1", guild_id: "2" }, undefined],
    ["MESSAGE_DELETE", { id: "9", channel_id: "1", guild_id: "2" }, { majors: ["channels/1"], reopens: undefined }],
    [
      "THREAD_CREATE",
      { id: "3", parent_id: "1", guild_id: "2" },
      { majors: ["channels/3", "channels/1", "guilds/2"], reopens: { kind: "guild", guild: "2" } },
    ],
    ["USER_UPDATE", { id: "9" }, { majors: [""], reopens: undefined }],
    [
      "VOICE_STATE_UPDATE",
      { guild_id: "2", channel_id: null, user_id: "9" },
      { majors: ["", "guilds/2"], reopens: { kind: "member", guild: "2", user: "9" } },
    ],
    ["GUILD_DELETE", { id: "2" }, { majors: ["", "guilds/2"], reopens: { kind: "guild", guild: "2" } }],
    ["GUILD_CREATE", null, undefined],
    ["MESSAGE_CREATE", { id: 5 }, undefined],
  ] satisfies Case[] as Case[])("%s", (type, data, change) => {
    const read = changeOf(type, data);
    if (change === undefined) expect(read).toBeUndefined();
    else expect(read).toMatchObject(change);
  });
});

describe("a kept answer", () => {
  const path = `/channels/${id(1)}`;
  const counting = (): FakeDiscord["handler"] => {
    let count = 0;
    return ({ method }) => ok(method === "GET" ? { count: ++count } : {});
  };
  const get = (made: Setting, cacheMs?: number): Promise<{ count: number }> =>
    made.client.request<{ count: number }>({ method: "GET", path, ...(cacheMs === undefined ? {} : { cacheMs }) });

  it("is used by those who allow it, as a document of their own, while it is young enough", async () => {
    const made = await given(counting(), { rate: 20 });
    const first = await get(made, 10_000);
    first.count = 99;
    expect(await get(made, 10_000)).toEqual({ count: 1 });
    expect(await get(made)).toEqual({ count: 2 });
    expect(await get(made, 10_000)).toEqual({ count: 1 });
    await made.clock.sleep(100);
    expect(await get(made, 50)).toEqual({ count: 3 });
    expect(made.discord.arrivals).toHaveLength(3);
  });

  it.each([
    ["an event about the channel", "CHANNEL_UPDATE", { id: id(1), guild_id: GUILD }, true],
    ["a message in it", "MESSAGE_CREATE", { id: id(3), channel_id: id(1), guild_id: GUILD }, true],
    ["a new session", "READY", { user: { id: BOT } }, true],
    ["a message elsewhere", "MESSAGE_CREATE", { id: id(3), channel_id: id(2), guild_id: GUILD }, false],
    ["typing", "TYPING_START", { channel_id: id(1), guild_id: GUILD }, false],
  ])("and %s", async (_, type, data, ends) => {
    const made = await given(counting());
    await get(made, 10_000);
    made.client.noteDispatch(type, data);
    expect(await get(made, 10_000)).toEqual({ count: ends ? 2 : 1 });
  });

  it("ends with a write of ours, and is not kept when something changed while it was under way", async () => {
    const made = await given(counting());
    await get(made, 10_000);
    await made.client.request({ method: "PATCH", path, body: { name: "x" } });
    expect(await get(made, 10_000)).toEqual({ count: 2 });
    made.client.noteDispatch("READY", {});
    const underWay = get(made, 10_000);
    made.client.noteDispatch("CHANNEL_UPDATE", { id: id(1), guild_id: GUILD });
    expect(await underWay).toEqual({ count: 3 });
    expect(await get(made, 10_000)).toEqual({ count: 4 });
  });

  it("is bounded in number, size and age", () => {
    const cache = new GetCache();
    const keep = (key: string, text: string): void => {
      cache.expect("m", key, cache);
      cache.settle("m", key, cache, text, 0);
    };
    for (let number = 0; number < 1_001; number++) keep(`${number}`, "x");
    expect(cache.size).toBe(1_000);
    expect(cache.find("m", "0", 9, 0)).toBeUndefined();
    expect(cache.find("m", "1", Infinity, 60_000)).toBe("x");
    expect(cache.find("m", "1", Infinity, 60_001)).toBeUndefined();
    cache.sweep(60_001);
    expect(cache.size).toBe(0);
    keep("long", "x".repeat(65_537));
    expect(cache.size).toBe(0);
  });
});
