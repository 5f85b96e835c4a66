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
        // No time in milliseconds: not a metric document at all. No number: a document with an unacceptable value.
        const document = {
          _aws: { Timestamp: "now", CloudWatchMetrics: [directive] },
          Stack: "rehearsal",
          Heartbeat: 1,
        };
        const value = {
          _aws: { Timestamp: Date.now(), CloudWatchMetrics: [directive] },
          Stack: "rehearsal",
          Heartbeat: "one",
        };
        for (const line of [document, value]) writeSync(1, `${JSON.stringify(line)}\n`);
      }
      await answers(message, bot, context);
    },
  },
});
