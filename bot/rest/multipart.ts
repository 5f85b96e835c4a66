// Files and JSON as one multipart body (reference#uploading-files), built once so that a retry sends the same bytes.

/** A file to upload. */
export interface RestFile {
  readonly name: string;
  readonly data: Uint8Array | string;
  /** A MIME type; Discord guesses from the name when absent. */
  readonly contentType?: string;
  /** Alternative text, at most 1024 characters. */
  readonly description?: string;
}

export interface MultipartBody {
  readonly contentType: string;
  readonly bytes: Buffer;
}

// HTML's form encoding: these three would end a quoted name; the brackets of files[n] stay as they are.
function quoted(name: string): string {
  return `"${name.replace(/"/g, "%22").replace(/\r/g, "%0D").replace(/\n/g, "%0A")}"`;
}

/**
 * @param json the body proper, sent as `payload_json`; undefined for files alone.
 * @param boundary text that no part contains: long and random.
 */
export function multipart(json: string | undefined, files: readonly RestFile[], boundary: string): MultipartBody {
  const parts: Buffer[] = [];
  const part = (disposition: string, type: string | undefined, data: Uint8Array | string): void => {
    const typed = type === undefined ? "" : `Content-Type: ${type.replace(/[\r\n]/g, "")}\r\n`;
    parts.push(
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n${typed}\r\n`),
      typeof data === "string" ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      Buffer.from("\r\n"),
    );
  };
  if (json !== undefined) part('name="payload_json"', "application/json", json);
  for (const [index, file] of files.entries()) {
    part(`name="files[${index}]"; filename=${quoted(file.name)}`, file.contentType, file.data);
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, bytes: Buffer.concat(parts) };
}

/** The `attachments` list that goes with the files, for a body that has none of its own. */
export function attachments(files: readonly RestFile[]): readonly Record<string, unknown>[] {
  return files.map((file, id) => ({
    id,
    filename: file.name,
    ...(file.description === undefined ? {} : { description: file.description }),
  }));
}
