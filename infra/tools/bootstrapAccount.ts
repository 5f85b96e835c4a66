// `npm run bootstrap -- --repository owner/name [--apply]`: prints what the account still needs, and with --apply makes it.

import { parseArgs } from "node:util";
import {
  AddClientIDToOpenIDConnectProviderCommand,
  AttachRolePolicyCommand,
  CreateOpenIDConnectProviderCommand,
  CreateRoleCommand,
  GetOpenIDConnectProviderCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  PutRolePolicyCommand,
  UpdateAssumeRolePolicyCommand,
} from "@aws-sdk/client-iam";
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  EnableKeyRotationCommand,
  GetKeyRotationStatusCommand,
  KMSClient,
} from "@aws-sdk/client-kms";
import {
  BucketLocationConstraint,
  CreateBucketCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { bootstrapSteps, type Found, nextCommands, type Step, stepLine } from "./bootstrap.ts";
import { aliasOf, deployRoles, GITHUB_ISSUER, type Where } from "./deployRoles.ts";
import { runTool, ToolError } from "./tool.ts";

/** The inline policy of each role. */
const POLICY_NAME = "mooring";

/** The answer, or undefined when AWS says that there is no such thing; any other refusal is thrown. */
async function orNothing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (/^(NoSuch\w*|NotFound\w*)$/.test(name)) return undefined;
    throw error;
  }
}

const parsed = (document: string | undefined): unknown =>
  document === undefined ? undefined : JSON.parse(document.startsWith("%") ? decodeURIComponent(document) : document);

/** One account, read and changed through AWS's SDK. */
class Account {
  readonly #where: Where;
  readonly #s3: S3Client;
  readonly #kms: KMSClient;
  readonly #iam: IAMClient;

  constructor(where: Where) {
    this.#where = where;
    this.#s3 = new S3Client({ region: where.region });
    this.#kms = new KMSClient({ region: where.region });
    this.#iam = new IAMClient({ region: where.region });
  }

  get #providerArn(): string {
    return `arn:aws:iam::${this.#where.account}:oidc-provider/${GITHUB_ISSUER}`;
  }

  async find(stacks: readonly string[]): Promise<Found> {
    const aliases = new Map<string, { readonly rotated: boolean }>();
    for (const alias of stacks.map((stack) => aliasOf(this.#where, stack))) {
      const key = await orNothing(this.#kms.send(new DescribeKeyCommand({ KeyId: alias })));
      if (key === undefined) continue;
      const status = await this.#kms.send(new GetKeyRotationStatusCommand({ KeyId: key.KeyMetadata?.KeyId }));
      aliases.set(alias, { rotated: status.KeyRotationEnabled ?? false });
    }
    const provider = await orNothing(
      this.#iam.send(new GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: this.#providerArn })),
    );
    const roles = new Map<string, { trust: unknown; policy: unknown; attached: string[] }>();
    for (const { name: RoleName } of deployRoles(this.#where, stacks)) {
      const role = await orNothing(this.#iam.send(new GetRoleCommand({ RoleName })));
      if (role === undefined) continue;
      const policy = await orNothing(this.#iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: POLICY_NAME })));
      const { AttachedPolicies = [] } = await this.#iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
      roles.set(RoleName, {
        trust: parsed(role.Role?.AssumeRolePolicyDocument),
        policy: parsed(policy?.PolicyDocument),
        attached: AttachedPolicies.flatMap(({ PolicyArn }) => PolicyArn ?? []),
      });
    }
    return { bucket: await this.#bucket(), aliases, audiences: provider?.ClientIDList, roles };
  }

  async #bucket(): Promise<Found["bucket"]> {
    // With the owner named, a bucket of the same name in another account is a refusal and not a find.
    const of = { Bucket: this.#where.bucket, ExpectedBucketOwner: this.#where.account };
    if ((await orNothing(this.#s3.send(new HeadBucketCommand(of)))) === undefined) return undefined;
    const versioning = await this.#s3.send(new GetBucketVersioningCommand(of));
    const block = await orNothing(this.#s3.send(new GetPublicAccessBlockCommand(of)));
    const policy = await orNothing(this.#s3.send(new GetBucketPolicyCommand(of)));
    const { BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets } =
      block?.PublicAccessBlockConfiguration ?? {};
    return {
      versioned: versioning.Status === "Enabled",
      isPrivate: [BlockPublicAcls, BlockPublicPolicy, IgnorePublicAcls, RestrictPublicBuckets].every(Boolean),
      tlsOnly: policy?.Policy?.includes("aws:SecureTransport") ?? false,
    };
  }

  async carryOut(step: Step): Promise<void> {
    const { region } = this.#where;
    switch (step.do) {
      case "createBucket": {
        // The oldest region is the one that must not be named (Amazon S3 API: CreateBucket).
        const location = Object.values(BucketLocationConstraint).find((known) => known === region);
        await this.#s3.send(
          new CreateBucketCommand({
            Bucket: step.bucket,
            ...(location === undefined ? {} : { CreateBucketConfiguration: { LocationConstraint: location } }),
          }),
        );
        return;
      }
      case "closeBucket":
        await this.#s3.send(
          new PutPublicAccessBlockCommand({
            Bucket: step.bucket,
            PublicAccessBlockConfiguration: {
              BlockPublicAcls: true,
              BlockPublicPolicy: true,
              IgnorePublicAcls: true,
              RestrictPublicBuckets: true,
            },
          }),
        );
        return;
      case "versionBucket":
        await this.#s3.send(
          new PutBucketVersioningCommand({ Bucket: step.bucket, VersioningConfiguration: { Status: "Enabled" } }),
        );
        return;
      case "demandTls":
        await this.#s3.send(new PutBucketPolicyCommand({ Bucket: step.bucket, Policy: JSON.stringify(step.policy) }));
        return;
      case "createKey": {
        const { KeyMetadata } = await this.#kms.send(
          new CreateKeyCommand({ Description: `Secrets of a stack's configuration and state (${step.alias})` }),
        );
        await this.#kms.send(new CreateAliasCommand({ AliasName: step.alias, TargetKeyId: KeyMetadata?.KeyId }));
        await this.#kms.send(new EnableKeyRotationCommand({ KeyId: KeyMetadata?.KeyId }));
        return;
      }
      case "rotateKey": {
        const { KeyMetadata } = await this.#kms.send(new DescribeKeyCommand({ KeyId: step.alias }));
        await this.#kms.send(new EnableKeyRotationCommand({ KeyId: KeyMetadata?.KeyId }));
        return;
      }
      case "createProvider":
        // Without thumbprints: IAM fetches them itself.
        await this.#iam.send(
          new CreateOpenIDConnectProviderCommand({ Url: `https://${step.issuer}`, ClientIDList: [step.audience] }),
        );
        return;
      case "addAudience":
        await this.#iam.send(
          new AddClientIDToOpenIDConnectProviderCommand({
            OpenIDConnectProviderArn: this.#providerArn,
            ClientID: step.audience,
          }),
        );
        return;
      case "createRole":
        await this.#iam.send(
          new CreateRoleCommand({
            RoleName: step.role,
            Description: "Assumed by this project's workflows on GitHub",
            AssumeRolePolicyDocument: JSON.stringify(step.trust),
          }),
        );
        return;
      case "setTrust":
        await this.#iam.send(
          new UpdateAssumeRolePolicyCommand({ RoleName: step.role, PolicyDocument: JSON.stringify(step.trust) }),
        );
        return;
      case "setPolicy":
        await this.#iam.send(
          new PutRolePolicyCommand({
            RoleName: step.role,
            PolicyName: POLICY_NAME,
            PolicyDocument: JSON.stringify(step.policy),
          }),
        );
        return;
      case "attachPolicy":
        await this.#iam.send(new AttachRolePolicyCommand({ RoleName: step.role, PolicyArn: step.arn }));
        return;
    }
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      repository: { type: "string" },
      region: { type: "string", default: "us-east-1" },
      stacks: { type: "string", default: "dev,staging,prod" },
      project: { type: "string", default: "mooring" },
      bucket: { type: "string" },
      apply: { type: "boolean", default: false },
    },
  });
  const { repository, region, project } = values;
  if (repository === undefined || !/^[\w.-]+\/[\w.-]+$/.test(repository)) {
    throw new ToolError(`--repository is ${JSON.stringify(repository)}; give the repository on GitHub as owner/name`);
  }
  const stacks = values.stacks.split(",").map((stack) => stack.trim());
  const { Account: account = "" } = await new STSClient({ region }).send(new GetCallerIdentityCommand({}));
  // Bucket names are one world-wide space; the account's number makes this one nobody else's.
  const bucket = values.bucket ?? `${project}-state-${account}-${region}`;
  const where: Where = { project, account, region, repository, bucket };
  const target = new Account(where);

  const steps = bootstrapSteps(where, stacks, await target.find(stacks));
  console.log(`Account ${account}, ${region}, for ${repository}:`);
  for (const step of steps) {
    console.log(`  ${stepLine(step)}`);
    if (values.apply) await target.carryOut(step);
    else if ("trust" in step) console.log(`    ${JSON.stringify(step.trust)}`);
    else if ("policy" in step) console.log(`    ${JSON.stringify(step.policy)}`);
  }
  if (steps.length === 0) console.log("  everything stands, nothing to do");
  else if (!values.apply) {
    console.log(`\nNothing was changed. ${steps.length} step(s) to go: run it again with --apply.`);
    return;
  }
  console.log("\nNext, for the first stack, and for the workflows on GitHub:");
  for (const command of nextCommands(where, stacks)) console.log(`  ${command}`);
}

if (import.meta.main) await runTool(main);
