// BotImage: the ECR repository, and the bot's image in it, built here or pushed before, always named by its digest.

import { join, relative } from "node:path";
import * as aws from "@pulumi/aws";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { contentTag } from "./imageContext.ts";
import type { Settings } from "./settings.ts";

export type BotImageArgs = Pick<Settings, "imageSource" | "imageDigest" | "architecture" | "disposable">;

const REPOSITORY_ROOT = join(import.meta.dirname, "..");

/** Docker's name of the platform that a Fargate task of the architecture runs. */
const PLATFORMS = { arm64: "linux/arm64", x86_64: "linux/amd64" } as const;

// A deploy pushes one image: a month of daily deploys and some to spare can be rolled back to.
const TAGGED_IMAGES_KEPT = 50;
const UNTAGGED_DAYS_KEPT = 7;

export class BotImage extends pulumi.ComponentResource {
  /** `<repository>@sha256:...`: what a task runs is what was pushed, whatever happens to tags. */
  readonly reference: pulumi.Output<string>;
  readonly repositoryArn: pulumi.Output<string>;
  readonly repositoryUrl: pulumi.Output<string>;

  constructor(name: string, args: BotImageArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:image:BotImage", name, {}, options);
    const child = { parent: this };
    const repository = new aws.ecr.Repository(
      `${name}-repository`,
      {
        name,
        imageTagMutability: "IMMUTABLE",
        imageScanningConfiguration: { scanOnPush: true },
        encryptionConfigurations: [{ encryptionType: "AES256" }],
        forceDelete: args.disposable,
      },
      child,
    );
    new aws.ecr.LifecyclePolicy(
      `${name}-lifecycle`,
      {
        repository: repository.name,
        policy: JSON.stringify({
          rules: [
            {
              rulePriority: 1,
              description: `untagged images go after ${UNTAGGED_DAYS_KEPT} days`,
              selection: {
                tagStatus: "untagged",
                countType: "sinceImagePushed",
                countUnit: "days",
                countNumber: UNTAGGED_DAYS_KEPT,
              },
              action: { type: "expire" },
            },
            {
              rulePriority: 2,
              description: `the last ${TAGGED_IMAGES_KEPT} tagged images stay`,
              selection: {
                tagStatus: "tagged",
                tagPatternList: ["*"],
                countType: "imageCountMoreThan",
                countNumber: TAGGED_IMAGES_KEPT,
              },
              action: { type: "expire" },
            },
          ],
        }),
      },
      child,
    );
    this.repositoryArn = repository.arn;
    this.repositoryUrl = repository.repositoryUrl;

    if (args.imageSource === "digest") {
      // Asking ECR makes a digest that is not there fail the preview instead of the rollout.
      const found = aws.ecr.getImageOutput(
        { repositoryName: repository.name, imageDigest: args.imageDigest ?? "" },
        child,
      );
      this.reference = pulumi.interpolate`${repository.repositoryUrl}@${found.imageDigest}`;
    } else {
      const login = aws.ecr.getAuthorizationTokenOutput({ registryId: repository.registryId }, child);
      // Relative to the working directory: an absolute path would differ between a laptop and CI, and rebuild.
      const root = relative(process.cwd(), REPOSITORY_ROOT) || ".";
      const image = new docker.Image(
        `${name}-image`,
        {
          build: { context: root, dockerfile: join(root, "bot/Dockerfile"), platform: PLATFORMS[args.architecture] },
          imageName: pulumi.interpolate`${repository.repositoryUrl}:${contentTag(REPOSITORY_ROOT, args.architecture)}`,
          registry: {
            server: repository.repositoryUrl,
            username: login.userName,
            password: pulumi.secret(login.password),
          },
          buildOnPreview: false,
        },
        child,
      );
      this.reference = image.repoDigest;
    }
    this.registerOutputs({ reference: this.reference });
  }
}
