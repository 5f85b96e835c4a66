// The container's variables, named once: infra renders the task definition from this table, the bot parses from it.

import { keys, quotas, snowflakes } from "./chat.ts";
import { proxyAddress } from "./proxyAddress.ts";
import {
  addresses,
  autoOrInteger,
  idRanges,
  integer,
  isLoopback,
  ledgerLocation,
  oneOf,
  onOff,
  positive,
  type Syntax,
  text,
  token,
  url,
} from "./syntax.ts";

/** One variable: how it is read, what it defaults to (as text), who may set it. */
export interface Variable {
  readonly syntax: Syntax<unknown>;
  /** The text that an unset variable stands for; `undefined` without `required` means the value may be absent. */
  readonly fallback?: string;
  readonly required?: true;
  /** Reaches the container by reference (`secrets[].valueFrom`), never as plain text. */
  readonly secret?: true;
  /** May differ between the declared container and its rehearsal on one machine: endpoints, ports and the clock. */
  readonly rehearsal?: true;
  readonly meaning: string;
}

/** Every variable the bot reads. A name here is a promise to whoever starts the bot from outside. */
export const VARIABLES = {
  DISCORD_TOKEN: {
    syntax: token,
    required: true,
    secret: true,
    meaning: "raw bot token",
  },
  DISCORD_API_URL: {
    syntax: url("https", "http", isLoopback),
    fallback: "https://discord.com/api/v10",
    rehearsal: true,
    meaning: "the whole REST base; http allowed on loopback only",
  },
  DISCORD_GATEWAY_URL: {
    syntax: url("wss", "ws", () => true),
    rehearsal: true,
    meaning: "replaces `url` of GET /gateway/bot (its limits are still read); ws:// allowed, in resume_gateway_url too",
  },
  GATEWAY_COMPRESSION: {
    syntax: oneOf(["zstd-stream", "zlib-stream", "none"]),
    fallback: "zstd-stream",
    meaning: "transport compression of the gateway",
  },
  SHARD_COUNT: {
    syntax: autoOrInteger(16_384),
    fallback: "auto",
    meaning: "number of shards; auto takes Discord's recommendation once and keeps it with the sessions",
  },
  SHARD_IDS: {
    syntax: idRanges,
    meaning: "which shards this process runs, as 0-3,8; unset = all",
  },
  BOT_MODULE: {
    syntax: text,
    fallback: "./bot/chat/index.ts",
    meaning: "path of the module whose default export is defineBot(...)",
  },
  LEDGER: {
    syntax: ledgerLocation,
    fallback: "memory",
    meaning:
      "where sessions outlive the process: memory, file:DIR, or dynamodb:TABLE (region, credentials and AWS_ENDPOINT_URL_DYNAMODB as the AWS SDK reads them), which several tasks may share",
  },
  LEDGER_LOSS: {
    syntax: oneOf(["hold", "stop"]),
    fallback: "hold",
    meaning: "while the ledger is out of reach: hold keeps the shards and identifies nothing, stop closes them",
  },
  TASKS: {
    syntax: integer(1, 1_000),
    fallback: "1",
    meaning: "with LEDGER=dynamodb: tasks that share the shards; one more waits until one of them leaves",
  },
  IDENTIFY_RESERVE: {
    syntax: integer(0, 1_000_000),
    meaning:
      "IDENTIFYs of the daily budget left untouched; unset = 10 % of the total, at least one start of all shards",
  },
  IDENTIFY_OVERRIDE: {
    syntax: onOff,
    fallback: "off",
    meaning: "on lets shards identify below the reserve, down to zero",
  },
  GATEWAY_SEND_LIMIT: {
    syntax: integer(10, 115),
    fallback: "115",
    meaning:
      "payloads that a shard sends in any 61 s, heartbeats included; Discord ends a connection after 120 in 60 s",
  },
  METRICS_INTERVAL_MS: {
    syntax: integer(100, 60_000),
    fallback: "10000",
    meaning: "milliseconds between metric lines; also flushed on an edge ban, a fatal state and at exit",
  },
  STATUS_PORT: {
    syntax: integer(0, 65_535),
    fallback: "8080",
    rehearsal: true,
    meaning: "port of /live, /ready and /state on 127.0.0.1; 0 = any free port, logged in bot.started",
  },
  ON_FATAL: {
    syntax: oneOf(["exit", "park"]),
    fallback: "exit",
    meaning: "when Discord refuses the bot: exit with 77, or park (stay alive, dial nothing), as in the cloud",
  },
  DRAIN_MS: {
    syntax: integer(0, 115_000),
    fallback: "20000",
    meaning: "milliseconds that running handlers get after SIGTERM; below the task's stop timeout",
  },
  LOG_LEVEL: {
    syntax: oneOf(["fatal", "error", "warn", "info", "debug", "trace", "silent"]),
    fallback: "info",
    meaning: "pino's levels",
  },
  REST_GLOBAL_PER_SECOND: {
    syntax: integer(1, 10_000),
    fallback: "50",
    meaning: "Discord's global REST limit for this bot, requests a second",
  },
  STACK: {
    syntax: text,
    fallback: "local",
    meaning: "value of the metrics' one dimension, <project>-<stack>, so that dev never pages prod",
  },
  EGRESS_ADDRESSES: {
    syntax: addresses,
    meaning: "the public addresses this deployment leaves by; named when the edge bans them",
  },
  EGRESS_ECHO_URL: {
    syntax: url("https", "http", isLoopback),
    rehearsal: true,
    meaning:
      "answers a GET with the address it sees; compared with EGRESS_ADDRESSES at the start and hourly, unset = never",
  },
  EGRESS_PROXY: {
    syntax: proxyAddress,
    // It may hold a password.
    secret: true,
    meaning: "HTTP proxy that REST and gateway leave by (CONNECT), a stopgap while the own address is burned",
  },
  CHAT_CHANNELS: {
    syntax: snowflakes,
    meaning: "channels in which the bundled bot answers every message; needs the Message Content Intent in the portal",
  },
  CHAT_INSTRUCTIONS: {
    syntax: text,
    meaning: "what the model is told before each conversation; unset = to be brief and friendly",
  },
  CHAT_PING: {
    syntax: onOff,
    fallback: "off",
    meaning: "on lets an answer ping whoever asked; nobody else is ever pinged",
  },
  CHAT_MODERATOR_ROLES: {
    syntax: snowflakes,
    meaning:
      "roles whose members may use $stop, $start and $status; unset = whoever may manage messages in that channel",
  },
  OPERATOR_USER_IDS: {
    syntax: snowflakes,
    meaning: "users who may use $reboot, and all else",
  },
  CHAT_LOG_CONTENT: {
    syntax: onOff,
    fallback: "off",
    meaning: "on writes the question and the answer, cut and sanitised, into the log line of a failure",
  },
  UPSTREAM_URL: {
    syntax: url("https", "http", isLoopback),
    fallback: "https://router.huggingface.co/v1",
    rehearsal: true,
    meaning: "base of the OpenAI-compatible API that answers questions; http allowed on loopback only",
  },
  UPSTREAM_MODEL: {
    syntax: text,
    fallback: "meta-llama/Llama-3.1-8B-Instruct",
    meaning: "the model's name there",
  },
  UPSTREAM_KEYS: {
    syntax: keys,
    secret: true,
    meaning: "API keys separated by commas, the preferred one first; unset = a built-in responder answers",
  },
  UPSTREAM_QUOTAS: {
    syntax: quotas,
    fallback: "none",
    meaning:
      "what each key may use, as `300 requests/hour 900 requests/month 9000 tokens/hour`, by commas in the keys' order; the last holds for all further keys, and each of several tasks takes its part",
  },
  CLOCK_RATE: {
    syntax: positive(1000),
    fallback: "1",
    rehearsal: true,
    meaning: "every timer and window of the drivers runs that much faster; refused unless the API is on loopback",
  },
  CLOCK_ORIGIN_MS: {
    syntax: integer(0, 9_999_999_999_999),
    rehearsal: true,
    meaning: "with CLOCK_RATE: the wall time, ms since 1970, at which fast time began; unset = this process's start",
  },
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof VARIABLES;

type ValueOf<Name extends VariableName> =
  (typeof VARIABLES)[Name]["syntax"] extends Syntax<infer Value> ? Value : never;

type AlwaysSet = {
  [Name in VariableName]: (typeof VARIABLES)[Name] extends { fallback: string } | { required: true } ? Name : never;
}[VariableName];

type SecretName = {
  [Name in VariableName]: (typeof VARIABLES)[Name] extends { secret: true } ? Name : never;
}[VariableName];

/** A variable that may stand in a task definition as plain text. */
export type PlainVariableName = Exclude<VariableName, SecretName>;

/** The parsed environment, keyed by the variables' own names. */
export type Environment = {
  readonly [Name in VariableName]: Name extends AlwaysSet ? ValueOf<Name> : ValueOf<Name> | undefined;
};

/** What is wrong with one variable; `problem` completes "NAME ..." and ends with the fix. */
export interface EnvironmentProblem {
  readonly name: string;
  readonly problem: string;
}

export type ParsedEnvironment =
  | { readonly ok: true; readonly environment: Environment }
  | { readonly ok: false; readonly problems: readonly EnvironmentProblem[] };

const names = (): VariableName[] => Object.keys(VARIABLES).filter((name): name is VariableName => name in VARIABLES);

/**
 * Reads every variable from a process environment; unknown names are left alone, an empty text counts as unset.
 * All problems are reported at once, each naming the variable, its value (unless secret) and the fix.
 */
export function parseEnvironment(given: Readonly<Record<string, string | undefined>>): ParsedEnvironment {
  const values: Record<string, unknown> = {};
  const problems: EnvironmentProblem[] = [];
  for (const name of names()) {
    const variable: Variable = VARIABLES[name];
    const set = given[name];
    const chosen = set === undefined || set === "" ? variable.fallback : set;
    if (chosen === undefined) {
      if (variable.required) problems.push({ name, problem: `is not set; it must be ${variable.syntax.expects}` });
      continue;
    }
    const reading = variable.syntax.read(chosen);
    if (reading.ok) values[name] = reading.value;
    else problems.push({ name, problem: reading.problem });
  }
  problems.push(...contradictions(values));
  if (problems.length > 0) return { ok: false, problems };
  // Every always-set name was filled above or has put a problem into the list.
  return { ok: true, environment: values as unknown as Environment };
}

/** Problems between variables that are each well-formed. */
function contradictions(values: Readonly<Record<string, unknown>>): EnvironmentProblem[] {
  const problems: EnvironmentProblem[] = [];
  const { CLOCK_RATE: rate, DISCORD_API_URL: api, SHARD_COUNT: count, SHARD_IDS: ids, LEDGER: ledger } = values;
  if (typeof rate === "number" && rate !== 1 && typeof api === "string" && !isLoopback(api)) {
    problems.push({
      name: "CLOCK_RATE",
      problem: `is ${rate} while DISCORD_API_URL is ${api}; a fast clock would break Discord's real limits, unset it`,
    });
  }
  if (
    ids !== undefined &&
    typeof ledger === "object" &&
    ledger !== null &&
    Reflect.get(ledger, "kind") === "dynamodb"
  ) {
    problems.push({
      name: "SHARD_IDS",
      problem:
        "is set while LEDGER is dynamodb:TABLE; there tasks share the shards by themselves, unset it and set TASKS",
    });
  }
  if (Array.isArray(ids) && typeof count === "number") {
    const beyond = ids.filter((id: unknown) => typeof id === "number" && id >= count);
    if (beyond.length > 0) {
      problems.push({
        name: "SHARD_IDS",
        problem: `has ${beyond.join(", ")} while SHARD_COUNT is ${count}; ids run from 0 to ${count - 1}`,
      });
    }
  }
  return problems;
}

/** One entry of a container definition's `environment`. */
export interface RenderedVariable<Text> {
  readonly name: PlainVariableName;
  readonly value: Text;
}

/**
 * The container definition's `environment` from the values a deployment sets, in this table's order; a variable left
 * out keeps the bot's default. `Text` is whatever the deployment has as text, known now or later. Secrets do not type-check.
 */
export function renderEnvironment<Text>(
  values: Readonly<Partial<Record<PlainVariableName, Text>>>,
): readonly RenderedVariable<Text>[] {
  const rendered: RenderedVariable<Text>[] = [];
  for (const name of names()) {
    if (isSecret(name)) continue;
    const value = values[name];
    if (value !== undefined) rendered.push({ name, value });
  }
  return rendered;
}

/** The names that reach the container by reference only. */
export function secretNames(): readonly VariableName[] {
  return names().filter(isSecret);
}

/** The names that a rehearsal on one machine may set differently from what is declared. */
export function rehearsalNames(): readonly VariableName[] {
  return names().filter((name) => {
    const variable: Variable = VARIABLES[name];
    return variable.rehearsal === true;
  });
}

function isSecret(name: VariableName): name is SecretName {
  const variable: Variable = VARIABLES[name];
  return variable.secret === true;
}
