// Which messages are for the bot, and what they are to it.

import { describe, expect, it } from "vitest";
import { decide, type IncomingMessage } from "../../../bot/chat/decide.ts";

const BOT = "1100000000000000000";
const MENTION = [{ id: BOT }];
const message = (given: Partial<IncomingMessage>): IncomingMessage => ({
  id: "1",
  channel_id: "7",
  guild_id: "5",
  type: 0,
  content: "",
  author: { id: "9" },
  mentions: [],
  attachments: [],
  ...given,
});

describe("deciding", () => {
  it.each<[string, Partial<IncomingMessage>, object]>([
    ["a mention", { content: `<@${BOT}> why?`, mentions: MENTION }, { kind: "question", text: "why?" }],
    ["an old mention", { content: `<@!${BOT}> why?`, mentions: MENTION }, { kind: "question", text: "why?" }],
    ["a reply that mentions", { type: 19, content: "and?", mentions: MENTION }, { kind: "question", text: "and?" }],
    ["nobody's name", { content: "hello" }, { kind: "nothing" }],
    ["another's name", { content: "<@1>", mentions: [{ id: "1" }] }, { kind: "nothing" }],
    ["words in a configured channel", { channel_id: "8", content: "hello" }, { kind: "question", text: "hello" }],
    ["the bot's own words", { author: { id: BOT }, channel_id: "8", content: "hello" }, { kind: "nothing" }],
    ["a bot", { author: { id: "9", bot: true }, content: "x", mentions: MENTION }, { kind: "nothing" }],
    ["a webhook", { webhook_id: "3", content: "x", mentions: MENTION }, { kind: "nothing" }],
    ["a direct message", { guild_id: undefined as never, content: "x", mentions: MENTION }, { kind: "nothing" }],
    ["news of Discord's own", { type: 7, channel_id: "8", content: "x" }, { kind: "nothing" }],
    ["an emoji", { content: `<@${BOT}> 👍`, mentions: MENTION }, { kind: "wordless", mentioned: true }],
    ["a picture", { channel_id: "8", attachments: [{}] }, { kind: "wordless", mentioned: false }],
    ["a sticker", { channel_id: "8", sticker_items: [{}] }, { kind: "wordless", mentioned: false }],
    ["a bare mention", { content: `<@${BOT}>`, mentions: MENTION }, { kind: "wordless", mentioned: true }],
    ["nothing in a configured channel", { channel_id: "8" }, { kind: "withheld" }],
    ["$ignore", { channel_id: "8", content: "$ignore this" }, { kind: "command", name: "ignore" }],
    ["$Stop", { content: `<@${BOT}> $Stop`, mentions: MENTION }, { kind: "command", name: "stop" }],
    ["$stop unasked", { content: "$stop" }, { kind: "nothing" }],
    ["a price", { channel_id: "8", content: "$5 is what?" }, { kind: "question", text: "$5 is what?" }],
    ["no command", { channel_id: "8", content: "$stopwatch?" }, { kind: "question", text: "$stopwatch?" }],
    ["a variable", { channel_id: "8", content: "$status$x" }, { kind: "question", text: "$status$x" }],
  ])("%s", (_what, given, expected) => {
    expect(decide(message(given), BOT, given.channel_id === "8")).toEqual(expected);
  });

  it("answers nobody before it knows who it is", () => {
    expect(decide(message({ content: "x", mentions: MENTION }), undefined, true)).toEqual({
      kind: "nothing",
    });
  });
});
