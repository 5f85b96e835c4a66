// How the handlers of one type become one, and what a bot sends.

import { describe, expect, it } from "vitest";
import { type BotFaceParts, createBotFace } from "../../bot/botFace.ts";
import type { RestCall } from "../../bot/defineBot.ts";

const context = { shard: 0, sequence: 1, signal: new AbortController().signal };

/** A face of which only handlers and requests are used. */
function face(handlers: BotFaceParts["handlers"], request: (call: RestCall) => Promise<unknown> = async () => ({})) {
  const parts = { handlers, rest: { request } } as Partial<BotFaceParts> as BotFaceParts;
  return createBotFace(parts);
}

describe("the handlers of a type", () => {
  it("are none where the module has none", () => {
    expect(face({}).handlerOf("TYPING_START")).toBeUndefined();
  });

  it("end at once where the only one does, and give its promise where it waits", async () => {
    const { bot, handlerOf } = face({ TYPING_START: () => "done", RESUMED: async () => "later" });
    expect(handlerOf("TYPING_START")?.({}, context)).toBe("done");
    const waiting = handlerOf("RESUMED")?.({}, context);
    expect(waiting).toBeInstanceOf(Promise);
    expect(await waiting).toBe("later");
    expect(bot).toBeDefined();
  });

  it("run one after the other, each when the one before has ended; a failure ends the row", async () => {
    const steps: string[] = [];
    const gate = Promise.withResolvers<void>();
    const { bot, handlerOf } = face({
      async TYPING_START() {
        await gate.promise;
        steps.push("first");
      },
    });
    bot.on("TYPING_START", () => {
      steps.push("second");
      throw new Error("broken");
    });
    bot.on("TYPING_START", () => steps.push("third"));
    const ended = handlerOf("TYPING_START")?.({}, context);
    expect(steps).toEqual([]);
    gate.resolve();
    await expect(ended).rejects.toThrow("broken");
    expect(steps).toEqual(["first", "second"]);
  });

  it("get data, bot and context", () => {
    const seen: unknown[] = [];
    const { bot, handlerOf } = face({ TYPING_START: (...given) => seen.push(...given) });
    handlerOf("TYPING_START")?.({ user_id: "1" }, context);
    expect(seen).toEqual([{ user_id: "1" }, bot, context]);
  });
});

describe("a message", () => {
  it("pings nobody, and answers the one it replies to", async () => {
    const calls: RestCall[] = [];
    const { bot } = face({}, async (call) => {
      calls.push(call);
      return { id: "9" };
    });
    expect(await bot.send("5", "hello")).toBe("9");
    expect(await bot.reply({ channel_id: "5", id: "7" }, "hi")).toBe("9");
    const quiet = { parse: [], replied_user: false };
    expect(calls).toEqual([
      { method: "POST", path: "/channels/5/messages", body: { content: "hello", allowed_mentions: quiet } },
      {
        method: "POST",
        path: "/channels/5/messages",
        body: {
          content: "hi",
          message_reference: { message_id: "7", fail_if_not_exists: false },
          allowed_mentions: quiet,
        },
      },
    ]);
  });

  it("is told apart from an answer that names none", async () => {
    await expect(face({}).bot.send("5", "hello")).rejects.toThrow("without an id");
  });
});
