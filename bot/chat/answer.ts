// What the bundled bot says, decided without doing anything: which messages it answers and with which words.

/** The part of a MESSAGE_CREATE that an answer depends on (resources/message#message-object). */
export interface Question {
  readonly id: string;
  readonly channel_id: string;
  readonly content: string;
  readonly author: { readonly id: string; readonly bot?: boolean };
  readonly mentions: readonly { readonly id: string }[];
}

/** The words of the answer, or undefined when the message is not for the bot. */
export function answerTo(question: Question, botUserId: string | undefined): string | undefined {
  if (question.author.bot === true || botUserId === undefined) return undefined;
  if (!question.mentions.some((mentioned) => mentioned.id === botUserId)) return undefined;
  const words = question.content.replace(/<@!?\d+>/g, "").trim();
  return words === "" ? "You called? Ask me something." : `I heard you: "${shorten(words)}"`;
}

// Discord: content is at most 2,000 code points (resources/message#create-message); the quotation leaves room for itself.
const LONGEST_QUOTATION = 1_500;

function shorten(words: string): string {
  const points = [...words];
  return points.length <= LONGEST_QUOTATION ? words : `${points.slice(0, LONGEST_QUOTATION - 1).join("")}…`;
}
