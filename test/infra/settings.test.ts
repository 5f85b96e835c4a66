// Stack configuration: every rule as a row, each problem named with key, value and fix, all at once.

import { describe, expect, it } from "vitest";
import { isFargateSize } from "../../infra/settings/checks.ts";
import { keyNames } from "../../infra/settings/keys.ts";
import { parseSettings, type RawConfiguration } from "../../infra/settings.ts";

const ALLOCATION = "eipalloc-0123456789abcdef0";
const OTHER_ALLOCATION = "eipalloc-0fedcba9876543210";

interface Given {
  readonly config?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, "missing" | "plain" | "encrypted">>;
  readonly region?: string | undefined;
  readonly stack?: string;
}

function configuration(given: Given): RawConfiguration {
  const config = given.config ?? {};
  return {
    project: "mooring",
    stack: given.stack ?? "dev",
    region: "region" in given ? given.region : "us-east-1",
    value: (key) => config[key],
    secret: (key) =>
      ({
        discordToken: "encrypted" as const,
        upstreamKeys: "missing" as const,
        egressProxy: "missing" as const,
        pagerUrl: "missing" as const,
        discordWebhookUrl: "missing" as const,
        ...given.secrets,
      })[key],
    keys: Object.keys(config),
  };
}

function problemsOf(given: Given): readonly string[] {
  const parsed = parseSettings(configuration(given));
  return parsed.ok ? [] : parsed.problems.map(({ key, problem }) => `${key} ${problem}`);
}

const PRODUCTION = { production: "true", protectAddresses: "true", pageEmails: '["oncall@mooring.dev"]' };

describe("parseSettings", () => {
  it("stands on its defaults with nothing but a region and a token", () => {
    const parsed = parseSettings(configuration({}));
    expect(parsed).toMatchObject({ ok: true, settings: { name: "mooring-dev", zones: ["a", "b"], cpu: 256 } });
  });

  it.each<[what: string, given: Given, key: string, says: RegExp]>([
    [
      "a token that is not set",
      { secrets: { discordToken: "missing" } },
      "discordToken",
      /not set.*config set --secret/,
    ],
    [
      "a token in plain",
      { secrets: { discordToken: "plain" } },
      "discordToken",
      /stored in plain.*config set --secret/,
    ],
    ["a pager in plain", { secrets: { pagerUrl: "plain" } }, "pagerUrl", /stored in plain/],
    ["no region", { region: undefined }, "aws:region", /not set.*config set aws:region/],
    ["a region of another partition", { region: "cn-north-1" }, "aws:region", /"cn-north-1".*aws partition/],
    ["a stack that cannot name resources", { stack: "Dev_1" }, "stack", /"mooring-Dev_1".*lower-case/],
    ["an unknown key", { config: { natmode: "gateway" } }, "natmode", /not a setting/],
    ["a word for a number", { config: { cpu: "lots" } }, "cpu", /"lots".*whole number/],
    ["a word for a switch", { config: { spot: "yes" } }, "spot", /"yes".*true or false/],
    ["no zones", { config: { zones: "[]" } }, "zones", /is \[\]/],
    ["a zone twice", { config: { zones: '["a","a"]' } }, "zones", /"a" twice/],
    ["a zone's full name", { config: { zones: '["us-east-1a"]' } }, "zones", /"us-east-1a".*letters/],
    ["a NAT zone that is none", { config: { natZones: '["c"]' } }, "natZones", /has c while zones is a, b/],
    [
      "two NATs for three zones",
      { config: { zones: '["a","b","c"]', natZones: '["a","b"]' } },
      "natZones",
      /2 of 3 zones/,
    ],
    ["a public network", { config: { vpcCidr: "8.8.0.0/16" } }, "vpcCidr", /"8.8.0.0\/16".*private/],
    ["a network too small", { config: { vpcCidr: "10.0.0.0/26" } }, "vpcCidr", /\/16 to \/24/],
    ["a network with host bits", { config: { vpcCidr: "10.0.1.0/16" } }, "vpcCidr", /bits beyond/],
    ["a slot that is not listed", { config: { egressSlot: "blue" } }, "egressSlot", /"blue".*green/],
    [
      "an active slot in quarantine",
      {
        config: { egressSlots: '{"green":{"quarantine":{"reason":"1015","since":"2026-01-31"}}}' },
      },
      "egressSlot",
      /in quarantine since 2026-01-31 \(1015\)/,
    ],
    [
      "a quarantine without a day",
      { config: { egressSlots: '{"green":{"quarantine":{"reason":"1015"}}}' } },
      "egressSlots",
      /YYYY-MM-DD/,
    ],
    ["a slot that is a word", { config: { egressSlots: '{"green":"own"}' } }, "egressSlots", /"own".*\{\}/],
    ["a slot that is a list", { config: { egressSlots: '{"green":[]}' } }, "egressSlots", /\[\].*\{\}/],
    [
      "allocations without zones",
      { config: { egressSlots: `{"green":{"allocationIds":["${ALLOCATION}"]}}` } },
      "egressSlots",
      /allocationIds with/,
    ],
    ["an odd slot name", { config: { egressSlots: '{"Green!":{}}' } }, "egressSlots", /"Green!"/],
    ["an unknown slot key", { config: { egressSlots: '{"green":{"ip":"1.2.3.4"}}' } }, "egressSlots", /green.ip/],
    [
      "a wrong allocation",
      { config: { egressSlots: '{"green":{"allocationId":"1.2.3.4"}}' } },
      "egressSlots",
      /1\.2\.3\.4.*eipalloc/,
    ],
    [
      "one address for two zones",
      {
        config: { natZones: '["a","b"]', egressSlots: `{"green":{"allocationId":"${ALLOCATION}"}}` },
      },
      "egressSlots",
      /one address in green for 2 NAT zones/,
    ],
    [
      "two addresses for three zones",
      {
        config: {
          zones: '["a","b","c"]',
          natZones: '["a","b","c"]',
          egressSlots: `{"green":{"allocationIds":{"a":"${ALLOCATION}","b":"${OTHER_ALLOCATION}"}}}`,
        },
      },
      "egressSlots",
      /for zones a, b in green, but NAT stands in a, b, c/,
    ],
    [
      "an address in two slots",
      {
        config: { egressSlots: `{"green":{"allocationId":"${ALLOCATION}"},"blue":{"allocationId":"${ALLOCATION}"}}` },
      },
      "egressSlots",
      /in green and in blue/,
    ],
    [
      "a NAT image of the wrong architecture",
      {
        config: { natMode: "instance", natInstanceType: "t3.nano" },
      },
      "natImageName",
      /arm64.*t3\.nano/,
    ],
    ["cpu that Fargate lacks", { config: { cpu: "300" } }, "cpu", /is 300.*256, 512/],
    ["memory that does not go with cpu", { config: { cpu: "256", memory: "4096" } }, "memory", /4096 while cpu is 256/],
    ["a digest source without a digest", { config: { imageSource: "digest" } }, "imageDigest", /empty/],
    [
      "a digest with a build source",
      { config: { imageDigest: `sha256:${"0".repeat(64)}` } },
      "imageDigest",
      /imageSource is build/,
    ],
    [
      "a shortened digest",
      { config: { imageSource: "digest", imageDigest: "sha256:123" } },
      "imageDigest",
      /sha256:123/,
    ],
    ["a hand-over without a ledger", { config: { rollout: "handoff" } }, "rollout", /set ledger to true/],
    ["a proxy's port without a proxy", { config: { egressProxyPort: "3128" } }, "egressProxyPort", /set egressProxy/],
    ["several tasks without a ledger", { config: { tasks: "3" } }, "tasks", /is 3 while ledger is false/],
    ["a drain beyond the stop timeout", { config: { drainMs: "119000" } }, "drainMs", /"119000".*115000/],
    [
      "a variable with a setting of its own",
      { config: { variables: '{"LOG_LEVEL":"warn"}' } },
      "variables",
      /logLevel/,
    ],
    [
      "a proxy in plain",
      { config: { variables: '{"EGRESS_PROXY":"http://a:b@c"}' } },
      "variables",
      /no plain variable/,
    ],
    ["a secret variable", { config: { variables: '{"UPSTREAM_KEYS":"k"}' } }, "variables", /no plain variable/],
    ["a variable the bot lacks", { config: { variables: '{"TYPO":"1"}' } }, "variables", /TYPO, which is no plain/],
    ["variables that are a list", { config: { variables: "[]" } }, "variables", /by name/],
    [
      "a variable in a wrong form",
      { config: { variables: '{"IDENTIFY_RESERVE":"many"}' } },
      "variables",
      /IDENTIFY_RESERVE, which is "many"/,
    ],
    ["a retention CloudWatch lacks", { config: { logRetentionDays: "8" } }, "logRetentionDays", /"8".*7, 14/],
    [
      "an example address",
      { config: { pageEmails: '["you@example.com"]' } },
      "pageEmails",
      /you@example\.com, an example/,
    ],
    ["half a Slack channel", { config: { slackTeamId: "T01234567" } }, "slackChannelId", /both or neither/],
    ["production without a pager", { config: { ...PRODUCTION, pageEmails: "[]" } }, "pageEmails", /must page somebody/],
    [
      "production that tells Discord alone",
      { config: { ...PRODUCTION, pageEmails: "[]" }, secrets: { discordWebhookUrl: "encrypted" } },
      "pageEmails",
      /webhook alone is silent/,
    ],
    ["production on Spot", { config: { ...PRODUCTION, spot: "true" } }, "spot", /in production/],
    ["production on a NAT instance", { config: { ...PRODUCTION, natMode: "instance" } }, "natMode", /in production/],
    [
      "production that throws secrets away",
      { config: { ...PRODUCTION, disposable: "true" } },
      "disposable",
      /in production/,
    ],
    [
      "production without protection",
      { config: { ...PRODUCTION, protectAddresses: "false" } },
      "protectAddresses",
      /in production/,
    ],
  ])("refuses %s", (_, given, key, says) => {
    const problems = problemsOf(given);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${key} `));
    expect(problems[0]).toMatch(says);
  });

  it.each<[what: string, given: Given]>([
    ["production with an e-mail pager", { config: PRODUCTION }],
    [
      "production with an HTTPS pager",
      { config: { ...PRODUCTION, pageEmails: "[]" }, secrets: { pagerUrl: "encrypted" } },
    ],
    [
      "a parked slot in quarantine",
      {
        config: {
          egressSlot: "blue",
          egressSlots: '{"green":{"quarantine":{"reason":"1015","since":"2026-01-31"}},"blue":{}}',
        },
      },
    ],
    [
      "an address a zone",
      {
        config: {
          natZones: '["b","a"]',
          egressSlots: `{"green":{"allocationIds":{"a":"${ALLOCATION}","b":"${OTHER_ALLOCATION}"}}}`,
        },
      },
    ],
    [
      "slots as `pulumi config set --path` writes them",
      {
        config: {
          egressSlot: "blue",
          egressSlots: `{"green":"{\\"quarantine\\":{\\"reason\\":1015,\\"since\\":\\"2026-01-31\\"}}","blue":"{}"}`,
        },
      },
    ],
    ["an address brought along", { config: { egressSlots: `{"green":{"allocationId":"${ALLOCATION}"}}` } }],
    ["the bot's own variables", { config: { variables: '{"IDENTIFY_OVERRIDE":true,"IDENTIFY_RESERVE":50}' } }],
    ["a hand-over with a ledger", { config: { ledger: "true", rollout: "handoff", tasks: "3" } }],
    ["no echo", { config: { egressEchoUrl: "" } }],
    ["an image by digest", { config: { imageSource: "digest", imageDigest: `sha256:${"a".repeat(64)}` } }],
  ])("accepts %s", (_, given) => {
    expect(problemsOf(given)).toEqual([]);
  });

  it("reports problems of every kind at once", () => {
    const keys = problemsOf({
      config: { cpu: "lots", zones: "[]", strange: "1", spot: "maybe" },
      secrets: { discordToken: "missing" },
      region: undefined,
    }).map((problem) => problem.split(" ")[0]);
    expect(keys.sort()).toEqual(["aws:region", "cpu", "discordToken", "spot", "strange", "zones"]);
  });

  it("reports several contradictions at once", () => {
    expect(problemsOf({ config: { production: "true", spot: "true", memory: "4096" } })).toHaveLength(4);
  });

  it("reads every key of its table", () => {
    const parsed = parseSettings(configuration({}));
    expect(parsed.ok && keyNames().every((key) => key in parsed.settings)).toBe(true);
  });
});

describe("isFargateSize", () => {
  it.each([
    [256, 512, true],
    [256, 1024, true],
    [256, 1536, false],
    [256, 2048, true],
    [512, 1024, true],
    [512, 1536, false],
    [512, 4096, true],
    [1024, 1024, false],
    [2048, 16_384, true],
    [4096, 30_720, true],
    [8192, 17_408, false],
    [16_384, 122_880, true],
    [300, 512, false],
  ])("%i units with %i MiB: %s", (cpu, memory, runs) => {
    expect(isFargateSize(cpu, memory)).toBe(runs);
  });
});
