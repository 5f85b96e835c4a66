// The bundled bot's course of a message: decide, claim, ask the model, store, reply; and of an interaction.

import type { Bot, HandlerContext } from "../defineBot.ts";
import { createAccess } from "./access.ts";
import { createClaims } from "./claims.ts";
import { createCommands } from "./commands.ts";
import { createConversations } from "./conversations.ts";
import { type CommandName, type Decision, decide, type IncomingMessage } from "./decide.ts";
import { partOf } from "./keyPool.ts";
import { createModelQueue, QueueFull } from "./modelQueue.ts";
import { builtinAnswer, noticeText, noticeWindow, type RefusalReason, SILENT_ANSWER, WORDLESS } from "./notices.ts";
import { type QuestionReport, reportOn } from "./report.ts";
import type { Caller } from "./rights.ts";
import { replyCall, typingCall } from "./routes.ts";
import { split } from "./split.ts";
import { statusText } from "./statusText.ts";
import { createThreads } from "./threads.ts";
import { createTyping } from "./typing.ts";
import { createUpstream, UpstreamError } from "./upstream.ts";

/** A message with its member, as MESSAGE_CREATE brings it (events/gateway-events#message-create). */
export interface GuildMessage extends IncomingMessage {
  readonly member?: { readonly roles?: readonly string[]; readonly communication_disabled_until?: string | null };
}

export interface Chat {
  start(): void;
  /** The message is here; its handler may have to wait for the channel's earlier ones. */
  arrived(messageId: string): void;
  /** Any other dispatch, at once. */
  saw(type: string, data: unknown): void;
  onMessage(message: GuildMessage, context: HandlerContext): Promise<void>;
  run(name: Exclude<CommandName, "ignore">, caller: Caller): ReturnType<ReturnType<typeof createCommands>["run"]>;
  channelChanged(channelId: string): void;
  guildChanged(guildId: string): void;
}

// As many questions at the model at once as its provider takes from one key without a 429, and in line for each server.
const MOST_AT_THE_MODEL = 8;
const MOST_WAITING_PER_SERVER = 25;
// From a question's turn to its answer; with three tries of 30 s a stuck provider is given up before.
const ANSWER_MS = 100_000;
// Who has waited for two minutes is told, rather than answered when nobody looks any more; the line gets shorter at once.
const LONGEST_WAIT_MS = 120_000;
const DAY_MS = 86_400_000;
const MOST_ARRIVALS = 10_000;

const INSTRUCTIONS =
  "You are a friendly assistant in a Discord server. Answer briefly and in the language of the question. Write plain text or Markdown.";

export function createChat(bot: Bot): Chat {
  const { clock, environment, telemetry } = bot;
  const channels = new Set(environment.CHAT_CHANNELS ?? []);
  const keys = environment.UPSTREAM_KEYS ?? [];
  const upstream =
    keys.length === 0
      ? undefined
      : createUpstream({
          ...pick(bot),
          url: environment.UPSTREAM_URL,
          model: environment.UPSTREAM_MODEL,
          keys,
          quotas: environment.UPSTREAM_QUOTAS.map((quota) => partOf(quota, environment.TASKS)),
        });
  const threads = createThreads(bot, channels);
  const access = createAccess();
  const claims = createClaims(bot);
  const conversations = createConversations();
  const arrivals = new Map<string, number>();
  const queue = createModelQueue({
    running: MOST_AT_THE_MODEL,
    waitingPerServer: MOST_WAITING_PER_SERVER,
    onWaiting: (waiting) => telemetry.level("QuestionsWaiting", waiting),
  });
  const startedAt = clock.now();
  const commands = createCommands(bot, claims, () =>
    statusText({
      state: bot.status(),
      upMs: clock.now() - startedAt,
      upstream: upstream?.status(),
      waiting: queue.waiting,
    }),
  );
  // An indicator that is not shown matters to nobody.
  const thinking = createTyping(clock, (channelId) => void bot.rest.request(typingCall(channelId)).catch(() => {}));

  const reply = (message: IncomingMessage, suffix: string, content: string): Promise<unknown> =>
    bot.rest.request(replyCall(message, suffix, content, environment.CHAT_PING));

  /** Replies; a refusal of Discord's is remembered for the channel. */
  async function say(message: IncomingMessage, suffix: string, content: string): Promise<void> {
    try {
      await reply(message, suffix, content);
    } catch (error) {
      if (isRefusal(error)) access.deny(message.channel_id, message.guild_id ?? "", clock.wall());
      throw error;
    }
  }

  async function onMessage(message: GuildMessage, context: HandlerContext): Promise<void> {
    const waitedMs = clock.now() - (arrivals.get(message.id) ?? clock.now());
    arrivals.delete(message.id);
    const isMeant = await threads.isMeant(message.channel_id, message.guild_id);
    const decision = decide(message, bot.userId, isMeant);
    try {
      await act(decision, message, context, waitedMs);
    } finally {
      claims.release(message.id);
    }
  }

  async function act(
    decision: Decision,
    message: GuildMessage,
    context: HandlerContext,
    waitedMs: number,
  ): Promise<void> {
    switch (decision.kind) {
      case "nothing":
        return;
      case "withheld":
        return warnOfWithheld(message.channel_id);
      case "wordless":
        if (decision.mentioned) await answer(message, context, undefined, waitedMs);
        return;
      case "question":
        return answer(message, context, decision.text, waitedMs);
      case "command":
        if (decision.name !== "ignore") await command(decision.name, message, context);
    }
  }

  async function warnOfWithheld(channelId: string): Promise<void> {
    const now = clock.wall();
    if (!(await claims.once("warned/withheld", now - (now % DAY_MS) + DAY_MS))) return;
    bot.log("warn", "messages of CHAT_CHANNELS come without content: switch the Message Content Intent on, in Bot", {
      channel: channelId,
    });
  }

  async function command(
    name: Exclude<CommandName, "ignore">,
    message: GuildMessage,
    context: HandlerContext,
  ): Promise<void> {
    const claim = await claims.take(message.id, context.signal);
    if (claim.kind !== "new") return;
    const { roles = [], communication_disabled_until: timeout } = message.member ?? {};
    const result = await commands.run(name, {
      userId: message.author.id,
      guildId: message.guild_id ?? "",
      channelId: message.channel_id,
      roles,
      timedOutUntil: typeof timeout === "string" ? Date.parse(timeout) : undefined,
    });
    try {
      if (result.text !== undefined) await say(message, "0", result.text);
    } finally {
      await claims.finish(message.id);
      result.after?.();
    }
  }

  /** @param text undefined: there is nothing to ask the model. */
  async function answer(
    message: GuildMessage,
    context: HandlerContext,
    text: string | undefined,
    waitedMs: number,
  ): Promise<void> {
    const guildId = message.guild_id ?? "";
    if (access.isDenied(message.channel_id, clock.wall()) || (await commands.isStopped(guildId))) return;
    telemetry.count("Questions");
    const report = reportOn(bot, message, context);
    const claim = await claims.take(message.id, context.signal);
    if (claim.kind === "over") return;
    if (claim.kind === "stored") return send(message, claim.chunks, claim.sent, report, "stored");
    if (waitedMs > LONGEST_WAIT_MS) return refuse(message, report, "busy");
    let said: string;
    try {
      said = text === undefined ? WORDLESS : await ask(message, text, context.signal);
    } catch (error) {
      // The run is ending: a successor takes the question over.
      context.signal.throwIfAborted();
      return failed(message, report, error, text);
    }
    const chunks = split(said.trim() === "" ? SILENT_ANSWER : said);
    await claims.store(message.id, chunks);
    await send(message, chunks, 0, report, upstream === undefined || text === undefined ? "builtin" : "model");
    if (text !== undefined) {
      conversations.remember(message.channel_id, message.author.id, text, said, clock.wall());
    }
  }

  async function ask(message: GuildMessage, text: string, signal: AbortSignal): Promise<string> {
    if (upstream === undefined) return builtinAnswer(text);
    const { channel_id: channelId, author } = message;
    const late = new AbortController();
    const cancel = clock.schedule(ANSWER_MS, () => late.abort(new Error(`no answer within ${ANSWER_MS} ms`)));
    const either = AbortSignal.any([signal, late.signal]);
    const rest = thinking(channelId);
    try {
      return await queue.run(
        message.guild_id ?? "",
        () =>
          upstream.complete(
            [
              { role: "system", content: environment.CHAT_INSTRUCTIONS ?? INSTRUCTIONS },
              ...conversations.recall(channelId, author.id, clock.wall()),
              { role: "user", content: text },
            ],
            either,
          ),
        either,
      );
    } finally {
      rest();
      cancel();
    }
  }

  async function failed(
    message: GuildMessage,
    report: QuestionReport,
    error: unknown,
    text: string | undefined,
  ): Promise<void> {
    if (error instanceof QueueFull) return refuse(message, report, "busy");
    if (error instanceof UpstreamError && (error.kind === "exhausted" || error.kind === "down")) {
      return refuse(message, report, error.kind, error.until);
    }
    report.failed("model", error, text === undefined ? {} : { input: text });
    return refuse(message, report, "failed");
  }

  /** No answer: said once for a channel and window, logged each time. */
  async function refuse(
    message: GuildMessage,
    report: QuestionReport,
    reason: RefusalReason,
    until?: number,
  ): Promise<void> {
    report.refused(reason);
    const window = noticeWindow(reason, clock.wall(), until);
    const key = `notice/${message.channel_id}/${reason}/${window.start}`;
    try {
      if (await claims.once(key, window.end)) await say(message, "n", noticeText(reason, until));
    } catch (error) {
      report.failed("send", error, {});
    } finally {
      await claims.finish(message.id);
    }
  }

  async function send(
    message: GuildMessage,
    chunks: readonly string[],
    sent: number,
    report: QuestionReport,
    source: "model" | "stored" | "builtin",
  ): Promise<void> {
    try {
      for (const [index, chunk] of chunks.entries()) {
        if (index < sent) continue;
        await say(message, String(index), chunk);
        if (index + 1 < chunks.length) await claims.sent(message.id, chunks, index + 1);
      }
    } catch (error) {
      report.failed("send", error, { answer: chunks.join("\n") });
      if (isRefusal(error)) await claims.finish(message.id);
      return;
    }
    await claims.finish(message.id);
    report.answered(chunks.length, source);
  }

  return {
    start() {
      if (channels.size > 0) {
        bot.log("info", "CHAT_CHANNELS needs the Message Content Intent: in the developer portal, Bot, switch it on");
      }
      if (upstream === undefined) bot.log("info", "UPSTREAM_KEYS is not set: a built-in responder answers");
    },
    arrived(messageId) {
      arrivals.set(messageId, clock.now());
      const [oldest] = arrivals.keys();
      if (arrivals.size > MOST_ARRIVALS && oldest !== undefined) arrivals.delete(oldest);
    },
    saw: threads.saw,
    onMessage,
    run: (name, caller) => commands.run(name, caller),
    channelChanged: (channelId) => access.channelChanged(channelId),
    guildChanged: (guildId) => access.guildChanged(guildId),
  };
}

/** Discord does not let the bot write there, or the place is gone: asking again gives the same until something changes. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && "kind" in error && (error.kind === "forbidden" || error.kind === "missing");

const pick = ({ clock, random, telemetry, values, log, signal }: Bot) => ({
  clock,
  random,
  telemetry,
  values,
  log,
  signal,
});
