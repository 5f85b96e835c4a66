// Writing an answer as the API or the edge would, or broken as a fault wants it.

import type { ServerResponse } from "node:http";
import { type EdgeAnswer, edgeHeaders } from "../edgeAnswer.ts";
import type { Timers } from "../timers.ts";
import type { Effect } from "./faults.ts";
import type { Scope } from "./limiter.ts";

export interface Reply {
  readonly status: number;
  readonly json?: unknown;
  readonly headers: Record<string, string>;
  readonly html?: boolean;
  /** Of a 429. */
  readonly scope?: Scope;
}

/** On every answer of the API, on none of the edge. */
const VIA = { Via: "1.1 google", Server: "cloudflare" };

export function sendEdge(response: ServerResponse, answer: EdgeAnswer, retryAfterSeconds: number | undefined): void {
  response.writeHead(answer.status, edgeHeaders(answer, retryAfterSeconds)).end(answer.body);
}

export function sendReply(response: ServerResponse, reply: Reply, effect: Effect | undefined, timers: Timers): void {
  const html = reply.html === true ? "<!DOCTYPE html><html><head><title>Server Error</title></head></html>" : undefined;
  const text = html ?? (reply.json === undefined ? "" : JSON.stringify(reply.json));
  const type = html === undefined ? "application/json" : "text/html; charset=UTF-8";
  const body = Buffer.from(text);
  const half = Math.floor(body.byteLength / 2);
  const ends = effect?.kind === "truncate" && effect.how === "half JSON" ? half : body.byteLength;
  const length = reply.status === 204 ? {} : { "Content-Length": String(ends) };
  response.writeHead(reply.status, {
    ...VIA,
    ...(ends > 0 ? { "Content-Type": type } : {}),
    ...length,
    ...reply.headers,
  });
  if (effect?.kind === "truncate" && effect.how === "half JSON") response.end(body.subarray(0, half));
  else if (effect?.kind === "truncate") response.write(body.subarray(0, half), () => response.socket?.destroy());
  else if (effect?.kind === "slow") {
    response.write(body.subarray(0, half));
    timers.after(effect.ms, () => response.end(body.subarray(half)));
  } else response.end(body);
}
