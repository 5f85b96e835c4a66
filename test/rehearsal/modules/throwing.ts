// A bot with a defect: some questions make its handler throw. For the rehearsal only.

import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";
import { answers } from "./answers.ts";

export default defineBot({
  intents: APPLICATION.intents,
  handlers: {
    async MESSAGE_CREATE(message, bot, context) {
      if (message.content.includes("divide by zero")) throw new RangeError("Division by zero");
      await answers(message, bot, context);
    },
  },
});
