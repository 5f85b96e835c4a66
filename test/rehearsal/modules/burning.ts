// A bot that does not take no for an answer: asks for message after message where it has no access. For the rehearsal only.

import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";

// A hundred refused requests a question, twelve questions a minute: Discord's 10,000 in 10 min would be reached.
const REQUESTS = 100;

export default defineBot({
  intents: APPLICATION.intents,
  handlers: {
    async MESSAGE_CREATE(message, bot) {
      if (!message.content.includes("history")) return;
      for (let place = 0; place < REQUESTS; place++) {
        const path = `/channels/${message.channel_id}/messages/${BigInt(message.id) - BigInt(place)}`;
        await bot.rest.request({ method: "GET", path }).catch(() => undefined);
      }
    },
  },
});
