// Long answers in parts: within Discord's limit, nothing lost, cut where a reader would pause.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LONGEST_CONTENT, split } from "../../../bot/chat/split.ts";

const points = (text: string): number => [...text].length;
const fences = (text: string): number => text.split("\n").filter((line) => /^ {0,3}```/.test(line)).length;

describe("splitting", () => {
  it.each([
    ["a short text", "Hello.", ["Hello."]],
    ["blanks alone", " \n ", []],
    ["exactly as much as fits", "x".repeat(2_000), ["x".repeat(2_000)]],
    ["code points, not UTF-16 units", "𝒳".repeat(2_000), ["𝒳".repeat(2_000)]],
  ])("gives %s in one part or none", (_what, text, parts) => {
    expect(split(text)).toEqual(parts);
  });

  it("cuts between paragraphs, then sentences, then lines, then words", () => {
    const sentence = `Word ${"word ".repeat(9).trim()}.`;
    const paragraph = Array.from({ length: 12 }, () => sentence).join(" ");
    for (const part of split(Array.from({ length: 8 }, () => paragraph).join("\n\n"))) {
      expect(part.startsWith("Word")).toBe(true);
      expect(part.endsWith("word.")).toBe(true);
    }
    for (const part of split(Array.from({ length: 100 }, () => sentence).join(" ")))
      expect(part).toMatch(/^Word .*word\.$/);
    expect(split("文は短い。".repeat(700)).every((part) => part.endsWith("。"))).toBe(true);
    for (const part of split("item\n".repeat(900))) expect(part).toMatch(/^item[\s\S]*item$/);
    for (const part of split("word ".repeat(900))) expect(part).toMatch(/^word .*word$/);
  });

  it("cuts before a code block rather than through it", () => {
    const block = `\`\`\`ts\n${"call();\n".repeat(150)}\`\`\``;
    const text = `${"Some words before it. ".repeat(60)}\n${block}\nAnd after.`;
    const parts = split(text);
    expect(parts).toHaveLength(2);
    expect(parts[1]).toBe(`${block}\nAnd after.`);
  });

  it("closes a code block that is too long and opens it again in its language", () => {
    const parts = split(`Look:\n\`\`\`python\n${"    value = compute(1)\n".repeat(300)}\`\`\`\nDone.`);
    expect(parts.length).toBeGreaterThan(3);
    for (const [index, part] of parts.entries()) {
      expect(fences(part) % 2).toBe(0);
      if (index > 0) expect(part.startsWith("```python\n    value")).toBe(true);
    }
    expect(parts.at(-1)).toMatch(/\n```\nDone\.$/);
    expect(parts.join("\n").match(/compute/g)).toHaveLength(300);
  });

  it("cuts no code block's marks", () => {
    const parts = split(`${"x".repeat(101)}\n\`\`\`\n${"x".repeat(99)}\n\`\`\`js\nword`, 109);
    expect(parts.join("\n")).toContain("\n```js\nword");
  });

  it("cuts no grapheme, unless one alone is too long", () => {
    const parts = split("👨‍👩‍👧‍👦".repeat(600));
    expect(parts.join("")).toBe("👨‍👩‍👧‍👦".repeat(600));
    for (const part of parts) expect(part.replaceAll("👨‍👩‍👧‍👦", "")).toBe("");
    expect(split(`e${"\u0301".repeat(5_000)}`).length).toBeGreaterThan(2);
  });

  const word = fc.constantFrom(
    "a",
    "word",
    "end.",
    "\n",
    "\n\n",
    "\n```\n",
    "\n```js\n",
    " ",
    "。",
    "👨‍👩‍👧",
    "x".repeat(150),
  );
  const texts = fc.array(word, { maxLength: 120 }).map((parts) => parts.join(""));

  it("keeps every part within the limit, none blank, and every word in order", () => {
    const letters = (text: string): string => text.replaceAll(/\s|```(?:js)?/g, "");
    fc.assert(
      fc.property(texts, fc.integer({ min: 100, max: 400 }), (text, limit) => {
        const parts = split(text, limit);
        for (const part of parts) {
          expect(points(part)).toBeLessThanOrEqual(limit);
          expect(part.trim()).not.toBe("");
        }
        expect(letters(parts.join("\n"))).toBe(letters(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it("keeps the limit for anything at all", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 5_000 }), (text) => {
        for (const part of split(text)) expect(points(part)).toBeLessThanOrEqual(LONGEST_CONTENT);
      }),
    );
  });
});
