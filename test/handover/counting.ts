// A bot that says when it starts to handle each message, and claims nothing: an event that is handled twice shows.

import { defineBot } from "../../bot/defineBot.ts";
import { INTENTS } from "../../shared/application.ts";

export default defineBot({
  intents: INTENTS.GUILDS | INTENTS.GUILD_MESSAGES,
  handlers: {
    MESSAGE_CREATE({ id }, bot) {
      bot.log("info", "handles", { id, at: bot.clock.wall() });
    },
  },
});
