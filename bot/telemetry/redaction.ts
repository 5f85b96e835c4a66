// Keeps secrets and oversized lines from stdout: the last thing every line passes through before it is written (pure).

import type { Secret } from "../../shared/secret.ts";

const PLACEHOLDER = "[secret]";

// A bot token: the application's id in base64, the time of issue (6 characters), a signature of 27 or more
// (reference#authentication shows one). It finds the tokens of other bots, too, as in an error that quotes a request.
const TOKEN_SHAPE = /[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}/g;

// A shorter text would hit ordinary words; Discord's tokens have some 70 characters.
const SHORTEST_TOKEN = 8;

/** CloudWatch gets a line as one event up to 262,118 bytes; a longer one is split, which breaks its JSON. */
export const LONGEST_LINE_BYTES = 250_000;

/** Makes the function that takes the secrets, and all that has a token's shape, out of a line of JSON. */
export function redactor(secrets: readonly Secret[]): (line: string) => string {
  // The line is JSON, so a secret is looked for as JSON writes it.
  const written = secrets
    .map((secret) => JSON.stringify(secret.reveal()).slice(1, -1))
    .filter(({ length }) => length >= SHORTEST_TOKEN);
  return (line) => {
    const known = written.reduce((left, secret) => left.replaceAll(secret, PLACEHOLDER), line);
    return known.replace(TOKEN_SHAPE, PLACEHOLDER);
  };
}

/** A line within CloudWatch's size: a longer one keeps its level, time, event and beginning of `msg`. */
export function fitted(line: string): string {
  // No character takes more than 3 bytes per UTF-16 unit, so nearly every line is done here.
  if (line.length * 3 <= LONGEST_LINE_BYTES) return line;
  const bytes = Buffer.byteLength(line);
  if (bytes <= LONGEST_LINE_BYTES) return line;
  const whole: unknown = JSON.parse(line);
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(typeof whole === "object" && whole !== null ? whole : {})) {
    if (name === "level" || name === "time" || name === "event") kept[name] = value;
    if (name === "msg" && typeof value === "string") kept[name] = value.slice(0, 1_000);
  }
  return `${JSON.stringify({ ...kept, omittedBytes: bytes })}\n`;
}
