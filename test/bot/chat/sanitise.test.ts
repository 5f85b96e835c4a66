// What a model is given to read: no emoji and no markup, and ordinary text of any script untouched.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sanitise } from "../../../bot/chat/sanitise.ts";

describe("sanitising", () => {
  it.each([
    ["a plain emoji", "good 👍 morning", "good morning"],
    ["an emoji between words", "good👍morning", "good morning"],
    ["a family joined by ZWJ", "we 👨‍👩‍👧‍👦 go", "we go"],
    ["a skin tone", "hi 👋🏽!", "hi!"],
    ["flags", "🇩🇪🇫🇷 win", "win"],
    ["a subdivision flag", "go 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "go"],
    ["a keycap", "press 1️⃣ now", "press now"],
    ["a heart made an emoji by its selector", "I ❤️ it", "I it"],
    ["custom emoji", "so <:blobcat:123456789012345678> <a:dance:123456789012345678> nice", "so nice"],
    ["a user's mention", "ask <@123456789012345678> and <@!123456789012345678>", "ask and"],
    ["role and channel", "<@&123456789012345678> see <#123456789012345678>.", "see."],
    ["server navigation", "look at <id:customize> first", "look at first"],
    ["a command's mention", "use </airhorn play:816437322781949972> please", "use /airhorn play please"],
    ["a timestamp", "at <t:1618953630:R>?", "at 2021-04-20?"],
    ["a timestamp too short for its day", "at <t:0> sharp", "at sharp"],
    ["a timestamp beyond all time", "at <t:9999999999999:F> sharp", "at sharp"],
    ["an attachment's link", "see https://cdn.discordapp.com/attachments/1/2/a.png?ex=1 here", "see here"],
    ["a picker's GIF", "https://tenor.com/view/cat-gif-1 lol https://media1.giphy.com/media/x/giphy.gif", "lol"],
    ["any GIF", "look <https://example.com/a.GIF?x=1>", "look"],
    ["halves that the removal joins", "<@<@1>1> x", "x"],
    ["nothing but pictures", " 🎉 <:party:123456789012345678>🎉 ", ""],
  ])("takes out %s", (_what, given, expected) => {
    expect(sanitise(given)).toBe(expected);
  });

  it.each([
    "Was kostet ein Straßenbahnticket? 3 € oder 4 €",
    "© 2024 ™ ® ❤ ✓ → ½ #1 *2* 3",
    "क्षत्रिय श्री हिन्दी में लिखो",
    "മലയാളം ക്‍ഷ ഇവിടെ",
    "می‌خواهم بدانم",
    "ภาษาไทยไม่มีช่องว่าง",
    "日本語で「質問」があります。どうぞ！",
    "한국어 질문입니다",
    "שלום, מה שלומך?",
    "👩".normalize("NFD").slice(2) || "ordinary",
    "if (a < b && c > d) return <T>x;",
    "```ts\n  const a: Map<string, number> = new Map();\n```",
    "see https://example.com/page?id=1#top and https://github.com/a/b",
    "e\u0301te\u0301 n\u0303",
    "12:30 is <not> a time, nor is a:b:c",
  ])("leaves %s as it is", (text) => {
    expect(sanitise(text)).toBe(text);
  });

  const pieces = fc.constantFrom(
    ...[
      "<@1>",
      "<@",
      "1>",
      "<:a:1>",
      "<a:b:2>",
      "<t:0:R>",
      "<t:1618953630>",
      "</a b:1>",
      "<",
      ">",
      " ",
      "\n",
      "\u200D",
    ],
    ...[
      "👍",
      "👨‍👩‍👧",
      "🇩",
      "🇪",
      "1",
      "\uFE0F",
      "\u20E3",
      "🏽",
      "❤",
      "\uD83D",
      "\uDE00",
      "https://tenor.com/",
      "x.gif",
    ],
    ...["क्ष", "word", "https://", "cdn.discordapp.com/", "日本", "e\u0301"],
  );
  const soup = fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join(""));
  const anything = fc.oneof(soup, fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }));

  it("changes nothing the second time, and never makes a text longer", () => {
    fc.assert(
      fc.property(anything, (text) => {
        const once = sanitise(text);
        expect(sanitise(once)).toBe(once);
        expect(once.length).toBeLessThanOrEqual(text.length);
        expect([...once].length).toBeLessThanOrEqual([...text].length);
        expect(once.isWellFormed()).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it("leaves no emoji and no markup behind", () => {
    fc.assert(
      fc.property(anything, (text) => {
        expect(sanitise(text)).not.toMatch(/\p{RGI_Emoji_Flag_Sequence}|\p{Emoji_Presentation}|<@\d+>|<a?:\w+:\d+>/v);
      }),
      { numRuns: 2_000 },
    );
  });

  it("breaks no ordinary text in any script", () => {
    const scripts = ["Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Tamil", "Thai", "Han", "Hangul"];
    const letters = new RegExp(
      `^[${scripts.map((name) => `\\p{Script=${name}}`).join("")}\\p{M}\\p{P}\\p{N}\\s]$`,
      "u",
    );
    const letter = fc
      .integer({ min: 0x20, max: 0xffff })
      .map((point) => String.fromCodePoint(point))
      .filter((text) => letters.test(text) && !/[<>:]/.test(text) && text !== "\u20E3" && text !== "\uFE0F");
    fc.assert(
      fc.property(fc.string({ unit: letter }), (text) => {
        expect(sanitise(text)).toBe(text.trim());
      }),
      { numRuns: 1_000 },
    );
  });

  it("takes a hostile text of the longest kind in its stride", () => {
    expect(sanitise("<@".repeat(1_300) + "1>".repeat(700)).length).toBeLessThanOrEqual(4_000);
  });
});
