// The container's variables: every wrong value is named with its fix, all of them at once, and no secret is repeated.

import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  parseEnvironment,
  rehearsalNames,
  renderEnvironment,
  secretNames,
  type VARIABLES,
} from "../../shared/environment.ts";

const TOKEN = "MTIzNDU2Nzg5.fake.token-for-tests";

const problemsOf = (given: Record<string, string>): Record<string, string> => {
  const parsed = parseEnvironment({ DISCORD_TOKEN: TOKEN, ...given });
  return parsed.ok ? {} : Object.fromEntries(parsed.problems.map(({ name, problem }) => [name, problem]));
};

const parsedValue = (name: keyof typeof VARIABLES, text: string): unknown => {
  const parsed = parseEnvironment({ DISCORD_TOKEN: TOKEN, [name]: text });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.environment[name];
};

describe("defaults", () => {
  it("need only the token", () => {
    const parsed = parseEnvironment({ DISCORD_TOKEN: TOKEN });
    expect(parsed.ok && parsed.environment).toMatchObject({
      DISCORD_API_URL: "https://discord.com/api/v10",
      GATEWAY_COMPRESSION: "zstd-stream",
      SHARD_COUNT: "auto",
      BOT_MODULE: "./bot/chat/index.ts",
      LEDGER: { kind: "memory" },
      IDENTIFY_OVERRIDE: false,
      METRICS_INTERVAL_MS: 10_000,
      STATUS_PORT: 8080,
      ON_FATAL: "exit",
      DRAIN_MS: 20_000,
      LOG_LEVEL: "info",
      CLOCK_RATE: 1,
    });
    expect(parsed.ok && parsed.environment.IDENTIFY_RESERVE).toBeUndefined();
    expect(parsed.ok && parsed.environment.DISCORD_GATEWAY_URL).toBeUndefined();
  });

  it("hold for a variable that is set to nothing", () => {
    expect(problemsOf({ LOG_LEVEL: "", STATUS_PORT: "" })).toEqual({});
  });
});

describe("values", () => {
  it.each([
    ["SHARD_IDS", "0-3,8", [0, 1, 2, 3, 8]],
    ["SHARD_IDS", "5, 1,1-2", [1, 2, 5]],
    ["SHARD_COUNT", "16", 16],
    ["LEDGER", "file:/var/lib/mooring", { kind: "file", directory: "/var/lib/mooring" }],
    ["LEDGER", "dynamodb:mooring-prod.bot_1", { kind: "dynamodb", table: "mooring-prod.bot_1" }],
    ["DISCORD_API_URL", "http://127.0.0.1:8080/api/v10/", "http://127.0.0.1:8080/api/v10"],
    ["DISCORD_API_URL", "http://localhost:1/api", "http://localhost:1/api"],
    ["DISCORD_GATEWAY_URL", "ws://127.0.0.1:4000", "ws://127.0.0.1:4000"],
    ["IDENTIFY_RESERVE", "0", 0],
    ["IDENTIFY_OVERRIDE", "on", true],
    ["GATEWAY_SEND_LIMIT", "10", 10],
    ["STATUS_PORT", "0", 0],
    ["EGRESS_ADDRESSES", "203.0.113.7, 203.0.113.8", ["203.0.113.7", "203.0.113.8"]],
  ] as const)("%s=%s", (name, text, value) => {
    expect(parsedValue(name, text)).toEqual(value);
  });
});

describe("problems", () => {
  it.each([
    ["DISCORD_API_URL", "http://discord.com/api/v10", /loopback/],
    ["DISCORD_API_URL", "http://127.0.0.1.example.net/api", /loopback/],
    ["DISCORD_API_URL", "discord.com", /must be a https/],
    ["DISCORD_API_URL", "https://user:pass@discord.com/api", /user name or password/],
    ["DISCORD_GATEWAY_URL", "http://127.0.0.1:1", /must be a wss/],
    ["GATEWAY_COMPRESSION", "gzip", /zstd-stream, zlib-stream, none/],
    ["SHARD_COUNT", "0", /from 1 to/],
    ["SHARD_COUNT", "many", /auto/],
    ["SHARD_IDS", "3-1", /0-3,8/],
    ["SHARD_IDS", "99999", /at most/],
    ["LEDGER", "redis:x", /memory, file:DIR or dynamodb:TABLE/],
    ["LEDGER", "file:", /memory, file:DIR or dynamodb:TABLE/],
    ["LEDGER", "dynamodb:my table", /memory, file:DIR or dynamodb:TABLE/],
    ["LEDGER_LOSS", "panic", /hold, stop/],
    ["TASKS", "0", /from 1 to/],
    ["IDENTIFY_RESERVE", "-1", /whole number/],
    ["GATEWAY_SEND_LIMIT", "116", /from 10 to 115/],
    ["IDENTIFY_RESERVE", "10%", /whole number/],
    ["IDENTIFY_OVERRIDE", "yes", /on or off/],
    ["METRICS_INTERVAL_MS", "5", /from 100/],
    ["STATUS_PORT", "70000", /65535/],
    ["ON_FATAL", "restart", /exit, park/],
    ["DRAIN_MS", "120000", /115000/],
    ["LOG_LEVEL", "verbose", /info/],
    ["CLOCK_RATE", "0", /above 0/],
    ["CLOCK_RATE", "12", /loopback|real limits/],
    ["EGRESS_ADDRESSES", "203.0.113.256", /IPv4/],
    ["EGRESS_ADDRESSES", "not-an-address", /IPv4/],
    ["DISCORD_TOKEN", "Bot abc", /without that prefix/],
    ["DISCORD_TOKEN", '"abc"', /quotes/],
    ["DISCORD_TOKEN", "MTEw\u2026abc", /characters that no token has/],
    ["DISCORD_TOKEN", "MTEw\u0001abc", /characters that no token has/],
  ])("%s=%s", (name, text, reason) => {
    expect(problemsOf({ [name]: text })[name]).toMatch(reason);
  });

  it("come all at once, the missing token among them", () => {
    const parsed = parseEnvironment({ STATUS_PORT: "x", ON_FATAL: "y", LOG_LEVEL: "z" });
    expect(parsed.ok ? [] : parsed.problems.map(({ name }) => name)).toEqual([
      "DISCORD_TOKEN",
      "STATUS_PORT",
      "ON_FATAL",
      "LOG_LEVEL",
    ]);
  });

  it("let a fast clock pass on loopback only", () => {
    expect(problemsOf({ CLOCK_RATE: "12", DISCORD_API_URL: "http://127.0.0.1:1/api/v10" })).toEqual({});
  });

  it("see shard ids beyond the shard count", () => {
    expect(problemsOf({ SHARD_COUNT: "4", SHARD_IDS: "2-5" })["SHARD_IDS"]).toMatch(/4, 5 .*0 to 3/);
    expect(problemsOf({ LEDGER: "dynamodb:bots", SHARD_IDS: "2-5" })["SHARD_IDS"]).toMatch(/TASKS/);
  });

  it("never repeat a token, whatever is wrong with it", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12 }), (secret) => {
        const parsed = parseEnvironment({ DISCORD_TOKEN: secret, LOG_LEVEL: "nonsense" });
        const shown = inspect(parsed) + JSON.stringify(parsed);
        return secret.trim() === "" || !shown.includes(secret.trim());
      }),
    );
  });
});

describe("a parsed token", () => {
  it("cannot be printed by accident", () => {
    const parsed = parseEnvironment({ DISCORD_TOKEN: TOKEN });
    if (!parsed.ok) throw new Error("the token is good");
    const { DISCORD_TOKEN: secret } = parsed.environment;
    expect(`${secret} ${JSON.stringify(parsed)} ${inspect(parsed, { depth: 9, showHidden: true })}`).not.toContain(
      TOKEN,
    );
    expect(secret.reveal()).toBe(TOKEN);
  });
});

describe("rendering for a task definition", () => {
  it("keeps only what is set, by the table's names and order", () => {
    expect(renderEnvironment({ STACK: "mooring-dev", ON_FATAL: "park" })).toEqual([
      { name: "ON_FATAL", value: "park" },
      { name: "STACK", value: "mooring-dev" },
    ]);
  });

  it("has no place for a secret", () => {
    expect(secretNames()).toEqual(["DISCORD_TOKEN", "EGRESS_PROXY", "UPSTREAM_KEYS"]);
    const smuggled = { DISCORD_TOKEN: TOKEN, STACK: "s" };
    expect(JSON.stringify(renderEnvironment(smuggled))).not.toContain(TOKEN);
  });

  it("comes back unchanged from the bot's parser", () => {
    const rendered = renderEnvironment({ STACK: "mooring-dev", ON_FATAL: "park", DRAIN_MS: "90000" });
    const parsed = parseEnvironment({
      DISCORD_TOKEN: TOKEN,
      ...Object.fromEntries(rendered.map(({ name, value }) => [name, value])),
    });
    expect(parsed.ok && parsed.environment).toMatchObject({ STACK: "mooring-dev", ON_FATAL: "park", DRAIN_MS: 90_000 });
  });
});

describe("a rehearsal", () => {
  it("may change endpoints, ports and the clock, nothing else", () => {
    expect(rehearsalNames()).toEqual([
      "DISCORD_API_URL",
      "DISCORD_GATEWAY_URL",
      "STATUS_PORT",
      "EGRESS_ECHO_URL",
      "UPSTREAM_URL",
      "CLOCK_RATE",
      "CLOCK_ORIGIN_MS",
    ]);
  });
});
