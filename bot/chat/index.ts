// The bundled bot: answers whoever mentions it. Replace this module with your own by BOT_MODULE.

import { APPLICATION } from "../../shared/application.ts";
import { defineBot } from "../defineBot.ts";
import { answerTo } from "./answer.ts";

export default defineBot({
  intents: APPLICATION.intents,
  permissions: APPLICATION.permissions,
  handlers: {
    async MESSAGE_CREATE(message, bot) {
      const answer = answerTo(message, bot.userId);
      if (answer !== undefined) await bot.reply(message, answer);
    },
  },
});
