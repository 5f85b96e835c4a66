// The bundled bot as a process against the simulated Discord: from first start to answer, with and without its intent.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import type { SimulatedDiscord } from "../../discord/index.ts";
import { promise, soon } from "../../face/world.ts";
import { startSimulatedUpstream } from "../../upstream/index.ts";

const CHAT = { BOT_MODULE: "./bot/chat/index.ts" };
const MESSAGE_CONTENT = 1 << 15;
const KEY = "hf_the_only_key_1";

/** The first server's first channel, and somebody in it. */
function placeIn(discord: SimulatedDiscord) {
  const [guild] = discord.world.guilds.values();
  const channel = guild?.channels[0];
  if (guild === undefined || channel === undefined) throw new Error("the world has no channel");
  const member = discord.world.addMember(guild.id);
  return { guildId: guild.id, channelId: channel.id, ownerId: guild.ownerId, memberId: member.id };
}

/** What the bot wrote in a channel, with the message each reply refers to. */
function repliesIn(
  discord: SimulatedDiscord,
  channelId: string,
): { readonly to: unknown; readonly content: unknown }[] {
  return [...discord.world.channel(channelId).messages.values()]
    .filter(({ author }) => author.id === discord.world.bot.id)
    .map(({ data }) => ({ to: Object(data["message_reference"]).message_id, content: data["content"] }));
}

describe("the bundled bot", () => {
  promise("answers a mention on day one, and nothing else", { privilegedIntents: 0 }, async ({ bot, discord }) => {
    const it = bot(CHAT);
    await it.event("bot.ready");
    const { guildId, channelId, memberId } = placeIn(discord);
    const thread = discord.world.addChannel(guildId, channelId).id;
    const say = (content: string, place: string, mentionsBot: boolean): string =>
      discord.sendMessage({ guildId, channelId: place, authorId: memberId, content, mentionsBot });
    say("not for the bot", channelId, false);
    const first = say("hello", channelId, true);
    const second = say("hello in here", thread, true);
    await discord.waitFor(() => discord.counts.rest.messagesCreated >= 2);
    expect(repliesIn(discord, channelId)).toEqual([{ to: first, content: expect.stringContaining("hello") }]);
    expect(repliesIn(discord, thread)).toEqual([{ to: second, content: expect.stringContaining("hello in here") }]);
    expect([...discord.world.commands.values()].map(({ name }) => name).sort()).toEqual([
      "reboot",
      "start",
      "status",
      "stop",
    ]);
  });

  promise(
    "answers every message of CHAT_CHANNELS and of their threads",
    { privilegedIntents: MESSAGE_CONTENT },
    async ({ bot, discord }) => {
      const { guildId, channelId, memberId } = placeIn(discord);
      const thread = discord.world.addChannel(guildId, channelId).id;
      const other = discord.world.addChannel(guildId).id;
      const it = bot({ ...CHAT, CHAT_CHANNELS: channelId });
      await it.event("bot.ready");
      expect(it.stdout()).toContain("Message Content Intent");
      const id = discord.sendMessage({ guildId, channelId, authorId: memberId, content: "no mention" });
      discord.sendMessage({ guildId, channelId: other, authorId: memberId, content: "not for the bot" });
      const within = discord.sendMessage({ guildId, channelId: thread, authorId: memberId, content: "in a thread" });
      await discord.waitFor(() => discord.counts.rest.messagesCreated >= 2);
      expect(repliesIn(discord, channelId)).toEqual([{ to: id, content: expect.stringContaining("no mention") }]);
      expect(repliesIn(discord, thread)).toEqual([{ to: within, content: expect.stringContaining("in a thread") }]);
      expect(repliesIn(discord, other)).toEqual([]);
      expect((await it.get("/state")).body["metrics"]).toMatchObject({ IntentsDropped: 0 });
    },
  );

  promise(
    "goes on mention-only where the portal does not grant the intent, and does not ask again at the next start",
    { privilegedIntents: 0, excused: ["identify.disallowed-intents", "dial.after-fatal"] },
    async ({ bot, discord, home }) => {
      const { guildId, channelId, memberId } = placeIn(discord);
      const environment = { ...CHAT, CHAT_CHANNELS: channelId, LEDGER: `file:${home}` };
      const it = bot(environment);
      await it.event("bot.ready");
      expect(await it.event("intent.dropped")).toMatchObject({ intent: "MESSAGE_CONTENT", fix: expect.any(String) });
      expect(discord.counts.serverCloses).toMatchObject({ 4014: 1 });
      await it.until("the level in a metric line", () => it.metrics().at(-1)?.["IntentsDropped"] === 1);
      discord.sendMessage({ guildId, channelId, authorId: memberId, content: "withheld" });
      const id = discord.sendMessage({ guildId, channelId, authorId: memberId, content: "mine", mentionsBot: true });
      await discord.waitFor(() => discord.counts.rest.messagesCreated >= 1);
      expect(repliesIn(discord, channelId)).toEqual([{ to: id, content: expect.stringContaining("mine") }]);
      expect(it.lines.filter(({ msg }) => String(msg).includes("come without content"))).toHaveLength(1);
      it.kill("SIGTERM");
      expect(await it.ended).toBe(0);
      const next = bot(environment);
      await next.event("bot.ready");
      expect(next.events("session.resumed")).toHaveLength(1);
      await next.until("the level in a metric line", () => next.metrics().at(-1)?.["IntentsDropped"] === 1);
      expect(discord.counts.serverCloses).toMatchObject({ 4014: 1 });
      next.kill("SIGTERM");
      expect(await next.ended).toBe(0);
    },
  );

  promise(
    "lets go of its questions when it is stopped: a successor need not wait",
    {},
    async ({ bot, clock, discord, home }) => {
      const upstream = await startSimulatedUpstream({ clock, keys: [{ key: KEY }], latencyMs: 600_000 });
      try {
        const it = bot({
          ...CHAT,
          LEDGER: `file:${home}`,
          UPSTREAM_URL: upstream.url,
          UPSTREAM_KEYS: KEY,
          DRAIN_MS: "1000",
        });
        await it.event("bot.ready");
        const { guildId, channelId, memberId } = placeIn(discord);
        discord.sendMessage({ guildId, channelId, authorId: memberId, content: "well?", mentionsBot: true });
        const kinds = (): string[] => {
          const values = path.join(home, "values");
          if (!existsSync(values)) return [];
          const kept = readdirSync(values).map((name) => JSON.parse(readFileSync(path.join(values, name), "utf8")));
          return kept.map(({ key }) => String(key).split("/")[0] ?? "");
        };
        await soon("question and run in the ledger", () => ["question", "run"].every((kind) => kinds().includes(kind)));
        it.kill("SIGTERM");
        expect(await it.ended).toBe(0);
        expect(kinds()).toContain("question");
        expect(kinds()).not.toContain("run");
      } finally {
        await upstream.stop();
      }
    },
  );

  promise(
    "refuses as ever what it cannot do without",
    { privilegedIntents: 0, excused: ["identify.disallowed-intents"] },
    async ({ bot }) => {
      const it = bot({ FACE_INTENTS: String(1 << 15) });
      expect(await it.ended).toBe(77);
      expect(await it.event("fatal")).toMatchObject({ code: "4014" });
      expect(it.events("intent.dropped")).toEqual([]);
    },
  );

  for (const ledger of ["memory", "file"]) {
    promise(
      `$reboot rebuilds the run within the process, LEDGER=${ledger}: resumed, nothing lost, nothing twice`,
      {},
      async ({ bot, discord, home }) => {
        const { guildId, channelId, ownerId } = placeIn(discord);
        const LEDGER = ledger === "file" ? `file:${home}` : "memory";
        const it = bot({ ...CHAT, LEDGER, OPERATOR_USER_IDS: ownerId });
        await it.event("bot.ready");
        const say = (content: string): string =>
          discord.sendMessage({ guildId, channelId, authorId: ownerId, content, mentionsBot: true });
        say("before");
        const reboot = say("$reboot");
        const meanwhile = say("meanwhile");
        await it.until("the second start", () => it.events("bot.started").length === 2);
        await it.event("session.resumed");
        const after = say("after");
        await discord.waitFor(() => discord.counts.rest.messagesCreated >= 4);
        expect(
          repliesIn(discord, channelId)
            .map(({ to }) => to)
            .slice(1),
        ).toEqual([reboot, meanwhile, after]);
        expect(discord.counts).toMatchObject({ identifies: 1, resumed: 1, rest: { messagesCreated: 4 } });
        expect(new Set(it.events("bot.started").map(({ pid }) => pid))).toEqual(new Set([it.pid]));
        await it.until("the deploy's echo in a metric", () => it.metrics().at(-1)?.["DeployRunning"] === 1);
        expect((await it.get("/ready")).status).toBe(200);
        say("$reboot");
        await discord.waitFor(() => discord.counts.rest.messagesCreated >= 5);
        expect(it.events("bot.started")).toHaveLength(2);
        it.kill("SIGTERM");
        expect(await it.ended).toBe(0);
      },
    );
  }

  promise("answers a slash command within its 3 s, though its channel is busy", {}, async ({ bot, clock, discord }) => {
    const { guildId, channelId, memberId } = placeIn(discord);
    const provider = await startSimulatedUpstream({ clock, keys: [{ key: KEY }] });
    try {
      provider.fail({ kind: "hang" });
      const it = bot({ ...CHAT, UPSTREAM_URL: provider.url, UPSTREAM_KEYS: KEY });
      await it.event("bot.ready");
      discord.sendMessage({ guildId, channelId, authorId: memberId, content: "think long", mentionsBot: true });
      await discord.waitFor(() => discord.requests.some(({ route }) => route.endsWith("/typing")));
      discord.createInteraction({ channelId, userId: memberId, data: { id: "1", name: "status", type: 1 } });
      await discord.waitFor(() => discord.requests.some(({ route }) => route.endsWith("/callback")));
      expect(discord.requests.some(({ route }) => route.endsWith("/messages"))).toBe(false);
      const [callback] = discord.requests.filter(({ route }) => route.endsWith("/callback"));
      expect(callback).toMatchObject({ status: 204, body: { type: 4, data: { flags: 64 } } });
    } finally {
      await provider.stop();
    }
  });

  promise("keeps its keys from stdout and from the ledger's files", {}, async ({ bot, clock, discord, home }) => {
    const { guildId, channelId, memberId } = placeIn(discord);
    const provider = await startSimulatedUpstream({ clock, keys: [{ key: KEY, requestsAnHour: 1 }] });
    try {
      const settings = {
        UPSTREAM_URL: provider.url,
        UPSTREAM_KEYS: `hf_unknown_key_0001,${KEY}`,
        LEDGER: `file:${home}`,
      };
      const it = bot({ ...CHAT, ...settings, CHAT_LOG_CONTENT: "on" });
      await it.event("bot.ready");
      for (const content of [`my key is ${KEY}`, "and now?"]) {
        discord.sendMessage({ guildId, channelId, authorId: memberId, content, mentionsBot: true });
      }
      await it.event("chat.refused");
      expect(it.events("upstream.key").map(({ from, to }) => [from, to])).toEqual([
        [1, 2],
        [2, null],
      ]);
      const kept = readdirSync(path.join(home, "values")).map((file) =>
        readFileSync(path.join(home, "values", file), "utf8"),
      );
      expect(kept.some((text) => text.includes("upstream/keys"))).toBe(true);
      // The stored answer may quote what a person wrote; what the bot knows of its keys must not stand anywhere.
      for (const text of [it.stdout(), ...kept.filter((one) => !one.includes("question/"))]) {
        expect(text).not.toContain(KEY);
        expect(text).not.toContain("hf_unknown_key_0001");
      }
    } finally {
      await provider.stop();
    }
  });
});
