// A bare client for the simulator's own tests: it does what a test tells it and nothing by itself.

import { constants, createInflate, createZstdDecompress } from "node:zlib";
import { request } from "undici";
import { WebSocket } from "ws";

export const TOKEN = "simulated.token";
export const USER_AGENT = "DiscordBot (https://example.org, 1.0.0)";
export const INTENTS = 1 | (1 << 9);

export interface Received {
  readonly op: number;
  readonly d: unknown;
  readonly s: number | null;
  readonly t: string | null;
}

export interface Closed {
  readonly code: number;
}

export interface DialOptions {
  readonly compress?: "zlib-stream" | "zstd-stream";
  /** Replaces `v=10&encoding=json` and the compression. */
  readonly query?: string;
  readonly userAgent?: string;
}

export class TestClient {
  readonly received: Received[] = [];
  closed: Closed | undefined;
  failed: Error | undefined;
  /** Status of an upgrade that was refused. */
  refusedWith: number | undefined;
  readonly #socket: WebSocket;
  readonly #waiters = new Set<() => void>();

  constructor(url: string, { compress, query, userAgent = USER_AGENT }: DialOptions = {}) {
    const parameters = query ?? `v=10&encoding=json${compress === undefined ? "" : `&compress=${compress}`}`;
    const headers = { "User-Agent": userAgent };
    this.#socket = new WebSocket(`${url}/?${parameters}`, { headers, perMessageDeflate: false });
    const inflate = compress === undefined ? undefined : inflater(compress, (text) => this.#take(text));
    this.#socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (inflate !== undefined && isBinary) inflate(data);
      else this.#take(data.toString("utf8"));
    });
    this.#socket.on("error", (error) => {
      this.failed = error;
      this.#changed();
    });
    this.#socket.on("unexpected-response", (_, response) => {
      this.refusedWith = response.statusCode;
      this.#socket.terminate();
      this.#changed();
    });
    this.#socket.on("close", (code: number) => {
      this.closed = { code };
      this.#changed();
    });
  }

  send(op: number, d: unknown): void {
    this.#socket.send(JSON.stringify({ op, d }));
  }

  sendRaw(text: string): void {
    this.#socket.send(text);
  }

  identify(fields: Record<string, unknown> = {}): void {
    const properties = { os: "linux", browser: "test", device: "test" };
    this.send(2, { token: TOKEN, intents: INTENTS, shard: [0, 1], properties, ...fields });
  }

  resume(session_id: string, seq: number, token = TOKEN): void {
    this.send(6, { token, session_id, seq });
  }

  close(code: number): void {
    this.#socket.close(code);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  /** The TCP connection as the kernel sees it: still open. */
  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** The first payload of this op, or dispatch of this type, received or still to come. */
  async next(what: number | string, after = 0): Promise<Received> {
    const found = (): Received | undefined =>
      this.received.slice(after).find(({ op, t }) => (typeof what === "number" ? op === what : t === what));
    await this.until(() => found() !== undefined || this.closed !== undefined);
    const payload = found();
    if (payload === undefined) throw new Error(`closed with ${this.closed?.code} before ${what}`);
    return payload;
  }

  /** How it ended. */
  async end(): Promise<number> {
    await this.until(() => this.closed !== undefined);
    return this.closed?.code ?? 0;
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiters.delete(check);
        resolve();
      };
      this.#waiters.add(check);
      check();
    });
  }

  #take(text: string): void {
    this.received.push(JSON.parse(text));
    this.#changed();
  }

  #changed(): void {
    for (const check of this.#waiters) check();
  }
}

/** One context for the whole connection; a message is whole when its flush marker, or its frame, has come. */
function inflater(kind: "zlib-stream" | "zstd-stream", take: (text: string) => void): (data: Buffer) => void {
  const stream = kind === "zlib-stream" ? createInflate() : createZstdDecompress();
  const flush = kind === "zlib-stream" ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush;
  let chunks: Buffer[] = [];
  let last = Promise.resolve();
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return (data) => {
    last = last.then(
      () =>
        new Promise((resolve) => {
          stream.write(data);
          stream.flush(flush, () => {
            const text = Buffer.concat(chunks).toString("utf8");
            chunks = [];
            take(text);
            resolve();
          });
        }),
    );
  };
}

export interface RestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed where it is JSON, else the text. */
  readonly body: unknown;
}

/** One REST request as a good client sends it, unless told otherwise. */
export async function rest(
  url: string,
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE",
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<RestAnswer> {
  const response = await request(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bot ${TOKEN}`,
      "user-agent": USER_AGENT,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.body.text();
  const isJson = String(response.headers["content-type"] ?? "").includes("json") && text !== "";
  return { status: response.statusCode, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
