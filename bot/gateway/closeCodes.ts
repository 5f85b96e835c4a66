// What each close code of the gateway means for the session, as data (topics/opcodes-and-status-codes).

import { INTENTS, type IntentName, PRIVILEGED_INTENTS } from "../../shared/application.ts";

/**
 * resume: the session may live, a RESUME costs nothing. identify: Discord has ended the session.
 * fatal: asking again cannot help; `fix` tells a person what to do.
 */
export type CloseVerdict =
  | { readonly action: "resume"; readonly pauseMs: number }
  | { readonly action: "identify" }
  | { readonly action: "fatal"; readonly fix: string };

/** What a fix sentence needs to know. */
export interface CloseContext {
  readonly shard: number;
  readonly shardCount: number;
  readonly intents: number;
  readonly intentNames: readonly IntentName[];
}

type Row =
  | { readonly meaning: string; readonly action: "resume"; readonly pauseMs?: number }
  | { readonly meaning: string; readonly action: "identify" }
  | { readonly meaning: string; readonly action: "fatal"; readonly fix: (context: CloseContext) => string };

const PORTAL = "https://discord.com/developers/applications, the application's page Bot";

/** Every code that Discord documents for the gateway. */
export const CLOSE_CODES: Readonly<Record<number, Row>> = {
  4000: { meaning: "unknown error", action: "resume" },
  4001: { meaning: "unknown opcode, or a payload its opcode does not take", action: "resume" },
  4002: { meaning: "a payload that does not decode, or is over 4,096 bytes", action: "resume" },
  4003: { meaning: "not authenticated, or the session was invalidated", action: "identify" },
  4004: {
    meaning: "the token was refused",
    action: "fatal",
    fix: () => `DISCORD_TOKEN is not valid (any more): reset it at ${PORTAL}, "Reset Token", and deploy the new one`,
  },
  4005: { meaning: "identified twice on one connection", action: "resume" },
  4007: { meaning: "RESUME with an invalid sequence", action: "identify" },
  // Sending at once would only go on with what was too much; a full window of silence is not needed, some is.
  4008: { meaning: "payloads sent too fast", action: "resume", pauseMs: 5_000 },
  4009: { meaning: "the session timed out", action: "identify" },
  4010: {
    meaning: "invalid shard",
    action: "fatal",
    fix: ({ shard, shardCount }) =>
      `shard ${shard} of ${shardCount} was refused: set SHARD_COUNT to auto, or (large bots) to a multiple of the number Discord assigned, and SHARD_IDS below it`,
  },
  4011: {
    meaning: "sharding required",
    action: "fatal",
    fix: ({ shardCount }) =>
      `${shardCount} shards are too few, a shard holds at most 2,500 servers: raise SHARD_COUNT, or set it to auto`,
  },
  4012: {
    meaning: "invalid API version",
    action: "fatal",
    fix: () => "Discord no longer takes gateway version 10: update Mooring",
  },
  4013: { meaning: "invalid intents", action: "fatal", fix: (context) => invalidIntentsFix(context) },
  4014: { meaning: "disallowed intents", action: "fatal", fix: (context) => disallowedIntentsFix(context) },
};

/** What to do about a connection that Discord or the network ended; `code` is undefined when no close frame came. */
export function closeVerdict(code: number | undefined, context: CloseContext): CloseVerdict {
  // A 1000 or 1001 ends the session only when the client sends it (events/gateway#initiating-a-disconnect); codes that
  // are not in the table have no documented meaning, and a refused RESUME costs one round trip.
  const row = code === undefined ? undefined : CLOSE_CODES[code];
  if (row === undefined) return { action: "resume", pauseMs: 0 };
  if (row.action === "fatal") return { action: "fatal", fix: row.fix(context) };
  return row.action === "identify" ? { action: "identify" } : { action: "resume", pauseMs: row.pauseMs ?? 0 };
}

/** The code's meaning in words, for logs. */
export function closeMeaning(code: number | undefined): string {
  if (code === undefined) return "the connection broke";
  if (code === 1005) return "closed without a code";
  return CLOSE_CODES[code]?.meaning ?? `close code ${code}`;
}

const isPrivileged = (name: string): name is keyof typeof PRIVILEGED_INTENTS => name in PRIVILEGED_INTENTS;

function disallowedIntentsFix({ intents, intentNames }: CloseContext): string {
  const asked = Object.keys(PRIVILEGED_INTENTS).filter(isPrivileged);
  const privileged = asked.filter((name) => intentNames.includes(name) || (intents & INTENTS[name]) !== 0);
  if (privileged.length === 0) {
    return `intents ${intents} hold one that this application may not use: drop it from the bot module's intents`;
  }
  const switches = privileged.map((name) => `${name} ("${PRIVILEGED_INTENTS[name]}")`).join(", ");
  return `switch on ${switches} at ${PORTAL}, section "Privileged Gateway Intents", or drop it from the bot module's intents`;
}

function invalidIntentsFix({ intents }: CloseContext): string {
  const known = Object.values(INTENTS).reduce((bits: number, bit) => bits | bit, 0);
  return `intents ${intents} hold bits that Discord does not know (${intents & ~known}): correct the bot module's intents`;
}
