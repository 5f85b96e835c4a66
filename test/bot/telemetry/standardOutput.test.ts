// Stdout that is full, gone or slow: whole lines or none, and never a bot that waits for ever.

import { expect, it } from "vitest";
import { standardOutput } from "../../../bot/telemetry/standardOutput.ts";

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** A stdout of which each write does what the next of `answers` says: so many bytes, or an error; afterwards all. */
function scripted(answers: readonly (number | string)[]) {
  const left = [...answers];
  let text = "";
  let waitedMs = 0;
  const line = standardOutput({
    write(bytes, offset) {
      const answer = left.shift();
      if (typeof answer === "string") throw failure(answer);
      const taken = Math.min(answer ?? Infinity, bytes.length - offset);
      text += Buffer.from(bytes.subarray(offset, offset + taken)).toString("utf8");
      return taken;
    },
    pause(milliseconds) {
      waitedMs += milliseconds;
    },
  });
  return { line, text: () => text, waitedMs: () => waitedMs };
}

it.each([
  { means: "takes all", answers: [], text: "one\ntwo\n" },
  { means: "takes a byte at a time", answers: [1, 1, 1, 1, 1], text: "one\ntwo\n" },
  { means: "is full for a moment", answers: ["EAGAIN", "EAGAIN", 2, "EAGAIN"], text: "one\ntwo\n" },
  { means: "has no reader any more", answers: ["EPIPE", "EPIPE"], text: "" },
  { means: "is a disk that was full", answers: ["ENOSPC"], text: "two\n" },
  { means: "is a disk that fills in the middle of a line", answers: [2, "ENOSPC"], text: "on\ntwo\n" },
  { means: "stays closed in the middle of a line", answers: [2, "ENOSPC", "ENOSPC"], text: "on" },
])("keeps lines whole where stdout $means", ({ answers, text }) => {
  const out = scripted(answers);
  out.line("one\n");
  out.line("two\n");
  expect(out.text()).toBe(text);
});

it("waits five seconds for a reader once, not for every line", () => {
  const out = scripted(Array.from({ length: 1_003 }, () => "EAGAIN"));
  out.line("one\n");
  expect(out.waitedMs()).toBe(5_000);
  out.line("two\n");
  out.line("three\n");
  expect(out.waitedMs()).toBe(5_000);
  out.line("four\n");
  expect(out.text()).toBe("four\n");
});
