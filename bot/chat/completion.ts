// One request to an OpenAI-compatible chat endpoint: what is sent, and what its answer means (pure).

import { nextHour, nextMonth } from "./keyPool.ts";

/** A message as the chat completions API takes it. */
export interface ModelMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface ModelAnswer {
  readonly text: string;
  /** As the provider counts them; an estimate where it tells none. */
  readonly tokens: number;
}

export type Outcome =
  | ({ readonly kind: "answer" } & ModelAnswer)
  /** The key is spent, or limited, until then, ms since 1970. */
  | { readonly kind: "spent"; readonly until: number; readonly status: number }
  /** The key is not taken. */
  | { readonly kind: "refused"; readonly status: number }
  /** The request itself is not taken: another try or key gives the same. */
  | { readonly kind: "rejected"; readonly status: number }
  | { readonly kind: "failed"; readonly status: number }
  | { readonly kind: "nonsense" };

// Some 600 words: two messages on Discord.
const LONGEST_ANSWER_TOKENS = 800;
// A common rule of thumb for English, where the provider tells no count.
const CHARACTERS_PER_TOKEN = 4;
const SHORTEST_WAIT_MS = 1_000;

export function requestBody(model: string, messages: readonly ModelMessage[]): string {
  return JSON.stringify({ model, messages, max_tokens: LONGEST_ANSWER_TOKENS, stream: false });
}

/** @param retryAfter the header's text: seconds, or a date. @param now ms since 1970 */
export function outcomeOf(status: number, retryAfter: string | undefined, body: string, now: number): Outcome {
  if (status >= 200 && status < 300) return answerOf(body) ?? { kind: "nonsense" };
  // Payment required: the month's credits are gone.
  if (status === 402) return { kind: "spent", until: nextMonth(now), status };
  if (status === 429) return { kind: "spent", until: limitedUntil(retryAfter, body, now), status };
  if (status === 401 || status === 403) return { kind: "refused", status };
  return { kind: status >= 500 ? "failed" : "rejected", status };
}

function limitedUntil(retryAfter: string | undefined, body: string, now: number): number {
  // A limit that ends soon names its end; a quota that is used up says so in its code.
  const seconds = Number(retryAfter);
  const date = Date.parse(retryAfter ?? "");
  if (retryAfter !== undefined && Number.isFinite(seconds)) return now + Math.max(SHORTEST_WAIT_MS, seconds * 1_000);
  if (!Number.isNaN(date)) return Math.max(now + SHORTEST_WAIT_MS, date);
  return /insufficient_quota|monthly/i.test(body) ? nextMonth(now) : nextHour(now);
}

function answerOf(body: string): Outcome | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const text = field(field(field(field(value, "choices"), "0"), "message"), "content");
  if (typeof text !== "string") return undefined;
  const counted = field(field(value, "usage"), "total_tokens");
  const tokens = typeof counted === "number" && counted >= 0 ? counted : Math.ceil(body.length / CHARACTERS_PER_TOKEN);
  return { kind: "answer", text: text.toWellFormed(), tokens };
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
