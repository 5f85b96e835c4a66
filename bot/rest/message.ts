// From a call to the bytes that go on the wire: path with query, headers, body, and the nonce that makes a POST repeatable.

import type { Random } from "../clock.ts";
import { RestError } from "./errors.ts";
import { attachments, multipart, type RestFile } from "./multipart.ts";
import type { Method, Route } from "./route.ts";

export type Query = Readonly<Record<string, string | number | boolean | readonly (string | number)[] | undefined>>;

/** What the caller gave. */
export interface Content {
  readonly query?: Query;
  readonly body?: unknown;
  readonly files?: readonly RestFile[];
  readonly reason?: string;
}

/** One request, ready to be sent any number of times. */
export interface Message {
  readonly method: Method;
  /** Below the API's base, with the query. */
  readonly path: string;
  /** Without Authorization. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | string | null;
  /** Sending it twice cannot do twice: the same nonce, enforced (resources/message#create-message). */
  readonly nonced: boolean;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function queryText(query: Query | undefined): string {
  if (query === undefined) return "";
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    // Discord reads arrays as repeated keys (reference).
    for (const item of Array.isArray(value) ? value : [value]) pairs.append(name, String(item));
  }
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}

function randomText(random: Random, length: number): string {
  let text = "";
  while (text.length < length)
    text += Math.floor(random() * 36 ** 8)
      .toString(36)
      .padStart(8, "0");
  return text.slice(0, length);
}

// Discord: a nonce is at most 25 characters.
const NONCE_LENGTH = 25;

/** Gives Create Message an enforced nonce where the caller set none; leaves the caller's own choice alone. */
function withNonce(body: unknown, random: Random): { body: unknown; nonced: boolean } {
  if (!isRecord(body)) return { body, nonced: false };
  if (body["nonce"] !== undefined || body["enforce_nonce"] === false) {
    return { body, nonced: body["nonce"] !== undefined && body["enforce_nonce"] === true };
  }
  return { body: { ...body, nonce: randomText(random, NONCE_LENGTH), enforce_nonce: true }, nonced: true };
}

function withAttachments(body: unknown, files: readonly RestFile[], callback: boolean): unknown {
  if (body !== undefined && !isRecord(body)) return body;
  if (callback) {
    const data = body?.["data"];
    return isRecord(data) && data["attachments"] === undefined
      ? { ...body, data: { ...data, attachments: attachments(files) } }
      : body;
  }
  return body?.["attachments"] === undefined ? { ...body, attachments: attachments(files) } : body;
}

/** Those of a request without body and reason: the same object each time, so that none need be merged. */
export const NO_HEADERS: Readonly<Record<string, string>> = {};

/**
 * Builds the request.
 * @throws RestError of kind badRequest for a body that is no JSON or a reason that is no header.
 */
export function prepare(method: Method, route: Route, content: Content, random: Random): Message {
  if (content.body === undefined && content.files === undefined && content.reason === undefined) {
    return { method, path: route.path + queryText(content.query), headers: NO_HEADERS, body: null, nonced: false };
  }
  const headers: Record<string, string> = {};
  let nonced = false;
  let given = content.body;
  if (route.createMessage) {
    const result = withNonce(given ?? (content.files === undefined ? undefined : {}), random);
    given = result.body;
    nonced = result.nonced;
  }
  const files = content.files ?? [];
  if (files.length > 0) given = withAttachments(given, files, route.callback);

  let json: string | undefined;
  try {
    json = given === undefined ? undefined : JSON.stringify(given);
  } catch (cause) {
    throw new RestError("badRequest", "the body cannot be written as JSON", { route: route.name, cause });
  }
  let body: Buffer | string | null = null;
  if (files.length > 0) {
    const parts = multipart(json, files, `mooring-${randomText(random, 32)}`);
    headers["content-type"] = parts.contentType;
    body = parts.bytes;
  } else if (json !== undefined) {
    headers["content-type"] = "application/json";
    body = json;
  }
  if (content.reason !== undefined && content.reason !== "") {
    // Discord: 1 to 512 characters, URL-encoded UTF-8 (resources/audit-log).
    headers["x-audit-log-reason"] = encodeURIComponent([...content.reason].slice(0, 512).join("").toWellFormed());
  }
  return { method, path: route.path + queryText(content.query), headers, body, nonced };
}
