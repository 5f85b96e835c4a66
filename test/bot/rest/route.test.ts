// Routes: templates, top-level resources, exemptions, sub-limit kinds, and no token in any key.

import { describe, expect, it } from "vitest";
import { type Method, pathProblem, Routes, routeOf, snowflakeTime } from "../../../bot/rest/route.ts";

const NOW = 1_750_000_000_000;
const snowflakeAt = (time: number): string => ((BigInt(time) - 1_420_070_400_000n) << 22n).toString();
const CHANNEL = snowflakeAt(NOW - 1e9);
const GUILD = snowflakeAt(NOW - 2e9);
const USER = snowflakeAt(NOW - 3e9);
const route = (method: Method, path: string, body?: unknown) => routeOf(method, path, body, NOW);

describe("routeOf", () => {
  it.each<[Method, string, string, string]>([
    ["GET", `/channels/${CHANNEL}`, "GET /channels/{channel.id}", `channels/${CHANNEL}`],
    ["POST", `/channels/${CHANNEL}/messages`, "POST /channels/{channel.id}/messages", `channels/${CHANNEL}`],
    [
      "PUT",
      `/guilds/${GUILD}/members/${USER}/roles/${CHANNEL}`,
      "PUT /guilds/{guild.id}/members/{user.id}/roles/{role.id}",
      `guilds/${GUILD}`,
    ],
    ["GET", `/guilds/${GUILD}/members/search`, "GET /guilds/{guild.id}/members/search", `guilds/${GUILD}`],
    ["GET", "/users/@me", "GET /users/@me", ""],
    ["GET", `/users/${USER}`, "GET /users/{user.id}", ""],
    ["GET", "/invites/abcDEF", "GET /invites/{code}", ""],
    ["GET", "/gateway/bot", "GET /gateway/bot", ""],
    [
      "PUT",
      `/applications/${USER}/guilds/${GUILD}/commands`,
      "PUT /applications/{application.id}/guilds/{guild.id}/commands",
      "",
    ],
    ["PATCH", `/webhooks/${USER}`, "PATCH /webhooks/{webhook.id}", `webhooks/${USER}`],
  ])("%s %s", (method, path, name, major) => {
    expect(route(method, path)).toMatchObject({ name, major, path });
  });

  it("tells webhooks apart by their token, without keeping it", () => {
    const secret = "very-secret_token";
    const one = route("POST", `/webhooks/${USER}/${secret}`);
    const two = route("POST", `/webhooks/${USER}/another`);
    const message = route("PATCH", `/webhooks/${USER}/${secret}/messages/@original`);
    expect(one.major).not.toBe(two.major);
    expect(one.major).toBe(message.major);
    expect(one).toMatchObject({
      exempt: true,
      credentialInPath: true,
      name: "POST /webhooks/{webhook.id}/{webhook.token}",
    });
    expect(message.name).toBe("PATCH /webhooks/{webhook.id}/{webhook.token}/messages/@original");
    for (const made of [one, message]) expect(JSON.stringify({ ...made, path: "" })).not.toContain(secret);
    expect(route("PATCH", `/webhooks/${USER}`)).toMatchObject({ exempt: false, credentialInPath: false });
  });

  it("keeps interaction callbacks apart, exempt, and their token out of keys", () => {
    const one = route("POST", `/interactions/${USER}/aW50ZXJhY3Rpb24/callback`);
    expect(one).toMatchObject({ callback: true, exempt: true, credentialInPath: true });
    expect(one.major).not.toBe(route("POST", `/interactions/${CHANNEL}/x/callback`).major);
    expect(JSON.stringify({ ...one, path: "" })).not.toContain("aW50ZXJhY3Rpb24");
  });

  it("gives all changes of reactions in a channel one bucket, and encodes emoji once", () => {
    const message = `/channels/${CHANNEL}/messages/${USER}`;
    const add = route("PUT", `${message}/reactions/👍/@me`);
    const encoded = route("PUT", `${message}/reactions/%F0%9F%91%8D/@me`);
    const custom = route("DELETE", `${message}/reactions/name:${GUILD}/${GUILD}`);
    const all = route("DELETE", `${message}/reactions`);
    expect(add.path).toBe(encoded.path);
    expect(add.path).toContain("/%F0%9F%91%8D/");
    expect(new Set([add, encoded, custom, all].map(({ key }) => key)).size).toBe(1);
    expect(new Set([add, custom, all].map(({ order }) => order)).size).toBe(1);
    expect(add.name).toBe("PUT /channels/{channel.id}/messages/{message.id}/reactions/{emoji}/@me");
    expect(route("GET", `${message}/reactions/👍`).key).not.toBe(add.key);
  });

  it.each([
    ["young", 9_999, " (young)"],
    ["middling", 10_001, ""],
    ["just under 14 days", 14 * 86_400_000 - 1, ""],
    ["old", 14 * 86_400_000 + 1, " (old)"],
  ])("splits deletes by the message's age: %s", (_, age, suffix) => {
    const made = route("DELETE", `/channels/${CHANNEL}/messages/${snowflakeAt(NOW - age)}`);
    expect(made.key).toBe(`DELETE /channels/{channel.id}/messages/{message.id}${suffix}`);
    expect(made.name).toBe("DELETE /channels/{channel.id}/messages/{message.id}");
  });

  it("gives a channel's name and topic kinds of their own, in the same bucket", () => {
    const path = `/channels/${CHANNEL}`;
    const plain = route("PATCH", path, { nsfw: true });
    const named = route("PATCH", path, { name: "x" });
    const both = route("PATCH", path, { name: "x", topic: "y" });
    expect(new Set([plain, named, both].map(({ key }) => key)).size).toBe(1);
    expect(both.kinds).toEqual(expect.arrayContaining([...named.kinds]));
    expect(plain.kinds).not.toEqual(expect.arrayContaining([...named.kinds]));
    expect(named.order).not.toBe(plain.order);
  });

  it("orders changes of one resource, whatever the method, and no reads", () => {
    const path = `/channels/${CHANNEL}/messages/${USER}`;
    expect(route("PATCH", path).order).toBe(route("DELETE", path).order);
    expect(route("GET", path).order).toBeUndefined();
  });

  it("reads a snowflake's time", () => {
    // The example of Discord's reference.
    expect(snowflakeTime("175928847299117063")).toBe(1_462_015_105_796);
  });
});

describe("pathProblem", () => {
  it.each([
    ["/channels/1", true],
    ["channels/1", false],
    ["/channels/1?limit=5", false],
    ["/channels/../users/@me", false],
    ["/channels//messages", false],
    ["/channels/", false],
    ["https://discord.com/api/v10/users/@me", false],
  ])("%s", (path, fine) => {
    expect(pathProblem(path) === undefined).toBe(fine);
  });
});

describe("Routes", () => {
  it("reads as routeOf does, and keeps no path that holds a token, an age or fields", () => {
    const routes = new Routes();
    const message = snowflakeAt(NOW - 5_000);
    const cases: [Method, string, unknown][] = [
      ["GET", `/channels/${CHANNEL}`, undefined],
      ["POST", `/channels/${CHANNEL}/messages`, { content: "x" }],
      ["PATCH", `/channels/${CHANNEL}`, { name: "x" }],
      ["PATCH", `/channels/${CHANNEL}`, { nsfw: true }],
      ["DELETE", `/channels/${CHANNEL}/messages/${message}`, undefined],
      ["POST", `/webhooks/${CHANNEL}/token`, {}],
    ];
    for (const later of [0, 60_000]) {
      for (const [method, path, body] of cases) {
        expect(routes.read(method, path, body, () => NOW + later)).toEqual(routeOf(method, path, body, NOW + later));
      }
    }
    const read = (path: string): unknown => routes.read("GET", path, undefined, () => NOW);
    expect(read("/users/@me")).toBe(read("/users/@me"));
    expect(read(`/webhooks/${CHANNEL}/token`)).not.toBe(read(`/webhooks/${CHANNEL}/token`));
  });
});
