// A bot that cannot do without a privileged intent, as the bundled one can. For the rehearsal only.

import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";
import { answers } from "./answers.ts";

export default defineBot({
  intents: [...APPLICATION.intents, "MESSAGE_CONTENT"],
  handlers: { MESSAGE_CREATE: answers },
});
