// A request's body: JSON, a form, or multipart with files, read far enough to be checked and recorded (reference#uploading-files).

import { createHash } from "node:crypto";

export interface UploadedFile {
  /** The part's name, `files[n]`. */
  readonly field: string;
  readonly filename: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Body {
  readonly fields: Readonly<Record<string, unknown>>;
  /** A body that is an array, as the bulk overwrite of commands sends. */
  readonly list: readonly unknown[] | undefined;
  readonly files: readonly UploadedFile[];
}

export type BodyProblem = "content-type" | "json";

const NOTHING: Body = { fields: {}, list: undefined, files: [] };

export function parseBody(contentType: string | undefined, raw: Buffer): Body | BodyProblem {
  if (raw.byteLength === 0) return NOTHING;
  const [type = ""] = (contentType ?? "").split(";");
  switch (type.trim().toLowerCase()) {
    case "application/json":
      return fromJson(raw.toString("utf8"), []);
    case "application/x-www-form-urlencoded":
      return { ...NOTHING, fields: Object.fromEntries(new URLSearchParams(raw.toString("utf8"))) };
    case "multipart/form-data":
      return multipart(contentType ?? "", raw);
    default:
      return "content-type";
  }
}

function fromJson(text: string, files: readonly UploadedFile[]): Body | BodyProblem {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return { fields: {}, list: value, files };
    if (typeof value !== "object" || value === null) return "json";
    return { fields: Object.fromEntries(Object.entries(value)), list: undefined, files };
  } catch {
    return "json";
  }
}

function multipart(contentType: string, raw: Buffer): Body | BodyProblem {
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) return "content-type";
  const files: UploadedFile[] = [];
  let payload = "{}";
  for (const part of split(raw, Buffer.from(`--${boundary}`))) {
    const end = part.indexOf("\r\n\r\n");
    if (end < 0) continue;
    const head = part.subarray(0, end).toString("utf8");
    const content = part.subarray(end + 4, part.byteLength - 2);
    const field = /[; ]name="([^"]*)"/i.exec(head)?.[1] ?? "";
    const filename = /filename="([^"]*)"/i.exec(head)?.[1];
    if (field === "payload_json") payload = content.toString("utf8");
    else if (filename !== undefined) {
      const sha256 = createHash("sha256").update(content).digest("hex");
      files.push({ field, filename, bytes: content.byteLength, sha256 });
    }
  }
  return fromJson(payload, files);
}

function split(raw: Buffer, delimiter: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = raw.indexOf(delimiter);
  while (start >= 0) {
    const next = raw.indexOf(delimiter, start + delimiter.byteLength);
    if (next < 0) break;
    parts.push(raw.subarray(start + delimiter.byteLength, next));
    start = next;
  }
  return parts;
}
