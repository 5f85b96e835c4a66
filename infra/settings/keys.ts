// The stack configuration's keys, named once: how each is read, what it defaults to. Pulumi.yaml documents the same keys.

import { integer, isLoopback, oneOf, type Reading, type Syntax, text, url } from "../../shared/syntax.ts";
import { SLOT_NAME, slots } from "./slots.ts";
import { variables } from "./variables.ts";

/** The types that a key can be declared with in Pulumi.yaml. */
export type DeclaredType = "string" | "integer" | "boolean" | "array" | "object";

export interface Key<Value> {
  readonly type: DeclaredType;
  readonly syntax: Syntax<Value>;
  /** The text, as the CLI hands it over, that an unset key stands for; lists and objects are JSON. */
  readonly fallback: string;
}

const good = <Value>(value: Value): Reading<Value> => ({ ok: true, value });
const bad = (problem: string): Reading<never> => ({ ok: false, problem });

/** A syntax that also accepts nothing at all, read as `undefined`. */
function optional<Value>(syntax: Syntax<Value>): Syntax<Value | undefined> {
  return {
    expects: `empty or ${syntax.expects}`,
    read: (given) => (given.trim() === "" ? good(undefined) : syntax.read(given)),
  };
}

function matching(pattern: RegExp, expects: string): Syntax<string> {
  return {
    expects,
    read: (given) => (pattern.test(given.trim()) ? good(given.trim()) : bad(`is "${given}"; it must be ${expects}`)),
  };
}

const trueOrFalse: Syntax<boolean> = {
  expects: "true or false",
  read(given) {
    if (given !== "true" && given !== "false") return bad(`is "${given}"; it must be true or false`);
    return good(given === "true");
  },
};

function json(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return undefined;
  }
}

/** A JSON list whose parts each match `pattern`, without repeats. */
function list(pattern: RegExp, each: string, least: number): Syntax<readonly string[]> {
  const expects = `a list of ${each}`;
  return {
    expects,
    read(given) {
      const parts = json(given);
      if (!Array.isArray(parts) || parts.length < least) return bad(`is ${given}; it must be ${expects}`);
      const values: string[] = [];
      for (const part of parts) {
        if (typeof part !== "string" || !pattern.test(part)) {
          return bad(`has ${JSON.stringify(part)}; it must be ${expects}`);
        }
        if (values.includes(part)) return bad(`has "${part}" twice; name each once`);
        values.push(part);
      }
      return good(values);
    },
  };
}

/** An IPv4 network with its length in bits; AWS takes /16 to /28, and a sixteenth of it must still be a subnet. */
const network: Syntax<string> = {
  expects: "a private IPv4 network from /16 to /24, such as 10.0.0.0/16",
  read(given) {
    const expects = network.expects;
    const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(1[6-9]|2[0-4])$/.exec(given.trim());
    if (match === null) return bad(`is "${given}"; it must be ${expects}`);
    const parts = match.slice(1, 5).map(Number);
    const [first = 256, second = 256] = parts;
    const isPrivate =
      first === 10 || (first === 172 && second >= 16 && second <= 31) || (first === 192 && second === 168);
    if (parts.some((part) => part > 255) || !isPrivate) return bad(`is "${given}"; it must be ${expects}`);
    const address = parts.reduce((sum, part) => sum * 256 + part, 0);
    if (address % 2 ** (32 - Number(match[5])) !== 0)
      return bad(`is "${given}"; its address has bits beyond its length`);
    return good(given.trim());
  },
};

const RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922];

/** What CloudWatch Logs accepts (PutRetentionPolicy) without its last values of a decade, where no bot's log is read. */
const retention: Syntax<number> = {
  expects: `a retention that CloudWatch Logs knows: ${RETENTION_DAYS.join(", ")} days`,
  read(given) {
    const days = Number(given);
    return RETENTION_DAYS.includes(days) ? good(days) : bad(`is "${given}"; it must be ${retention.expects}`);
  },
};

const email = /^[^@\s]+@[^@\s]+\.[^@\s]+$/;

const key = <Value>(type: DeclaredType, syntax: Syntax<Value>, fallback: string): Key<Value> => ({
  type,
  syntax,
  fallback,
});

/** Every plain key. Meanings stand in Pulumi.yaml, where whoever sets them reads them. */
export const KEYS = {
  production: key("boolean", trueOrFalse, "false"),
  disposable: key("boolean", trueOrFalse, "false"),
  protectAddresses: key("boolean", trueOrFalse, "false"),
  applicationId: key("string", optional(matching(/^\d{17,20}$/, "an application's id, 17 to 20 digits")), ""),

  vpcCidr: key("string", network, "10.0.0.0/16"),
  zones: key("array", list(/^[a-h]$/, "zone letters from a to h, such as [a, b]", 1), '["a","b"]'),
  natMode: key("string", oneOf(["gateway", "instance"]), "gateway"),
  natZones: key("array", list(/^[a-h]$/, "zone letters, a part of zones", 1), '["a"]'),
  natInstanceType: key("string", matching(/^[a-z0-9-]+\.[a-z0-9]+$/, "an EC2 instance type"), "t4g.nano"),
  natImageName: key("string", text, "fck-nat-al2023-hvm-1.4.0-20260701-arm64-ebs"),
  egressSlots: key("object", slots, '{"green":{}}'),
  egressSlot: key("string", matching(SLOT_NAME, "the name of a slot"), "green"),
  egressEchoUrl: key("string", optional(url("https", "http", isLoopback)), "https://checkip.amazonaws.com"),
  egressProxyPort: key("integer", integer(1, 65_535), "443"),
  flowLogs: key("boolean", trueOrFalse, "false"),

  imageSource: key("string", oneOf(["build", "digest"]), "build"),
  imageDigest: key("string", optional(matching(/^sha256:[0-9a-f]{64}$/, "an image's sha256:... digest")), ""),
  architecture: key("string", oneOf(["arm64", "x86_64"]), "arm64"),
  cpu: key("integer", integer(256, 16_384), "256"),
  memory: key("integer", integer(512, 122_880), "512"),
  spot: key("boolean", trueOrFalse, "false"),
  ledger: key("boolean", trueOrFalse, "false"),
  tasks: key("integer", integer(1, 1_000), "1"),
  rollout: key("string", oneOf(["recreate", "handoff"]), "recreate"),
  // 5 s below ECS's stop timeout of 120 s, for closing the gateway and the last lines.
  drainMs: key("integer", integer(0, 115_000), "20000"),
  logLevel: key("string", oneOf(["fatal", "error", "warn", "info", "debug", "trace"]), "info"),
  variables: key("object", variables, "{}"),
  shardCount: key("string", matching(/^(auto|[1-9]\d{0,4})$/, "auto, or a whole number from 1"), "auto"),

  logRetentionDays: key("integer", retention, "30"),
  pageEmails: key("array", list(email, "e-mail addresses", 0), "[]"),
  notifyEmails: key("array", list(email, "e-mail addresses", 0), "[]"),
  slackTeamId: key("string", optional(matching(/^[TE][A-Z0-9]{6,}$/, "a Slack workspace id, T...")), ""),
  slackChannelId: key("string", optional(matching(/^[CG][A-Z0-9]{6,}$/, "a Slack channel id, C...")), ""),
  dashboard: key("boolean", trueOrFalse, "true"),
  runbookUrl: key("string", optional(matching(/^https:\/\/\S+$/, "an https:// URL of RUNBOOKS.md")), ""),
  customerKey: key("boolean", trueOrFalse, "false"),
  monthlyBudgetUsd: key("integer", integer(0, 100_000), "0"),
} as const satisfies Record<string, Key<unknown>>;

export type KeyName = keyof typeof KEYS;

/** Every plain key's value, read and well-formed by itself. */
export type Values = {
  readonly [Name in KeyName]: (typeof KEYS)[Name] extends Key<infer Value> ? Value : never;
};

/** Secret keys: not declared in Pulumi.yaml, since the CLI wants a default for what is declared and none for secrets. */
export const SECRET_KEYS = {
  discordToken: { required: true, fix: "pulumi config set --secret discordToken" },
  upstreamKeys: { required: false, fix: "pulumi config set --secret upstreamKeys" },
  egressProxy: { required: false, fix: "pulumi config set --secret egressProxy" },
  pagerUrl: { required: false, fix: "pulumi config set --secret pagerUrl" },
  discordWebhookUrl: { required: false, fix: "pulumi config set --secret discordWebhookUrl" },
} as const;

export type SecretKeyName = keyof typeof SECRET_KEYS;

/** The plain keys, in the table's order. */
export function keyNames(): readonly KeyName[] {
  return Object.keys(KEYS).filter((name): name is KeyName => name in KEYS);
}

/** The secret keys, in the table's order. */
export function secretKeyNames(): readonly SecretKeyName[] {
  return Object.keys(SECRET_KEYS).filter((name): name is SecretKeyName => name in SECRET_KEYS);
}
