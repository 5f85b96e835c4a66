// README's "Your own bot in ten lines": the very block is run as it stands there, against the simulated Discord.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect } from "vitest";
import { promise, ROOT } from "../../face/world.ts";

const readme = readFileSync(path.join(ROOT, "README.md"), "utf8");
const section = readme.slice(readme.indexOf("## Your own bot in ten lines"));
const example = /```ts\n([\s\S]*?)```/.exec(section)?.[1] ?? "";
// It lies as the README says, in a directory beside defineBot.ts; that one is a link, so that the sources stay as they are.
const home = mkdtempSync(path.join(tmpdir(), "mooring-example-"));
const module = path.join(home, "mine/index.ts");
mkdirSync(path.dirname(module));
writeFileSync(module, example);
symlinkSync(path.join(ROOT, "bot/defineBot.ts"), path.join(home, "defineBot.ts"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("the README's example", () => {
  promise("starts, and answers whoever mentions it", { privilegedIntents: 0 }, async ({ bot, discord }) => {
    expect(example.trim().split("\n").length).toBeLessThanOrEqual(12);
    const it = bot({ BOT_MODULE: module });
    await it.event("bot.ready");
    const [guild] = discord.world.guilds.values();
    const channelId = guild?.channels[0]?.id ?? "";
    const authorId = discord.world.addUser().id;
    const id = discord.sendMessage({ guildId: guild?.id, channelId, authorId, content: "hi", mentionsBot: true });
    discord.sendMessage({ guildId: guild?.id, channelId, authorId, content: "hi", mentionsBot: false });
    await discord.waitFor(() => discord.counts.rest.messagesCreated >= 1);
    const replies = [...discord.world.channel(channelId).messages.values()].filter(
      ({ author }) => author.id === discord.world.bot.id,
    );
    expect(replies.map(({ data }) => [data["content"], Object(data["message_reference"]).message_id])).toEqual([
      ["Hello!", id],
    ]);
    it.kill("SIGTERM");
    expect(await it.ended).toBe(0);
  });
});
