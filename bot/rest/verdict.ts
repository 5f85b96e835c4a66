// One response to one named judgement: what it says about the address, the token, the bucket or just this request.

/** A response as far as a judgement needs it. Header names are in lower case. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The parsed JSON body; undefined when the body is empty or not JSON. */
  readonly json: unknown;
  /** Whether the request carried the bot's token. */
  readonly authenticated: boolean;
}

/** The rate-limit headers of one answer (topics/rate-limits#header-format), in milliseconds. */
export interface LimitHeaders {
  readonly hash: string;
  readonly limit: number;
  readonly remaining: number;
  readonly resetAfterMs: number;
}

export type LimitScope = "user" | "global" | "shared" | "sublimit";

export type Verdict =
  | { readonly kind: "ok" }
  /** An API 429; `retryAfterMs` is undefined when nothing in the answer says how long. */
  | { readonly kind: "limited"; readonly scope: LimitScope; readonly retryAfterMs: number | undefined }
  /** Discord's edge, not its API: about the address (or one path), not about a bucket. */
  | { readonly kind: "edge"; readonly retryAfterMs: number | undefined }
  | {
      readonly kind: "unauthorized" | "forbidden" | "missing" | "clientError" | "serverError";
      readonly code: number | undefined;
      readonly message: string | undefined;
    };

type Headers = Answer["headers"];

// No wait that Discord names is longer than a ban's day or two; a larger number is a broken header, not a wait.
const LONGEST_WAIT_MS = 7 * 24 * 3_600_000;

function header(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : value?.[0];
}

/** A non-negative decimal, or undefined for anything else: NaN, negative, text, an HTTP date. */
function decimal(value: unknown): number | undefined {
  const number =
    typeof value === "number"
      ? value
      : typeof value === "string" && /^\d+(\.\d+)?$/.test(value.trim())
        ? Number(value)
        : Number.NaN;
  return Number.isFinite(number) && number >= 0 ? number : undefined;
}

/** Seconds, as every limit header and body has them since v8, to milliseconds, rounded up: a wait is never shortened. */
function milliseconds(seconds: unknown): number | undefined {
  const value = decimal(seconds);
  return value === undefined ? undefined : Math.min(Math.ceil(Number((value * 1000).toFixed(3))), LONGEST_WAIT_MS);
}

function field(json: unknown, name: string): unknown {
  return typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** The bucket that an answer reports, or undefined when its headers are absent or unreadable. */
export function limitHeaders(headers: Headers): LimitHeaders | undefined {
  const hash = header(headers, "x-ratelimit-bucket");
  const limit = decimal(header(headers, "x-ratelimit-limit"));
  const remaining = decimal(header(headers, "x-ratelimit-remaining"));
  const resetAfterMs = milliseconds(header(headers, "x-ratelimit-reset-after"));
  if (hash === undefined || hash === "" || limit === undefined || remaining === undefined) return undefined;
  if (resetAfterMs === undefined || limit < 1) return undefined;
  return { hash, limit: Math.floor(limit), remaining: Math.floor(remaining), resetAfterMs };
}

function carriesLimits(headers: Headers): boolean {
  return Object.keys(headers).some((name) => name.startsWith("x-ratelimit-"));
}

/** The edge's own JSON: a static block page (code 0) or "internal network error" (40333). */
function edgeJson(json: unknown): boolean {
  const code = field(json, "code");
  const message = field(json, "message");
  return code === 40333 || (code === 0 && typeof message === "string" && /blocked from accessing/i.test(message));
}

/** How long a 429 asks to wait: the longest of header, body and, with nothing remaining, Reset-After. */
function retryAfter(answer: Answer, scope: LimitScope | undefined): number | undefined {
  const named = [milliseconds(header(answer.headers, "retry-after")), milliseconds(field(answer.json, "retry_after"))];
  const limits = limitHeaders(answer.headers);
  // On a shared limit Retry-After overrides the bucket's own headers, which may promise far too much.
  if (limits?.remaining === 0 && scope !== "shared" && scope !== "global") named.push(limits.resetAfterMs);
  const known = named.filter((wait) => wait !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

function scopeOf(answer: Answer): LimitScope {
  const scope = header(answer.headers, "x-ratelimit-scope");
  if (scope === "global" || header(answer.headers, "x-ratelimit-global") === "true") return "global";
  if (field(answer.json, "global") === true) return "global";
  if (scope === "shared") return "shared";
  const remaining = decimal(header(answer.headers, "x-ratelimit-remaining"));
  return remaining !== undefined && remaining > 0 ? "sublimit" : "user";
}

/** What a body says as JSON; undefined when it is empty, or not one whole document. */
export function jsonOf(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Judges one response. */
export function judge(answer: Answer): Verdict {
  const { status, headers, json } = answer;
  if (status >= 200 && status < 300) return { kind: "ok" };

  if (status === 429 || status === 403) {
    const fromEdge = !carriesLimits(headers) && (json === undefined || edgeJson(json));
    if (fromEdge) return { kind: "edge", retryAfterMs: milliseconds(header(headers, "retry-after")) };
  }
  if (status === 429) {
    const scope = scopeOf(answer);
    return { kind: "limited", scope, retryAfterMs: retryAfter(answer, scope) };
  }

  const code = decimal(field(json, "code"));
  const text = field(json, "message");
  const message = typeof text === "string" ? text.slice(0, 300) : undefined;
  if (status === 401) {
    // 50027 is about an interaction's or webhook's token, which says nothing about the bot's.
    const botToken = answer.authenticated && code !== 50027;
    return { kind: botToken ? "unauthorized" : "clientError", code, message };
  }
  if (status === 403) return { kind: "forbidden", code, message };
  if (status === 404) return { kind: "missing", code, message };
  return { kind: status >= 500 ? "serverError" : "clientError", code, message };
}

/** Whether an answer counts towards the 10,000 invalid requests in 10 min (topics/rate-limits#invalid-request-limit). */
export function isInvalid(status: number, verdict: Verdict): boolean {
  return (
    status === 401 || status === 403 || (status === 429 && !(verdict.kind === "limited" && verdict.scope === "shared"))
  );
}
