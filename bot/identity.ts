// Who the bot user is: told by READY, and until then by the token itself.

import type { Secret } from "../shared/secret.ts";

/**
 * The bot user's id, which is the first part of the token in base64; undefined when the token has another shape. Needed
 * after a RESUME of an earlier process's session, which brings no READY.
 */
export function userIdOf(token: Secret): string | undefined {
  const [first] = token.reveal().split(".", 1);
  const decoded = Buffer.from(first ?? "", "base64").toString("latin1");
  return /^\d{15,20}$/.test(decoded) ? decoded : undefined;
}

/** `user.id` of a READY's data (events/gateway-events#ready). */
export function readyUserId(data: unknown): string | undefined {
  const user: unknown = typeof data === "object" && data !== null && "user" in data ? data.user : undefined;
  return typeof user === "object" && user !== null && "id" in user && typeof user.id === "string" ? user.id : undefined;
}
