// A bot whose handlers hang while the question says so, until somebody says "enough". For the rehearsal only.

import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";

let release: () => void = () => {};
const released = new Promise<void>((resolve) => {
  release = resolve;
});

export default defineBot({
  intents: APPLICATION.intents,
  handlers: {
    async MESSAGE_CREATE(message) {
      if (message.content.includes("hang")) await released;
    },
  },
  // Sees the message at once, while the handlers of its channel wait in line.
  onDispatch(_shard, _sequence, type, data) {
    const content = typeof data === "object" && data !== null && "content" in data ? data.content : undefined;
    if (type === "MESSAGE_CREATE" && content === "enough") release();
  },
});
