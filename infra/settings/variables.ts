// Variables of the bot that a stack may set besides those with a setting of their own, held to the bot's own syntax.

import { type PlainVariableName, secretNames, VARIABLES } from "../../shared/environment.ts";
import type { Reading, Syntax } from "../../shared/syntax.ts";

export type BotVariables = Readonly<Partial<Record<PlainVariableName, string>>>;

/** Variables that follow from other settings, or would take the bot from its stack; each with what to set instead. */
const SET_ELSEWHERE: Readonly<Partial<Record<string, string>>> = {
  STACK: "the stack's name",
  ON_FATAL: "always park in the cloud",
  EGRESS_ADDRESSES: "egressSlots",
  EGRESS_ECHO_URL: "egressEchoUrl",
  DRAIN_MS: "drainMs",
  LOG_LEVEL: "logLevel",
  SHARD_COUNT: "shardCount",
  LEDGER: "ledger",
  TASKS: "tasks",
  STATUS_PORT: "8080, which the health check asks",
  CLOCK_RATE: "1; only a rehearsal's clock runs fast",
  CLOCK_ORIGIN_MS: "nothing; only a rehearsal has an origin",
};

const bad = (problem: string): Reading<never> => ({ ok: false, problem });

function isPlain(name: string): name is PlainVariableName {
  const secrets: readonly string[] = secretNames();
  return name in VARIABLES && !secrets.includes(name);
}

/** The setting `variables`, as the CLI hands it over. */
export const variables: Syntax<BotVariables> = {
  expects: 'the bot\'s variables by name, such as {BOT_MODULE: "./bot/mine/index.ts"}',
  read(given) {
    let value: unknown;
    try {
      value = JSON.parse(given);
    } catch {
      value = undefined;
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return bad(`is ${given}; it must be ${variables.expects}`);
    }
    const read: Partial<Record<PlainVariableName, string>> = {};
    for (const [name, part] of Object.entries(value)) {
      const elsewhere = SET_ELSEWHERE[name];
      if (elsewhere !== undefined) return bad(`has ${name}, which follows from ${elsewhere}; remove it here`);
      if (!isPlain(name)) {
        return bad(
          `has ${name}, which is no plain variable of the bot; the README lists them, secrets have keys of their own`,
        );
      }
      // YAML turns on into true and digits into numbers; the bot reads text.
      const text = part === true ? "on" : part === false ? "off" : String(part);
      const reading = VARIABLES[name].syntax.read(text);
      if (!reading.ok) return bad(`has ${name}, which ${reading.problem}`);
      read[name] = text;
    }
    return { ok: true, value: read };
  },
};
