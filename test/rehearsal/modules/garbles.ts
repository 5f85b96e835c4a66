// A bot that writes metric lines that CloudWatch cannot read, past the runtime's guard as native code could. For the
// rehearsal only.

import { writeSync } from "node:fs";
import { defineBot } from "../../../bot/defineBot.ts";
import { APPLICATION } from "../../../shared/application.ts";
import { answers } from "./answers.ts";

const directive = {
  Namespace: "Mooring",
  Dimensions: [["Stack"]],
  Metrics: [{ Name: "Heartbeat", Unit: "Count" }],
};

export default defineBot({
  intents: APPLICATION.intents,
  handlers: {
    async MESSAGE_CREATE(message, bot, context) {
      if (message.content.includes("garbled")) {
        // No time in milliseconds: not a metric document at all.
        const document = {
          _aws: { Timestamp: "now", CloudWatchMetrics: [directive] },
          Stack: "rehearsal",
          Heartbeat: 1,
        };
        writeSync(1, `${JSON.stringify(document)}\n`);
      }
      await answers(message, bot, context);
    },
  },
});
