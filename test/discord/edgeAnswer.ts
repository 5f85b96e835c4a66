// What the edge answers in place of the API: never a Via header, never a rate-limit header.

import type { EdgeShape } from "./rules/edge.ts";

export interface EdgeAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const STATIC_MESSAGE =
  "You are being blocked from accessing our API temporarily due to exceeding our rate limits frequently. " +
  "Please read our docs at https://discord.com/developers/docs/topics/rate-limits to prevent this moving forward.";

const ANSWERS: Readonly<Record<EdgeShape, EdgeAnswer>> = {
  "text-1015": { status: 429, contentType: "text/plain; charset=UTF-8", body: "error code: 1015" },
  html: {
    status: 429,
    contentType: "text/html; charset=UTF-8",
    body: "<!DOCTYPE html><html><head><title>Access denied</title></head><body>You are being rate limited</body></html>",
  },
  "static-json": {
    status: 429,
    contentType: "application/json",
    body: JSON.stringify({ code: 0, message: STATIC_MESSAGE }),
  },
  "forbidden-40333": {
    status: 403,
    contentType: "application/json",
    body: JSON.stringify({ message: "internal network error", code: 40333 }),
  },
};

export function edgeAnswer(shape: EdgeShape): EdgeAnswer {
  return ANSWERS[shape];
}

/** Headers of every answer from the edge; `Server: cloudflare` is on the API's answers too, so it tells nothing. */
export function edgeHeaders(answer: EdgeAnswer, retryAfterSeconds: number | undefined): Record<string, string> {
  return {
    "Content-Type": answer.contentType,
    "Content-Length": String(Buffer.byteLength(answer.body)),
    Server: "cloudflare",
    ...(retryAfterSeconds === undefined ? {} : { "Retry-After": String(retryAfterSeconds) }),
  };
}
