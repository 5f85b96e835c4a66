// The status port: /live and /ready for whoever supervises the process, /state for whoever looks into it.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export interface StatusOptions {
  /** 0 takes any free port. */
  readonly port: number;
  live(): boolean;
  ready(): boolean;
  /** Anything that JSON can hold. */
  state(): unknown;
}

export interface StatusServer {
  /** The port that it listens on. */
  readonly port: number;
  /** Closes the port and every connection to it. */
  stop(): Promise<void>;
}

/** portTaken: another process listens there. refused: the machine does not let us listen there at all. */
export class StatusServerError extends Error {
  override readonly name = "StatusServerError";
  readonly kind: "portTaken" | "refused";

  constructor(kind: "portTaken" | "refused", message: string, cause: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

// Loopback only: the state is for the container itself, and its health check asks from within.
const HOST = "127.0.0.1";
// A request is one short line; who takes longer to send it is not a supervisor.
const REQUEST_DEADLINE_MS = 5_000;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Rejects with a StatusServerError when the port cannot be had. */
export async function startStatusServer(options: StatusOptions): Promise<StatusServer> {
  const server = createServer(
    { requestTimeout: REQUEST_DEADLINE_MS, headersTimeout: REQUEST_DEADLINE_MS },
    (request, response) => send(response, answerTo(request, options)),
  );
  const listening = Promise.withResolvers<void>();
  server.once("error", listening.reject);
  server.listen(options.port, HOST, listening.resolve);
  try {
    await listening.promise;
  } catch (error) {
    throw cannotListen(options.port, error);
  }
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerTo(request: IncomingMessage, { live, ready, state }: StatusOptions): Answer {
  const [pathname] = (request.url ?? "").split("?", 1);
  try {
    switch (pathname) {
      case "/live":
        return onlyGet(request, () => verdict("live", live()));
      case "/ready":
        return onlyGet(request, () => verdict("ready", ready()));
      case "/state":
        return onlyGet(request, () => ({ status: 200, body: state() }));
      default:
        return { status: 404, body: { error: "there are GET /live, /ready and /state" } };
    }
  } catch (error) {
    return { status: 500, body: { error: String(error) } };
  }
}

function onlyGet(request: IncomingMessage, answer: () => Answer): Answer {
  return request.method === "GET" ? answer() : { status: 405, body: { error: "only GET" } };
}

const verdict = (name: string, holds: boolean): Answer => ({ status: holds ? 200 : 503, body: { [name]: holds } });

function send(response: ServerResponse, { status, body }: Answer): void {
  let text: string;
  let code = status;
  try {
    text = JSON.stringify(body) ?? "null";
  } catch (error) {
    code = 500;
    text = JSON.stringify({ error: String(error) });
  }
  response.writeHead(code, {
    "content-type": "application/json",
    "cache-control": "no-store",
    connection: "close",
    ...(code === 405 && { allow: "GET" }),
  });
  response.end(`${text}\n`);
}

function cannotListen(port: number, cause: unknown): StatusServerError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const where = `STATUS_PORT ${port} on ${HOST}`;
  if (code === "EADDRINUSE") {
    const fix = "stop the process that listens there, or set STATUS_PORT to another port (0 takes any free one)";
    return new StatusServerError("portTaken", `${where} is taken; ${fix}`, cause);
  }
  const fix = "set STATUS_PORT to a port above 1023 that this user may open (0 takes any free one)";
  return new StatusServerError("refused", `${where} cannot be opened (${String(code ?? cause)}); ${fix}`, cause);
}
