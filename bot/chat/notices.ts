// What the bot says by itself, besides answers.

/** Why a question gets no answer. */
export type RefusalReason = "exhausted" | "down" | "busy" | "failed";

const MINUTE_MS = 60_000;

/** Milliseconds in which one notice of that kind is enough for a channel; exhausted: until a key comes back. */
const WINDOW_MS: Readonly<Record<Exclude<RefusalReason, "exhausted">, number>> = {
  down: 5 * MINUTE_MS,
  busy: MINUTE_MS,
  failed: MINUTE_MS,
};

/** The window that `now` lies in: one notice in it is enough. @param until when a key comes back, ms since 1970 */
export function noticeWindow(reason: RefusalReason, now: number, until = now): { start: number; end: number } {
  if (reason === "exhausted") return { start: until, end: Math.max(until, now + MINUTE_MS) };
  const length = WINDOW_MS[reason];
  const start = now - (now % length);
  return { start, end: start + length };
}

export function noticeText(reason: RefusalReason, until: number | undefined): string {
  switch (reason) {
    case "exhausted":
      // Discord shows the time in each reader's own zone (reference#message-formatting).
      return until === undefined
        ? "I have used up what I may ask for now. Please try again later."
        : `I have used up what I may ask for now. I am back <t:${Math.ceil(until / 1_000)}:R>.`;
    case "down":
      return "My thoughts are out of reach at the moment. Please try again in a few minutes.";
    case "busy":
      return "So many of you ask at once that I cannot keep up. Please try again in a minute.";
    case "failed":
      return "I could not find an answer to that. Please try again.";
  }
}

export const WORDLESS = "You called? Ask me something in words.";
export const SILENT_ANSWER = "I have nothing to say to that.";
export const NOT_ALLOWED = "Sorry, that is for this server's moderators.";
export const NOT_OPERATOR = "Sorry, that is for whoever runs me.";
export const STOPPED = "I am silent in this server now. `$start` brings me back.";
export const STARTED = "I am listening again.";
export const REBOOTING = "I am starting anew; back in a moment.";
export const REBOOTED_LATELY = "I started anew less than ten minutes ago. Please wait a little.";
export const COMMAND_FAILED = "That did not work; my log says why. Please try again.";

// Room for the quotation marks and the words around it in one message of 2,000.
const LONGEST_QUOTATION = 1_500;

/** What the bot says without a model: enough to see that it works. */
export function builtinAnswer(question: string): string {
  const points = [...question];
  const quoted = points.length <= LONGEST_QUOTATION ? question : `${points.slice(0, LONGEST_QUOTATION).join("")}…`;
  return `I heard you: "${quoted}". I have no model to think with yet; whoever runs me can set UPSTREAM_KEYS.`;
}
