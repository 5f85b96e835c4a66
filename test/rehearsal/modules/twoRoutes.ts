// A bot on two routes: answers, and meanwhile looks itself up. For the rehearsal only.

import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";
import { answers } from "./answers.ts";

export default defineBot({
  intents: APPLICATION.intents,
  handlers: {
    async MESSAGE_CREATE(message, bot, context) {
      const answered = answers(message, bot, context);
      // Sent after the reply and under way with it: whether this one passes tells a ban of the route from one of the address.
      const looked = bot.rest.request({ method: "GET", path: "/users/@me" });
      await Promise.allSettled([answered, looked]);
    },
  },
});
