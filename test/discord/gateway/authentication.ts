// The verdict on an IDENTIFY or RESUME: taken, op 9, or a close; what is wrong with it is counted here.

import type { RuleName } from "../journal.ts";
import { ALL_INTENTS, CLOSE, PRIVILEGED_INTENTS } from "../protocol.ts";
import type { Event, Session } from "../rules/session.ts";
import type { Hub } from "./hub.ts";
import { type Identify, parseIdentify, parseResume } from "./payloads.ts";
import { guildsOfShard } from "./start.ts";

export type Host = "generic" | "resume";

export interface Place {
  readonly host: Host;
  /** v, encoding and compress of the connection. */
  readonly parameters: string;
  /** Op 9 has been said on this connection, so that IDENTIFY is right on any host. */
  readonly refused: boolean;
}

/** A breach of the rules that costs the connection. */
export interface Breach {
  readonly kind: "breach";
  readonly rule: RuleName;
  readonly detail: string;
  readonly code: number;
  readonly reason: string;
}

const INVALID_SESSION = { kind: "invalid session" } as const;

export type IdentifyVerdict =
  | Breach
  | typeof INVALID_SESSION
  /** The budget is spent: all sessions end and the token is reset. */
  | { readonly kind: "exhausted" }
  | { readonly kind: "taken"; readonly identify: Identify };

export type ResumeVerdict =
  | Breach
  | typeof INVALID_SESSION
  | { readonly kind: "taken"; readonly session: Session; readonly sequence: number; readonly events: readonly Event[] };

/** topics/sharding: a hard limit of servers on one shard. */
const GUILDS_PER_SHARD = 2_500;
const INT32 = 0x7fffffff;

export function judgeIdentify(hub: Hub, data: unknown, place: Place): IdentifyVerdict {
  const { journal } = hub;
  const identify = parseIdentify(data);
  if (identify === "shard") return breach("identify.shard", JSON.stringify(data), CLOSE.invalidShard, "Invalid shard.");
  if (typeof identify === "string") return malformed(`IDENTIFY with a wrong ${identify}`);
  const { shard, intents, token } = identify;
  if (!hub.token.valid || token !== hub.token.value) {
    const detail = token.startsWith("Bot ") ? "the `Bot ` prefix belongs to REST" : "an unknown token";
    return breach("identify.token", detail, CLOSE.authenticationFailed, "Authentication failed.");
  }
  const verdict = hub.gate.identify(hub.clock.now(), shard.id);
  if (verdict.kind === "exhausted") {
    journal.violate("identify.budget", `shard ${shard.id}: all sessions are killed and the token is reset`);
    return { kind: "exhausted" };
  }
  const problem = unacceptable(hub, identify);
  if (problem !== undefined) return problem;
  if (verdict.kind === "window") {
    const key = shard.id % hub.gate.maxConcurrency;
    journal.violate("identify.window", `key ${key}: ${Math.round(verdict.sinceMs)} ms after the last`);
    return INVALID_SESSION;
  }
  if (place.host === "resume" && !place.refused) journal.violate("identify.resume-host", `shard ${shard.id}`);
  const wasted = hub.wasted(shard, intents);
  if (wasted !== undefined) {
    journal.violate("identify.resumable", `shard ${shard.id} had session ${wasted.identity.id}`);
  }
  if (hub.script.invalidIdentifies > 0) {
    hub.script.invalidIdentifies--;
    return INVALID_SESSION;
  }
  return { kind: "taken", identify };
}

export function judgeResume(hub: Hub, data: unknown, place: Place): ResumeVerdict {
  const { journal } = hub;
  const resume = parseResume(data);
  if (typeof resume === "string") return malformed(`RESUME with a wrong ${resume}`);
  if (!hub.token.valid || resume.token !== hub.token.value) {
    return breach("resume.token", "an unknown token", CLOSE.authenticationFailed, "Authentication failed.");
  }
  const session = hub.find(resume.sessionId);
  if (session === undefined) return INVALID_SESSION;
  const now = hub.clock.now();
  // A client that found the resume host dead since it lost its connection may go on from the generic host.
  if (place.host === "generic" && hub.resumeHostAccepts() && hub.resumeHostTroubleAt < (session.detachedAt ?? now)) {
    journal.violate("resume.generic-host", `session ${resume.sessionId}`);
  }
  const verdict = session.resume(now, resume.sequence);
  if (verdict.kind === "refused") {
    hub.end(session, verdict.why);
    return INVALID_SESSION;
  }
  if (verdict.kind === "ahead") {
    hub.end(session, "invalidated");
    const detail = `${resume.sequence} is ahead of ${session.sequence}`;
    return breach("resume.sequence", detail, CLOSE.invalidSequence, "Invalid seq.");
  }
  if (session.identity.parameters !== place.parameters) {
    journal.violate("resume.parameters", `${place.parameters} instead of ${session.identity.parameters}`);
  }
  return { kind: "taken", session, sequence: resume.sequence, events: verdict.events };
}

function unacceptable(hub: Hub, { shard, intents }: Identify): Breach | undefined {
  const tuple = `[${shard.id}, ${shard.count}]`;
  if (intents > INT32 || (intents & ~ALL_INTENTS) !== 0) {
    return breach("identify.intents", `${intents}`, CLOSE.invalidIntents, "Invalid intent(s).");
  }
  if ((intents & PRIVILEGED_INTENTS & ~hub.privilegedIntents) !== 0) {
    return breach("identify.disallowed-intents", `${intents}`, CLOSE.disallowedIntents, "Disallowed intent(s).");
  }
  const { shardMultiple } = hub.options;
  if (shard.count % shardMultiple !== 0) {
    return breach(
      "identify.shard",
      `${tuple} is no multiple of ${shardMultiple}`,
      CLOSE.invalidShard,
      "Invalid shard.",
    );
  }
  const guilds = guildsOfShard(hub.world, shard).length;
  if (guilds <= GUILDS_PER_SHARD) return undefined;
  const detail = `${tuple} has ${guilds} servers`;
  return breach("identify.sharding-required", detail, CLOSE.shardingRequired, "Sharding required.");
}

function breach(rule: RuleName, detail: string, code: number, reason: string): Breach {
  return { kind: "breach", rule, detail, code, reason };
}

function malformed(detail: string): Breach {
  return breach("identify.malformed", detail, CLOSE.unknownOpcode, "Unknown opcode.");
}
