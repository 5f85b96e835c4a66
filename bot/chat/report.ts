// One structured line for each question's end, for whoever looks into it later; keys never get in, words only if wanted.

import type { Bot, HandlerContext } from "../defineBot.ts";
import type { IncomingMessage } from "./decide.ts";
import type { RefusalReason } from "./notices.ts";

/** Where a question failed. */
export type Stage = "model" | "send";

export interface QuestionReport {
  answered(chunks: number, source: "model" | "stored" | "builtin"): void;
  refused(reason: RefusalReason): void;
  failed(stage: Stage, error: unknown, words: { readonly input?: string; readonly answer?: string }): void;
}

const LONGEST_WORDS = 300;
const LONGEST_ERROR = 1_000;

/** The lines of one question share a correlation: the gateway's shard and sequence; its replies' nonces begin with its id. */
export function reportOn(bot: Bot, message: IncomingMessage, context: HandlerContext): QuestionReport {
  const { environment, telemetry, clock } = bot;
  const since = clock.now();
  const place = {
    correlation: `${context.shard}.${context.sequence}`,
    guild: message.guild_id ?? "",
    channel: message.channel_id,
    message: message.id,
  };
  const redacted = (text: string): string =>
    (environment.UPSTREAM_KEYS ?? []).reduce((left, key) => left.replaceAll(key.reveal(), "[secret]"), text);
  const words = (text: string | undefined): string | null =>
    text === undefined || !environment.CHAT_LOG_CONTENT ? null : redacted(text).slice(0, LONGEST_WORDS).toWellFormed();

  return {
    answered(chunks, source) {
      telemetry.count("QuestionsAnswered");
      telemetry.event("chat.answered", { ...place, chunks, source, tookMs: Math.round(clock.now() - since) });
    },
    refused(reason) {
      telemetry.count("QuestionsRefused");
      telemetry.event("chat.refused", { ...place, reason });
    },
    failed(stage, error, { input, answer }) {
      const text = redacted(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
      const cut = text.slice(0, LONGEST_ERROR);
      telemetry.event("chat.failed", { ...place, stage, error: cut, input: words(input), answer: words(answer) });
    },
  };
}
