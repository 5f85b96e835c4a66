// The bundled bot's module with everything around it in a test's hand: Discord's answers, the clock, the ledger.

import { createBotFace } from "../../../bot/botFace.ts";
import chatBot from "../../../bot/chat/index.ts";
import type { Bot, HandlerContext, RestCall } from "../../../bot/defineBot.ts";
import type { Values } from "../../../bot/ledger/ledger.ts";
import { createMemoryLedger } from "../../../bot/ledger/memory.ts";
import { parseEnvironment } from "../../../shared/environment.ts";
import { type VirtualClock, virtualClock } from "../../virtualClock.ts";
import { type RecordingTelemetry, recordingTelemetry } from "../telemetry/recordingTelemetry.ts";

export const BOT_ID = "1100000000000000000";
export const GUILD_ID = "1200000000000000000";
export const CHANNEL_ID = "1300000000000000000";
export const OWNER_ID = "1400000000000000000";
export const ASKER_ID = "1500000000000000000";

/** One reply that went out. */
export interface Sent {
  readonly channel: string;
  readonly content: string;
  readonly nonce: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** One run of the bot, as one process. */
export interface Run {
  readonly bot: Bot;
  readonly telemetry: RecordingTelemetry;
  readonly calls: RestCall[];
  readonly logged: { readonly level: string; readonly message: string }[];
  readonly restarts: () => number;
  replies(): Sent[];
  /** Makes the next calls of that kind fail so. */
  refuse(fits: (call: RestCall) => boolean, error: Error): void;
  /** The handler of an event, as the dispatcher would call it. */
  event(type: string, data: unknown, signal?: AbortSignal): Promise<void>;
  /** Someone writes to the bot. @returns the message's id and when its handler is done */
  write(given: Partial<WrittenMessage> | string): { readonly id: string; readonly done: Promise<void> };
  /** Ends it as a kill does: nothing is tidied up. */
  kill(): void;
  /** Ends it as a drain does. */
  end(): void;
}

export interface WrittenMessage {
  readonly id: string;
  readonly content: string;
  readonly channel_id: string;
  readonly guild_id: string;
  readonly author: { readonly id: string; readonly bot?: boolean };
  readonly mentions: readonly { readonly id: string }[];
  readonly member: { readonly roles: readonly string[] };
  readonly attachments: readonly unknown[];
}

export interface ChatBench {
  readonly clock: VirtualClock;
  readonly values: Values;
  /** What the next calls answer, by their method and path. */
  readonly answers: Map<string, unknown>;
  run(environment?: Readonly<Record<string, string>>): Promise<Run>;
}

let written = 0n;

export function chatBench(given: { values?: Values; wall?: number } = {}): ChatBench {
  const clock = virtualClock(given.wall ?? Date.UTC(2026, 2, 15, 12, 10));
  const values = given.values ?? createMemoryLedger().values;
  const answers = new Map<string, unknown>([
    [`GET /guilds/${GUILD_ID}`, { owner_id: OWNER_ID, roles: [{ id: GUILD_ID, permissions: "68608" }] }],
    [`GET /channels/${CHANNEL_ID}`, { type: 0, permission_overwrites: [] }],
    ["GET /applications/@me", { id: BOT_ID }],
  ]);

  const run = async (environment: Readonly<Record<string, string>> = {}): Promise<Run> => {
    const parsed = parseEnvironment({ DISCORD_TOKEN: "a.token.for-tests", ...environment });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    const telemetry = recordingTelemetry();
    const logged: Run["logged"] = [];
    const calls: RestCall[] = [];
    const refusals: { fits: (call: RestCall) => boolean; error: Error }[] = [];
    const ending = new AbortController();
    const handling = new AbortController();
    let restarts = 0;
    let sequence = 0;
    let messages = 0;
    const intents = typeof chatBot.intents === "function" ? chatBot.intents(parsed.environment) : chatBot.intents;
    const face = createBotFace({
      environment: parsed.environment,
      clock,
      random: Math.random,
      values,
      telemetry: { ...telemetry, log: (level, message) => void logged.push({ level, message }) },
      signal: ending.signal,
      handlers: chatBot.handlers ?? {},
      rest: {
        async request<Result>(call: RestCall): Promise<Result> {
          calls.push(call);
          const refusal = refusals.find(({ fits }) => fits(call));
          if (refusal !== undefined) throw refusal.error;
          const answer = answers.get(`${call.method} ${call.path}`) ?? { id: String(++messages) };
          return answer as Result;
        },
      },
      userId: () => BOT_ID,
      intents: () => (typeof intents === "number" ? intents : 513),
      setPresence: () => {},
      requestGuildMembers: () => Promise.reject(new Error("not in these tests")),
      status: () => ({ shards: [{ state: "ready", ackMs: 42 }], metrics: { RateLimited: 1, QuestionsAnswered: 2 } }),
      stop: () => {},
      restart: () => void restarts++,
    });
    const event = async (type: string, data: unknown, signal = handling.signal): Promise<void> => {
      sequence++;
      chatBot.onDispatch?.(0, sequence, type, data);
      const context: HandlerContext = { shard: 0, sequence, signal };
      await face.handlerOf(type)?.(data, context);
    };
    await chatBot.start?.(face.bot);
    return {
      bot: face.bot,
      telemetry,
      calls,
      logged,
      restarts: () => restarts,
      replies: () =>
        calls
          .filter(({ method, path }) => method === "POST" && path.endsWith("/messages"))
          .map(({ path, body }) => {
            const { content, nonce } = Object(body);
            return { channel: path.split("/")[2] ?? "", content, nonce, body: Object(body) };
          }),
      refuse: (fits, error) => void refusals.push({ fits, error }),
      event,
      write(words) {
        const message = typeof words === "string" ? { content: words } : words;
        const id = message.id ?? String(1_600_000_000_000_000_000n + written++);
        const full = {
          type: 0,
          content: "",
          channel_id: CHANNEL_ID,
          guild_id: GUILD_ID,
          author: { id: ASKER_ID },
          mentions: [{ id: BOT_ID }],
          member: { roles: [] },
          attachments: [],
          ...message,
          id,
        };
        return { id, done: event("MESSAGE_CREATE", full) };
      },
      kill: () => {
        // The lease is left to expire: its renewal stops, and nobody removes it.
        handling.abort(new Error("killed"));
        calls.length = 0;
      },
      end: () => {
        handling.abort(new Error("the run is over"));
        ending.abort(new Error("the run is over"));
      },
    };
  };

  return { clock, values, answers, run };
}

/** As the REST client tells that Discord does not let the bot. */
export const forbidden = (): Error =>
  Object.assign(new Error("Missing Permissions"), { kind: "forbidden", code: 50013 });

/** Resolves when the condition holds, without moving the clock. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
