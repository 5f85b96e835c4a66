// What must stand before the first deploy: where state lives, the keys of its secrets, and GitHub's way in. Compares what
// is wanted with what is found and lists the steps between; carrying them out is somebody else's.

import { aliasOf, deployRoles, GITHUB_AUDIENCE, GITHUB_ISSUER, type Role, type Where } from "./deployRoles.ts";

/** The account as it is; `undefined` where nothing stands yet. */
export interface Found {
  readonly bucket: { readonly versioned: boolean; readonly isPrivate: boolean; readonly tlsOnly: boolean } | undefined;
  /** Of the aliases asked for, those that exist, each with whether its key is renewed every year. */
  readonly aliases: ReadonlyMap<string, { readonly rotated: boolean }>;
  /** The audiences of GitHub's provider. */
  readonly audiences: readonly string[] | undefined;
  /** Of the roles asked for, those that exist; documents as parsed JSON. */
  readonly roles: ReadonlyMap<string, Pick<Role, "attached"> & { readonly trust: unknown; readonly policy: unknown }>;
}

export type Step =
  | { readonly do: "createBucket" | "versionBucket" | "closeBucket"; readonly bucket: string }
  | { readonly do: "demandTls"; readonly bucket: string; readonly policy: object }
  | { readonly do: "createKey" | "rotateKey"; readonly alias: string }
  | { readonly do: "createProvider" | "addAudience"; readonly issuer: string; readonly audience: string }
  | { readonly do: "createRole" | "setTrust"; readonly role: string; readonly trust: object }
  | { readonly do: "setPolicy"; readonly role: string; readonly policy: object }
  | { readonly do: "attachPolicy"; readonly role: string; readonly arn: string };

/** Deep equality of JSON documents, whatever the order of their keys. */
function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(sorted(left)) === JSON.stringify(sorted(right));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, part]) => [key, sorted(part)]),
  );
}

/** The bucket's policy: nobody reads or writes state in the clear. */
function tlsPolicy(bucket: string): object {
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "TlsOnly",
        Effect: "Deny",
        Principal: "*",
        Action: "s3:*",
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
        Condition: { Bool: { "aws:SecureTransport": "false" } },
      },
    ],
  };
}

/** The steps from what is found to what is wanted, in order; none when all stands. Nothing is ever taken away. */
export function bootstrapSteps(where: Where, stacks: readonly string[], found: Found): readonly Step[] {
  const steps: Step[] = [];
  const { bucket } = where;
  if (found.bucket === undefined) steps.push({ do: "createBucket", bucket });
  if (!found.bucket?.isPrivate) steps.push({ do: "closeBucket", bucket });
  if (!found.bucket?.versioned) steps.push({ do: "versionBucket", bucket });
  if (!found.bucket?.tlsOnly) steps.push({ do: "demandTls", bucket, policy: tlsPolicy(bucket) });
  for (const stack of stacks) {
    const alias = aliasOf(where, stack);
    const key = found.aliases.get(alias);
    if (key === undefined) steps.push({ do: "createKey", alias });
    else if (!key.rotated) steps.push({ do: "rotateKey", alias });
  }
  const provider = { issuer: GITHUB_ISSUER, audience: GITHUB_AUDIENCE };
  if (found.audiences === undefined) steps.push({ do: "createProvider", ...provider });
  else if (!found.audiences.includes(GITHUB_AUDIENCE)) steps.push({ do: "addAudience", ...provider });
  for (const { name: role, trust, policy, attached } of deployRoles(where, stacks)) {
    const known = found.roles.get(role);
    if (known === undefined) steps.push({ do: "createRole", role, trust });
    else if (!same(known.trust, trust)) steps.push({ do: "setTrust", role, trust });
    if (known === undefined || !same(known.policy, policy)) steps.push({ do: "setPolicy", role, policy });
    for (const arn of attached) if (!known?.attached.includes(arn)) steps.push({ do: "attachPolicy", role, arn });
  }
  return steps;
}

/** One step as a person reads it. */
export function stepLine(step: Step): string {
  switch (step.do) {
    case "createBucket":
      return `create the bucket ${step.bucket}, for Pulumi's state`;
    case "closeBucket":
      return `close ${step.bucket} to the public`;
    case "versionBucket":
      return `keep old versions in ${step.bucket}, so that a broken state can be put back`;
    case "demandTls":
      return `demand TLS of whoever uses ${step.bucket}`;
    case "createKey":
      return `create a key, ${step.alias}, for a stack's secrets ($1 a month)`;
    case "rotateKey":
      return `let AWS renew the key ${step.alias} every year`;
    case "createProvider":
      return `trust ${step.issuer} to say which workflow asks`;
    case "addAudience":
      return `let ${step.issuer} speak to ${step.audience}`;
    case "createRole":
      return `create the role ${step.role}`;
    case "setTrust":
      return `bind the role ${step.role} to its repository and environment again`;
    case "setPolicy":
      return `say what the role ${step.role} may do`;
    case "attachPolicy":
      return `let the role ${step.role} use ${step.arn}`;
  }
}

/** What to do next, as commands: log in, make each stack, tell GitHub. */
export function nextCommands(where: Where, stacks: readonly string[]): readonly string[] {
  const { account, bucket, region, repository } = where;
  const [first = "dev"] = stacks;
  const variable = (name: string, environment: string, value: string): string =>
    `gh variable set ${name} --repo ${repository} --env ${environment} --body '${value}'`;
  return [
    `npx pulumi login 's3://${bucket}/${first}?region=${region}'`,
    `npx pulumi stack init ${first} --secrets-provider='awskms://${aliasOf(where, first)}?region=${region}'`,
    ...deployRoles(where, stacks).flatMap(({ name, environment }) => [
      variable("AWS_ROLE", environment, `arn:aws:iam::${account}:role/${name}`),
    ]),
    `gh variable set STATE_BUCKET --repo ${repository} --body '${bucket}'`,
    `gh variable set AWS_REGION --repo ${repository} --body '${region}'`,
  ];
}
