// The variable that names the bot's module: where it is looked for, what it may be, and every way in which it can be broken.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect } from "vitest";
import { promise, ROOT } from "./world.ts";

describe.concurrent("BOT_MODULE", () => {
  const plain = `export default { intents: ["GUILDS", "GUILD_MESSAGES"], start(bot) { bot.log("info", "my own") } };\n`;

  promise("is looked for from the working directory, as a plain relative path", {}, async ({ bot, home }) => {
    mkdirSync(path.join(home, "my"));
    writeFileSync(path.join(home, "my/bot.mjs"), plain);
    const child = bot({ BOT_MODULE: "my/bot.mjs" }, home);
    expect(await child.event("bot.started")).toMatchObject({ module: path.join(home, "my/bot.mjs") });
    await child.until("its line", () => child.lines.some(({ msg }) => msg === "my own"));
    await child.event("bot.ready");
  });

  promise("may be a TypeScript file that uses defineBot", {}, async ({ bot, home, discord }) => {
    const file = path.join(home, "bot.ts");
    const seam = path.join(ROOT, "bot/defineBot.ts");
    writeFileSync(
      file,
      `import { defineBot } from ${JSON.stringify(seam)};
       const intents: number = 513;
       export default defineBot({ intents, permissions: 2048n, handlers: {} });`,
    );
    await bot({ BOT_MODULE: file }).event("bot.ready");
    expect(discord.sessions()).toMatchObject([{ intents: 513 }]);
  });

  promise("is the bundled bot by default, from any directory, and it answers", {}, async ({ bot, discord, home }) => {
    const child = bot({ BOT_MODULE: undefined }, home);
    expect(await child.event("bot.started")).toMatchObject({ module: path.join(ROOT, "bot/chat/index.ts") });
    await child.event("bot.ready");
    const guild = [...discord.world.guilds.values()][0];
    const channel = guild?.channels[0];
    discord.sendMessage({
      guildId: guild?.id,
      channelId: channel?.id ?? "",
      authorId: guild?.ownerId ?? "",
      content: `<@${discord.world.bot.id}> hello`,
      mentionsBot: true,
    });
    await discord.waitFor(() => discord.counts.rest.messagesCreated === 1);
  });

  const broken: Readonly<Record<string, readonly [string, RegExp]>> = {
    "never finishes loading": ["await new Promise(() => {})", /top level has not finished/],
    "throws while it loads": ["throw new Error('no luck')", /loading it failed: no luck/],
    "has no default export": ["export const intents = 1", /has no default export/],
    "has intents that do not exist": ["export default { intents: ['GUILDZ'] }", /has intents that are neither/],
    "has a function of nonsense for its intents": [
      "export default { intents: () => ['GUILDZ'] }",
      /reading what it exports failed: its intents are neither/,
    ],
    "has a function that throws for its intents": [
      "export default { intents() { throw new Error('no luck') } }",
      /reading what it exports failed: no luck/,
    ],
    "throws where it is read": [
      "export default { get intents() { throw new Error('no luck') } }",
      /reading what it exports failed: no luck/,
    ],
    "has a handler that is none": [
      "export default { intents: 1, handlers: { READY: 7 } }",
      /handlers that are not an object of functions/,
    ],
    "lets an error loose while it loads": [
      "setTimeout(() => { throw new Error('loose') }); await new Promise((done) => setTimeout(done, 10_000))",
      /loose/,
    ],
  };
  for (const [what, [source, problem]] of Object.entries(broken)) {
    promise(`that ${what} ends the bot, and the line says so`, {}, async ({ bot, home, discord }) => {
      const file = path.join(home, "broken.mjs");
      writeFileSync(file, source);
      const child = bot({ BOT_MODULE: file });
      expect(await child.ended).toBe(what.includes("loose") ? 70 : 78);
      expect(child.stdout()).toMatch(problem);
      expect(child.lines).toHaveLength(1);
      expect(discord.counts).toMatchObject({ dials: 0, rest: { requests: 0 } });
    });
  }
});
