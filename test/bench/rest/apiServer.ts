// A lean Discord API, a process of its own: the documented limits in fixed windows, or one way of misbehaving; it counts.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fail, onNote, report, workerArgument } from "../worker.ts";

/** How the server behaves. */
export interface Rules {
  /** Authenticated requests a second; null: no global limit. */
  readonly globalPerSecond: number | null;
  /** Of every POST, per channel and last path segment; null: no bucket and no headers. */
  readonly bucket: { readonly limit: number; readonly windowMs: number } | null;
  /**
   * edge: everything is answered by the edge's ban page, with this Retry-After in seconds or none.
   * reset: the first time a message comes it is carried out and the connection is reset instead of answered.
   */
  readonly fault:
    | { readonly kind: "none" }
    | { readonly kind: "edge"; readonly retryAfter: number | null }
    | { readonly kind: "reset" };
}

interface Window {
  resetAt: number;
  used: number;
}

const rules = workerArgument() as Rules;
const counts = { requests: 0, limited: 0, disordered: 0, doubled: 0 };
const globalWindow: Window = { resetAt: 0, used: 0 };
const windows = new Map<string, Window>();
/** The number that each channel's last accepted message had. */
const lastNumber = new Map<string, number>();
/** What was carried out, by content; and by enforced nonce, which does nothing twice (resources/message#create-message). */
const carriedOut = new Map<string, number>();
const nonces = new Set<string>();

const USER = JSON.stringify({
  id: "1100000000000000001",
  username: "bench",
  discriminator: "0",
  global_name: null,
  avatar: "0123456789abcdef0123456789abcdef",
  bot: true,
  public_flags: 0,
  flags: 0,
  verified: true,
  mfa_enabled: true,
  locale: "en-US",
  bio: "",
});
const BAN_PAGE = "<html><head><title>Access denied</title></head><body>error code: 1015</body></html>";

const answer = (
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void => {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    via: "1.1 google",
    ...headers,
  });
  response.end(body);
};

const seconds = (milliseconds: number): string => (Math.max(milliseconds, 1) / 1000).toFixed(3);

const limited = (response: ServerResponse, waitMs: number, global: boolean, headers: Record<string, string>): void => {
  counts.limited += 1;
  const body = JSON.stringify({ message: "You are being rate limited.", retry_after: Number(seconds(waitMs)), global });
  answer(response, 429, body, {
    ...headers,
    "retry-after": String(Math.ceil(waitMs / 1000)),
    "x-ratelimit-scope": global ? "global" : "user",
    ...(global ? { "x-ratelimit-global": "true" } : {}),
  });
};

/** Counts one request into a window that begins with its first one; false: it is full. */
const count = (window: Window, limit: number, windowMs: number, now: number): boolean => {
  if (now >= window.resetAt) {
    window.resetAt = now + windowMs;
    window.used = 0;
  }
  if (window.used >= limit) return false;
  window.used += 1;
  return true;
};

const serve = (request: IncomingMessage, response: ServerResponse, body: string): void => {
  const now = performance.now();
  const path = request.url ?? "";
  counts.requests += 1;
  if (rules.fault.kind === "edge") {
    const { retryAfter } = rules.fault;
    response.writeHead(429, {
      "content-type": "text/html",
      "content-length": BAN_PAGE.length,
      ...(retryAfter === null ? {} : { "retry-after": String(retryAfter) }),
    });
    response.end(BAN_PAGE);
    return;
  }
  if (rules.globalPerSecond !== null && !count(globalWindow, rules.globalPerSecond, 1000, now)) {
    limited(response, globalWindow.resetAt - now, true, {});
    return;
  }
  if (request.method !== "POST") {
    answer(response, 200, USER);
    return;
  }

  const [, channel = "", action = ""] = /\/channels\/(\d+)\/(\w+)/.exec(path) ?? [];
  let headers: Record<string, string> = {};
  if (rules.bucket !== null) {
    const { limit, windowMs } = rules.bucket;
    const key = `${channel} ${action}`;
    let window = windows.get(key);
    if (window === undefined) {
      window = { resetAt: 0, used: 0 };
      windows.set(key, window);
    }
    const taken = count(window, limit, windowMs, now);
    const leftMs = window.resetAt - now;
    headers = {
      "x-ratelimit-bucket": `bench${action}`,
      "x-ratelimit-limit": String(limit),
      "x-ratelimit-remaining": String(limit - window.used),
      "x-ratelimit-reset": seconds(Date.now() + leftMs),
      "x-ratelimit-reset-after": seconds(leftMs),
    };
    if (!taken) {
      limited(response, leftMs, false, headers);
      return;
    }
  }
  const again = carryOut(channel, body);
  if (rules.fault.kind === "reset" && !again) {
    request.socket.resetAndDestroy();
    return;
  }
  answer(response, 200, USER, headers);
};

/** Does what a message asks for; whether the same was done before. */
const carryOut = (channel: string, body: string): boolean => {
  const message: { content?: unknown; nonce?: unknown; enforce_nonce?: unknown } = body === "" ? {} : JSON.parse(body);
  const content = String(message.content ?? "");
  if (message.enforce_nonce === true) {
    const nonce = `${channel} ${String(message.nonce)}`;
    if (nonces.has(nonce)) return true;
    nonces.add(nonce);
  }
  const number = Number(content);
  if (number < (lastNumber.get(channel) ?? -1)) counts.disordered += 1;
  lastNumber.set(channel, number);
  if (rules.fault.kind !== "reset") return false;
  const times = (carriedOut.get(content) ?? 0) + 1;
  carriedOut.set(content, times);
  if (times > 1) counts.doubled += 1;
  return times > 1;
};

const server = createServer((request, response) => {
  if (request.method !== "POST") {
    serve(request, response, "");
    request.resume();
    return;
  }
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => serve(request, response, Buffer.concat(parts).toString("utf8")));
  request.on("error", () => {});
});
server.keepAliveTimeout = 120_000;
server.listen(0, "127.0.0.1", () => report({ kind: "listening", port: (server.address() as AddressInfo).port }));

onNote((note) => {
  if (note.kind === "counts") report({ kind: "counted", ...counts });
  else fail(new Error(`the server does not know ${note.kind}`));
});
