// What a bot module may export, and what is told about one that exports something else.

import { describe, expect, it } from "vitest";
import chatBot from "../../bot/chat/index.ts";
import { definitionProblems, isBotDefinition } from "../../bot/defineBot.ts";
import { APPLICATION, intentBits } from "../../shared/application.ts";
import { parseEnvironment } from "../../shared/environment.ts";

describe("a definition", () => {
  it.each([
    ["names", { intents: ["GUILDS"] }],
    ["bits", { intents: 513 }],
    ["a function of the settings", { intents: () => ["GUILDS"] }],
    [
      "all there is",
      { intents: 0, optionalIntents: ["MESSAGE_CONTENT"], permissions: 0n, key: () => undefined, handlers: {} },
    ],
  ])("may have %s", (_what, definition) => {
    expect(definitionProblems(definition)).toEqual([]);
    expect(isBotDefinition(definition)).toBe(true);
  });

  it.each<[string, object, string]>([
    ["intents", { intents: ["GUILDS", "EVERYTHING"] }, "intents that are neither"],
    ["intents", { intents: -1 }, "intents that are neither"],
    ["optionalIntents", { intents: 0, optionalIntents: 5 }, "optionalIntents"],
    ["permissions", { intents: 0, permissions: ["FLY"] }, "permissions"],
    ["key", { intents: 0, key: "channel" }, "key that is not a function"],
    ["handlers", { intents: 0, handlers: { READY: 1 } }, "handlers"],
    ["start", { intents: 0, start: 1 }, "start"],
    ["onDispatch", { intents: 0, onDispatch: 1 }, "onDispatch"],
  ])("is refused for its %s", (_what, definition, problem) => {
    expect(definitionProblems(definition)).toEqual([expect.stringContaining(problem)]);
  });
});

describe("the bundled bot", () => {
  const intentsWith = (given: Readonly<Record<string, string>>): number => {
    const parsed = parseEnvironment({ DISCORD_TOKEN: "a.token.for-tests", ...given });
    if (!parsed.ok || typeof chatBot.intents !== "function") throw new Error("not as it is meant to be");
    return intentBits(chatBot.intents(parsed.environment));
  };

  it("asks for what the invite link and the portal are made from, and no more", () => {
    expect(chatBot.permissions).toEqual(APPLICATION.permissions);
    expect(chatBot.optionalIntents).toEqual(["MESSAGE_CONTENT"]);
    expect(intentsWith({})).toBe(513);
    expect(intentsWith({ CHAT_CHANNELS: "1300000000000000000" })).toBe(513 | (1 << 15));
  });
});
