// The bootstrap: what it lists for an account in any state, that carrying it out leaves nothing to do, and who gets in.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bootstrapSteps, type Found, nextCommands, type Step, stepLine } from "../../infra/tools/bootstrap.ts";
import { deployRoles, type Where } from "../../infra/tools/deployRoles.ts";

const WHERE: Where = {
  project: "mooring",
  account: "111111111111",
  region: "eu-central-1",
  repository: "owner/name",
  bucket: "mooring-state-111111111111-eu-central-1",
};
const STACKS = ["dev", "prod"];
const NOTHING: Found = { bucket: undefined, aliases: new Map(), audiences: undefined, roles: new Map() };

/** What AWS would then find: the effect of each step, as far as the next comparison sees it. */
function after(found: Found, steps: readonly Step[]): Found {
  let bucket = found.bucket;
  let audiences = found.audiences;
  const aliases = new Map(found.aliases);
  const roles = new Map(found.roles);
  for (const step of steps) {
    switch (step.do) {
      case "createBucket":
        if (bucket !== undefined) throw new Error("the bucket exists");
        bucket = { versioned: false, isPrivate: false, tlsOnly: false };
        break;
      case "versionBucket":
      case "closeBucket":
      case "demandTls": {
        if (bucket === undefined) throw new Error("there is no bucket yet");
        const key = { versionBucket: "versioned", closeBucket: "isPrivate", demandTls: "tlsOnly" }[step.do];
        bucket = { ...bucket, [key]: true };
        break;
      }
      case "createKey":
        if (aliases.has(step.alias)) throw new Error("the alias exists");
        aliases.set(step.alias, { rotated: true });
        break;
      case "rotateKey":
        aliases.set(step.alias, { rotated: true });
        break;
      case "createProvider":
        if (audiences !== undefined) throw new Error("the provider exists");
        audiences = [step.audience];
        break;
      case "addAudience":
        audiences = [...(audiences ?? []), step.audience];
        break;
      case "createRole":
        if (roles.has(step.role)) throw new Error("the role exists");
        roles.set(step.role, { trust: step.trust, policy: undefined, attached: [] });
        break;
      default: {
        const role = roles.get(step.role);
        if (role === undefined) throw new Error("there is no such role yet");
        if (step.do === "setTrust") roles.set(step.role, { ...role, trust: step.trust });
        else if (step.do === "setPolicy") roles.set(step.role, { ...role, policy: step.policy });
        else if ("arn" in step) roles.set(step.role, { ...role, attached: [...role.attached, step.arn] });
      }
    }
  }
  return { bucket, audiences, aliases, roles };
}

const whole = after(NOTHING, bootstrapSteps(WHERE, STACKS, NOTHING));

describe("bootstrapSteps", () => {
  it("makes everything in an empty account, the bucket closed before anything is written", () => {
    expect(bootstrapSteps(WHERE, STACKS, NOTHING).map(stepLine)).toEqual([
      "create the bucket mooring-state-111111111111-eu-central-1, for Pulumi's state",
      "close mooring-state-111111111111-eu-central-1 to the public",
      "keep old versions in mooring-state-111111111111-eu-central-1, so that a broken state can be put back",
      "demand TLS of whoever uses mooring-state-111111111111-eu-central-1",
      "create a key, alias/mooring-state-dev, for a stack's secrets ($1 a month)",
      "create a key, alias/mooring-state-prod, for a stack's secrets ($1 a month)",
      "trust token.actions.githubusercontent.com to say which workflow asks",
      "create the role mooring-deploy-dev",
      "say what the role mooring-deploy-dev may do",
      "create the role mooring-deploy-prod",
      "say what the role mooring-deploy-prod may do",
      "create the role mooring-preview",
      "say what the role mooring-preview may do",
      "let the role mooring-preview use arn:aws:iam::aws:policy/ReadOnlyAccess",
      "create the role mooring-drift",
      "say what the role mooring-drift may do",
      "let the role mooring-drift use arn:aws:iam::aws:policy/ReadOnlyAccess",
    ]);
  });

  it("has nothing to do where all stands, whatever the order of a document's keys", () => {
    expect(bootstrapSteps(WHERE, STACKS, whole)).toEqual([]);
    const reversed = (value: unknown): unknown =>
      typeof value !== "object" || value === null || Array.isArray(value)
        ? value
        : Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, part]) => [key, reversed(part)]),
          );
    const roles = new Map([...whole.roles].map(([name, role]) => [name, { ...role, policy: reversed(role.policy) }]));
    expect(bootstrapSteps(WHERE, STACKS, { ...whole, roles })).toEqual([]);
  });

  it("mends any half of it, and then has nothing to do", () => {
    const halves = fc.record({
      bucket: fc.option(fc.record({ versioned: fc.boolean(), isPrivate: fc.boolean(), tlsOnly: fc.boolean() }), {
        nil: undefined,
      }),
      audiences: fc.option(fc.subarray(["sts.amazonaws.com", "https://another.example"]), { nil: undefined }),
      aliases: fc
        .subarray([...whole.aliases.keys()])
        .map((names) => new Map(names.map((name) => [name, { rotated: false }]))),
      roles: fc
        .subarray([...whole.roles])
        .map(
          (some) =>
            new Map(some.map(([name, role], place) => [name, place % 2 ? role : { ...role, trust: {}, attached: [] }])),
        ),
    });
    fc.assert(
      fc.property(halves, (found) => {
        expect(bootstrapSteps(WHERE, STACKS, after(found, bootstrapSteps(WHERE, STACKS, found)))).toEqual([]);
      }),
    );
  });

  it("takes a changed trust or policy back, and only that", () => {
    const roles = new Map(whole.roles);
    const role = roles.get("mooring-deploy-prod");
    if (role === undefined) throw new Error("no role");
    roles.set("mooring-deploy-prod", { ...role, trust: { Version: "2012-10-17", Statement: [] } });
    expect(bootstrapSteps(WHERE, STACKS, { ...whole, roles }).map(({ do: what }) => what)).toEqual(["setTrust"]);
  });
});

describe("deployRoles", () => {
  const roles = deployRoles(WHERE, STACKS);
  const text = (name: string): string => JSON.stringify(roles.find((role) => role.name === name));

  it.each(["dev", "prod", "preview", "drift"])(
    "let only jobs of this repository's environment %s in",
    (environment) => {
      const role = roles.find((each) => each.environment === environment);
      expect(role?.trust).toEqual({
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: {
              Federated: "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com",
            },
            Action: "sts:AssumeRoleWithWebIdentity",
            Condition: {
              StringEquals: {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": `repo:owner/name:environment:${environment}`,
              },
            },
          },
        ],
      });
    },
  );

  it("keep one stack's role away from another's state, secrets and roles", () => {
    expect(text("mooring-deploy-dev")).not.toContain("prod");
    expect(text("mooring-deploy-prod")).not.toMatch(/[^-]dev\b/);
  });

  it("make no other identity, and pass none on but the stack's own", () => {
    for (const { policy } of roles) {
      const { Statement } = policy as { Statement: { Action: string[]; Resource: string[] }[] };
      for (const { Action, Resource } of Statement) {
        const identity = Action.filter((action) => action.startsWith("iam:"));
        if (identity.length === 0) continue;
        expect(identity.join()).not.toMatch(/\*|CreateUser|AttachRolePolicy|CreatePolicy/);
        expect(Resource.join()).toMatch(/role\/(mooring-(dev|prod)-\*|aws-service-role\/\*)$/);
      }
    }
  });

  it("let a preview write nothing", () => {
    expect(text("mooring-preview")).not.toMatch(/s3:Put|s3:Delete|kms:Create|"iam:|secretsmanager/);
  });

  it("fit into what IAM takes for a role's own policy, 10,240 characters", () => {
    for (const { policy } of roles) expect(JSON.stringify(policy).length).toBeLessThan(10_240);
  });
});

describe("nextCommands", () => {
  it("lead on to the first stack and tell GitHub which role is whose, without any key", () => {
    const text = nextCommands(WHERE, STACKS).join("\n");
    expect(text).toContain("pulumi login 's3://mooring-state-111111111111-eu-central-1/dev?region=eu-central-1'");
    expect(text).toContain("awskms://alias/mooring-state-dev?region=eu-central-1");
    expect(text).toContain("--env prod --body 'arn:aws:iam::111111111111:role/mooring-deploy-prod'");
    expect(text).not.toMatch(/secret set|access.key/i);
  });
});
