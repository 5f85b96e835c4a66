// The handler that the rehearsal's own modules share: answers whoever mentions the bot, as the bundled bot does.

import type { Handler } from "../../../bot/defineBot.ts";

export const answers: Handler<"MESSAGE_CREATE"> = async (message, bot) => {
  if (message.author.bot === true || !message.mentions.some(({ id }) => id === bot.userId)) return;
  await bot.reply(message, "I am here.");
};
