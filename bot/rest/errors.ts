// How a REST call can fail: one class, told apart by `kind`. No message ever holds a token, a body or a query.

/**
 * - edgeBanned: Discord's edge blocks the address or route; `until` says when to come back
 * - unauthorized: the bot's token was refused; nothing authenticated is sent any more
 * - forbidden, missing, clientError: Discord's 403, 404, other 4xx; asking again gives the same
 * - serverError, network, timeout, badResponse: after the retries that are safe; a POST may have been carried out
 * - rateLimited: the wait of a 429 is longer than this call may wait, or it was met too often
 * - deadline: `deadlineMs` passed, or was certain to pass before the call's turn
 * - shed, invalidBudget: refused to keep the address from being banned for invalid requests
 * - queueFull: too many calls wait
 * - unleased: among several tasks, it is not certain that this one may still act; nothing was sent
 * - stopped: the client is shutting down
 * - badRequest: the call cannot be sent as it is
 */
export type RestErrorKind =
  | "edgeBanned"
  | "unauthorized"
  | "forbidden"
  | "missing"
  | "clientError"
  | "serverError"
  | "network"
  | "timeout"
  | "badResponse"
  | "rateLimited"
  | "deadline"
  | "shed"
  | "invalidBudget"
  | "queueFull"
  | "unleased"
  | "stopped"
  | "badRequest";

export interface RestErrorDetails {
  readonly route: string;
  readonly status?: number | undefined;
  /** Discord's JSON error code (topics/opcodes-and-status-codes#json). */
  readonly code?: number | undefined;
  /** Milliseconds since 1970 at which trying again makes sense. */
  readonly until?: number | undefined;
  /** What a form error says about each field (reference#error-messages). */
  readonly errors?: unknown;
  readonly cause?: unknown;
}

export class RestError extends Error {
  override readonly name = "RestError";
  readonly kind: RestErrorKind;
  /** Method and template, without ids or tokens. */
  readonly route: string;
  readonly status: number | undefined;
  readonly code: number | undefined;
  readonly until: number | undefined;
  readonly errors: unknown;

  constructor(kind: RestErrorKind, problem: string, details: RestErrorDetails) {
    super(`${details.route}: ${problem}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.route = details.route;
    this.status = details.status;
    this.code = details.code;
    this.until = details.until;
    this.errors = details.errors;
  }
}

/** The edge ban, with the time until which nothing passes. */
export class EdgeBanned extends RestError {
  /** Milliseconds since 1970; a guess when the edge named none. */
  override readonly until: number;

  constructor(details: RestErrorDetails & { readonly until: number; readonly addresses: string | null }) {
    const from = details.addresses === null ? "this address" : details.addresses;
    const until = new Date(details.until).toISOString();
    super(
      "edgeBanned",
      `Discord's edge blocks ${from}; nothing is sent before ${until}. If it lasts, move to another address`,
      details,
    );
    this.until = details.until;
  }
}

/** The bot's token was refused, just now or before. */
export function unauthorizedError(route: string, status?: number, code?: number): RestError {
  const problem = "Discord refuses the bot's token; give it the current one from the developer portal and restart";
  return new RestError("unauthorized", problem, { route, status, code });
}

/** Among several tasks, nobody says that this one may still act. */
export function unleasedError(route: string): RestError {
  return new RestError("unleased", "the ledger does not say whether this task may still act; nothing was sent", {
    route,
  });
}

/** A 429's wait of `wait` ms is longer than the call may take. */
export function waitTooLong(route: string, wait: number, until: number): RestError {
  return new RestError("rateLimited", `limited for ${Math.ceil(wait / 1000)} s, longer than this call may wait`, {
    route,
    status: 429,
    until,
  });
}

/** Discord's refusal of one request. `json` is its body, for what it says about each field. */
export function refusedError(
  kind: "forbidden" | "missing" | "clientError",
  route: string,
  status: number,
  code: number | undefined,
  message: string | undefined,
  json: unknown,
): RestError {
  const errors = typeof json === "object" && json !== null && "errors" in json ? json.errors : undefined;
  const problem = `${status}${code === undefined ? "" : ` (${code})`} ${message ?? ""}`.trim();
  return new RestError(kind, problem, { route, status, code, errors });
}

/** The last attempt brought no usable answer. `maybe`: the request may have been carried out all the same. */
export function faultError(
  fault: "network" | "timeout" | "badResponse" | "serverError",
  maybe: boolean,
  details: RestErrorDetails,
): RestError {
  const what = { network: "the connection failed", timeout: "no answer in time", badResponse: "broken answer" };
  const problem = fault === "serverError" ? `Discord answered ${details.status}` : what[fault];
  return new RestError(fault, problem + (maybe ? "; it may have been carried out" : ""), details);
}
