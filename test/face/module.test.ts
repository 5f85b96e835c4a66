// The module seam: what a bot module sees, when it sees it, and what it can do, over a process of its own.

import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import { recordingGateway } from "./fakes.ts";
import { REMOTE_INTENTS } from "./remote.ts";
import { clientCloses, type FaceBot, handler, type Line, promise, say, TOKEN, UNHURRIED } from "./world.ts";

const dispatched = (bot: FaceBot): string[] =>
  bot.told.flatMap((told) => (told.kind === "dispatch" ? [`${told.shard} ${told.sequence} ${told.type}`] : []));

describe.concurrent("start", () => {
  promise(
    "runs once, after preflight and before the first dial",
    { shards: 2, maxConcurrency: 2 },
    async ({ bot, discord }) => {
      const child = bot({ FACE_START: "hang" });
      const start = await child.until("start", () => child.told.find((told) => told.kind === "start"));
      expect(discord.requests.map(({ route }) => route)).toEqual(["GET /gateway/bot"]);
      expect(discord.counts.dials).toBe(0);
      expect(start.status).toMatchObject({ phase: "running", shards: [] });
      // A start that never returns does not keep the bot from its users.
      await child.event("bot.ready");
      expect(
        child.lines.some(({ level, msg }) => level === "warn" && String(msg).includes("start has not returned")),
      ).toBe(true);
      expect(child.told.filter(({ kind }) => kind === "start")).toHaveLength(1);
      expect(child.told[0]).toBe(start);
    },
  );

  promise("may set a presence, which the IDENTIFY then carries", {}, async ({ bot, discord }) => {
    const child = bot({ FACE_START: "presence" });
    await child.event("bot.ready");
    await discord.waitFor(() => JSON.stringify(discord.presence(0) ?? "").includes("idle"));
  });

  promise("may send requests, and use the bot in full", {}, async ({ bot, discord }) => {
    const child = bot({ FACE_START: "request" });
    await child.event("bot.ready");
    expect(discord.requests.map(({ route }) => route)).toEqual(["GET /gateway/bot", "GET /users/@me"]);
  });

  promise("may stop the bot: nothing is dialled", {}, async ({ bot, discord }) => {
    const child = bot({ FACE_START: "stop" });
    expect(await child.ended).toBe(0);
    expect(discord.counts.dials).toBe(0);
    expect(child.lines.at(-1)).toMatchObject({ event: "bot.stopped", exitCode: 0 });
  });
});

describe.concurrent("IDENTIFY and the dial", () => {
  promise("carry what Discord asks for and nothing else", {}, async ({ bot }) => {
    const gateway = await recordingGateway();
    try {
      const child = bot({
        DISCORD_GATEWAY_URL: `${gateway.url}/`,
        GATEWAY_COMPRESSION: "none",
        FACE_START: "presence",
        SHARD_COUNT: "3",
        SHARD_IDS: "1",
      });
      await child.event("bot.ready");
      const [dial] = gateway.seen;
      expect(dial?.url).toBe("/?v=10&encoding=json");
      expect(dial?.headers["user-agent"]).toMatch(/^DiscordBot \(https:\/\//);
      expect(JSON.stringify(dial?.headers)).not.toContain(TOKEN);
      expect(dial?.payloads.find(({ op }) => op === 2)?.d).toEqual({
        token: TOKEN,
        intents: REMOTE_INTENTS,
        shard: [1, 3],
        properties: { os: process.platform, browser: "mooring", device: "mooring" },
        large_threshold: 50,
        presence: { status: "idle", activities: [], since: null, afk: false },
      });
    } finally {
      gateway.stop();
    }
  });
});

describe.concurrent("onDispatch", () => {
  promise("sees READY, all that follows and RESUMED, in order", {}, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    await handler(child, "handled", say(discord, "one"));
    discord.faults.gateway.reset("all");
    await discord.waitFor("gone");
    await handler(child, "handled", say(discord, "two"));
    await child.event("session.resumed");
    await child.until("RESUMED", () => dispatched(child).some((seen) => seen.endsWith("RESUMED")));
    expect(dispatched(child)).toEqual([
      "0 1 READY",
      "0 2 GUILD_CREATE",
      "0 3 MESSAGE_CREATE",
      "0 4 MESSAGE_CREATE",
      "0 5 RESUMED",
    ]);
    // Synchronously: the handler of an event starts after onDispatch has seen it.
    const order = child.told.map((told) => (told.kind === "dispatch" ? told.type : told.kind));
    expect(order.indexOf("MESSAGE_CREATE")).toBeLessThan(order.indexOf("handling"));
  });

  promise("may throw: it is told, and neither the handlers nor the session mind", {}, async ({ bot, discord }) => {
    const child = bot({ FACE_DISPATCH: "throw" });
    await child.event("bot.ready");
    await handler(child, "handled", say(discord, "one"));
    expect(child.lines.some(({ error }) => String(error).includes("thrown by onDispatch"))).toBe(true);
    expect(discord.counts.identifies).toBe(1);
  });
});

describe.concurrent("handlers", () => {
  promise("may throw: the event is finished, the next one runs", {}, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    const id = say(discord, "throw");
    await handler(child, "handling", id);
    await handler(child, "handled", say(discord, "next"));
    expect(await child.event("handler.failed")).toMatchObject({
      shard: 0,
      seq: 3,
      type: "MESSAGE_CREATE",
      error: expect.stringContaining("thrown by the handler"),
    });
    expect((await child.get("/state")).body).toMatchObject({
      shards: [{ received: 4, finished: 4 }],
      metrics: { HandlerErrors: 1 },
    });
  });

  promise(
    "run in order in a channel, side by side across channels",
    { channelsPerGuild: 2 },
    async ({ bot, discord }) => {
      const child = bot();
      await child.event("bot.ready");
      const [guild] = [...discord.world.guilds.values()];
      const first = say(discord, "hold");
      const second = say(discord, "same channel");
      const other = discord.sendMessage({
        guildId: guild?.id,
        channelId: guild?.channels[1]?.id ?? "",
        authorId: guild?.ownerId ?? "",
        content: "other channel",
      });
      await handler(child, "handled", other);
      expect(child.told.some((told) => told.kind === "handling" && told.id === second)).toBe(false);
      await child.call("release", first);
      await handler(child, "handled", second);
    },
  );

  promise("may stop the bot and wait for it: no deadlock", {}, async ({ bot, discord }) => {
    const child = bot({ DRAIN_MS: "115000" });
    await child.event("bot.ready");
    const id = say(discord, "stop");
    expect(await child.ended).toBe(0);
    await handler(child, "handled", id);
    expect((await child.event("bot.stopped"))["tookMs"]).toBeLessThan(115_000);
  });
});

describe.concurrent("bot.setPresence", () => {
  promise(
    "sets every shard or one, and survives a new session",
    { shards: 2, maxConcurrency: 2 },
    async ({ bot, discord }) => {
      const child = bot();
      await child.event("bot.ready");
      const shows = (shard: number, status: string) => () =>
        JSON.stringify(discord.presence(shard) ?? "").includes(status);
      await child.call("setPresence", { status: "dnd", activities: [{ name: "chess", type: 0 }] });
      await discord.waitFor(() => shows(0, "dnd")() && shows(1, "chess")());
      await child.call("setPresence", { status: "idle" }, { shard: 1 });
      await discord.waitFor(shows(1, "idle"));
      expect(shows(0, "dnd")()).toBe(true);
      await expect(child.call("setPresence", { status: "idle" }, { shard: 7 })).rejects.toMatchObject({
        message: expect.stringContaining("shard 7"),
      });
      const { presences } = discord.counts;
      discord.faults.gateway.invalidSession(1, false);
      await discord.waitFor(() => discord.counts.identifies === 3 && discord.readyShards().length === 2);
      expect(discord.presence(1)).toMatchObject({ status: "idle" });
      expect(discord.counts.presences).toBeGreaterThanOrEqual(presences);
    },
  );
});

describe.concurrent("bot.requestGuildMembers", () => {
  promise(
    "asks the guild's shard and puts the chunks together",
    { shards: 2, maxConcurrency: 2 },
    async ({ bot, discord }) => {
      const child = bot();
      await child.event("bot.ready");
      const guild = [...discord.world.guilds.values()][1];
      if (guild === undefined) throw new Error("no second server");
      for (let count = 0; count < 1_200; count++) discord.world.addMember(guild.id);
      const all = (await child.call("requestGuildMembers", { guildId: guild.id })) as { members: unknown[] };
      expect(all.members).toHaveLength(1_202);
      const some = await child.call("requestGuildMembers", { guildId: guild.id, userIds: [guild.ownerId, "1"] });
      expect(some).toMatchObject({ members: [{ user: { id: guild.ownerId } }], notFound: ["1"] });
    },
  );

  promise("asked in start waits for the shards", { shards: 2, maxConcurrency: 2 }, async ({ bot, discord, home }) => {
    const guild = [...discord.world.guilds.values()][1];
    const file = path.join(home, "bot.mjs");
    writeFileSync(
      file,
      `export default {
         intents: ["GUILDS"],
         start(bot) {
           const asked = bot.requestGuildMembers({ guildId: "${guild?.id}", userIds: ["${guild?.ownerId}"] });
           asked.then(({ members }) => bot.log("info", \`members: \${members.length}\`), (error) => bot.log("error", error.message));
         },
       };`,
    );
    const child = bot({ BOT_MODULE: file });
    await child.until("its line", () => child.lines.some(({ msg }) => msg === "members: 1"));
  });
});

describe.concurrent("bot.rest.request", () => {
  promise("takes every option", {}, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    const [guild] = [...discord.world.guilds.values()];
    const channel = guild?.channels[0]?.id ?? "";
    const ask = (call: object) => child.call("rest.request", call) as Promise<Line>;

    const made = await ask({
      method: "POST",
      path: `/channels/${channel}/messages`,
      body: { content: "with a file" },
      files: [{ name: "a.txt", data: "content of the file", contentType: "text/plain" }],
      reason: "Grüße an das Protokoll",
      priority: "interaction",
      deadlineMs: 30_000,
    });
    expect(made["content"]).toBe("with a file");
    const posted = discord.requests.at(-1);
    expect(JSON.stringify(posted?.body)).toContain("a.txt");

    const listed = await ask({
      method: "GET",
      path: `/channels/${channel}/messages`,
      query: { limit: 1 },
      priority: "background",
    });
    expect(listed).toMatchObject([{ id: made["id"] }]);
    expect(discord.requests.at(-1)?.path).toContain("limit=1");

    expect(await ask({ method: "DELETE", path: `/channels/${channel}/messages/${made["id"]}` })).toBeUndefined();
    // Without the token: a route that needs none answers, one that needs it does not, and the token is not given up.
    expect(await ask({ method: "GET", path: "/gateway", auth: false })).toMatchObject({ url: expect.any(String) });

    discord.faults.rest.limitNext("GET /users/@me", 1, { scope: "user", retryAfterSeconds: 600 });
    await expect(ask({ method: "GET", path: "/users/@me", deadlineMs: 5_000 })).rejects.toMatchObject({
      name: "Error",
    });
    await expect(ask({ method: "GET", path: "/channels/1/messages" })).rejects.toMatchObject({ kind: "missing" });
    expect((await child.get("/state")).body).toMatchObject({ requests: { unauthorized: false } });
  });

  promise("a signal that aborts ends the call", {}, async ({ bot, discord }) => {
    const child = bot();
    await child.event("bot.ready");
    discord.faults.rest.hang("GET /users/@me", { count: 1 });
    await expect(child.call("abortedRequest", "/users/@me")).rejects.toMatchObject({ message: "no longer wanted" });
  });
});

describe.concurrent("bot.status and bot.stop", () => {
  promise("status() is what /state tells", { shards: 2, maxConcurrency: 2 }, async ({ bot }) => {
    const child = bot();
    await child.event("bot.ready");
    await child.until("all events", () => dispatched(child).length === 4);
    const told = await child.call("status");
    const { body } = await child.get("/state");
    const steady = (state: unknown): unknown => {
      const { at: _at, metrics: _metrics, identify: _identify, shards, ...rest } = state as Line & { shards: Line[] };
      return {
        ...rest,
        shards: shards.map(({ shard, state: name, received, finished }) => ({ shard, name, received, finished })),
      };
    };
    expect(steady(told)).toEqual(steady(body));
    expect(Object.keys(told as Line)).toEqual(Object.keys(body));
  });

  for (const [keepSessions, code] of [
    [true, 4000],
    [false, 1000],
  ] as const) {
    promise(
      `stop({ keepSessions: ${keepSessions} }) closes with ${code}, whatever the ledger`,
      UNHURRIED,
      async ({ bot, discord }) => {
        const child = bot();
        await child.event("bot.ready");
        await child.call("stop", { keepSessions }).catch(() => {});
        expect(await child.ended).toBe(0);
        expect(clientCloses(discord)).toEqual({ [code]: 1 });
        expect(await child.event("bot.draining")).toMatchObject({
          signal: "stop",
          keepSessions: keepSessions ? "yes" : "no",
        });
      },
    );
  }

  promise("what a module prints by itself becomes log lines", {}, async ({ bot }) => {
    const child = bot();
    await child.event("bot.ready");
    await child.call("print", "two\nlines", { token: TOKEN });
    await child.call("warn", "deprecated");
    await child.until("the lines", () => child.lines.some(({ msg }) => String(msg).includes("deprecated")));
    expect(child.lines.filter(({ msg }) => String(msg).startsWith("two\nlines"))).toHaveLength(2);
    expect(child.stdout()).toContain("[secret]");
  });
});
