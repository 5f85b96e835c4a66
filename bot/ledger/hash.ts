// Hashes that stand for a token: they tell another one without knowing any.

import { createHash } from "node:crypto";
import type { Secret } from "../../shared/secret.ts";

const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** First 16 hex digits of the SHA-256 of the token. */
export function tokenHash(token: Secret): string {
  return digest(token.reveal());
}

/**
 * What Discord refused or would refuse again: 16 hex digits that change with the token, the intents and the shards.
 * @param shards the shards as configured, such as `auto` or `0-3,8 of 16`
 */
export function fingerprintOf(token: Secret, intents: number, shards: string): string {
  return digest(JSON.stringify([tokenHash(token), intents, shards]));
}
