// What the workflows on GitHub may do in AWS: a role for each environment, to deploy one stack or to look at all.

/** GitHub's issuer of identity tokens, and the audience that its AWS action asks for (GitHub: OpenID Connect in AWS). */
export const GITHUB_ISSUER = "token.actions.githubusercontent.com";
export const GITHUB_AUDIENCE = "sts.amazonaws.com";
/** Environments on GitHub that only look: preview takes pull requests, drift the main branch alone. */
export const LOOKING = ["preview", "drift"] as const;

export interface Where {
  readonly project: string;
  readonly account: string;
  readonly region: string;
  /** `owner/name` on GitHub. */
  readonly repository: string;
  readonly bucket: string;
}

export interface Role {
  readonly name: string;
  readonly environment: string;
  readonly trust: object;
  readonly policy: object;
  /** Policies of AWS's own, by ARN. */
  readonly attached: readonly string[];
}

const allow = (Sid: string, Action: readonly string[], Resource: readonly string[], Condition?: object) => ({
  Sid,
  Effect: "Allow",
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
});

/** The key that encrypts one stack's secrets; one each, so that dev's role cannot read prod's token. */
export const aliasOf = ({ project }: Where, stack: string): string => `alias/${project}-state-${stack}`;

/** Only jobs of this repository that run in this environment; the environment's own rules say which branches may. */
function trust({ account, repository }: Where, environment: string): object {
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: `arn:aws:iam::${account}:oidc-provider/${GITHUB_ISSUER}` },
        Action: "sts:AssumeRoleWithWebIdentity",
        Condition: {
          StringEquals: {
            [`${GITHUB_ISSUER}:aud`]: GITHUB_AUDIENCE,
            [`${GITHUB_ISSUER}:sub`]: `repo:${repository}:environment:${environment}`,
          },
        },
      },
    ],
  };
}

function state(where: Where, stacks: readonly string[], objects: readonly string[]) {
  const { account, region, bucket } = where;
  return [
    allow("ListState", ["s3:ListBucket"], [`arn:aws:s3:::${bucket}`], {
      StringLike: { "s3:prefix": stacks.map((stack) => `${stack}/*`) },
    }),
    allow(
      "State",
      objects,
      stacks.map((stack) => `arn:aws:s3:::${bucket}/${stack}/*`),
    ),
    // By alias: the key has no name of its own before it exists.
    allow(
      "Secrets",
      ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
      [`arn:aws:kms:${region}:${account}:key/*`],
      {
        "ForAnyValue:StringEquals": { "kms:ResourceAliases": stacks.map((stack) => aliasOf(where, stack)) },
      },
    ),
  ];
}

/**
 * May make and change what the program declares, and no identity but the stack's own roles. EC2, ECS and the like are
 * open within the region, since most of their calls know no names: keep prod in an account of its own.
 */
function deployRole(where: Where, stack: string): Role {
  const { project, account, region } = where;
  const name = `${project}-${stack}`;
  const roles = `arn:aws:iam::${account}:role/${name}-*`;
  return {
    name: `${project}-deploy-${stack}`,
    environment: stack,
    trust: trust(where, stack),
    attached: [],
    policy: {
      Version: "2012-10-17",
      Statement: [
        ...state(where, [stack], ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]),
        allow(
          "Services",
          [
            "ec2:*",
            "ecs:*",
            "ecr:*",
            "logs:*",
            "cloudwatch:*",
            "events:*",
            "sns:*",
            "sqs:*",
            "dynamodb:*",
            "kms:CreateKey",
            "kms:CreateAlias",
            "kms:DeleteAlias",
            "kms:ListAliases",
          ],
          ["*"],
          { StringEquals: { "aws:RequestedRegion": region } },
        ),
        // Slack's configurations and budgets have one endpoint each, wherever the stack is.
        allow("Elsewhere", ["budgets:*", "chatbot:*"], ["*"]),
        // EventBridge keeps the webhook's connection in a secret of its own.
        allow(
          "StackSecrets",
          ["secretsmanager:*"],
          [
            `arn:aws:secretsmanager:${region}:${account}:secret:${name}-*`,
            `arn:aws:secretsmanager:${region}:${account}:secret:events!connection/${name}-*`,
          ],
        ),
        allow(
          "StackKey",
          [
            "kms:DescribeKey",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:EnableKeyRotation",
            "kms:TagResource",
            "kms:ScheduleKeyDeletion",
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:GenerateDataKey",
          ],
          [`arn:aws:kms:${region}:${account}:key/*`],
          { "ForAnyValue:StringEquals": { "kms:ResourceAliases": [`alias/${name}`] } },
        ),
        allow(
          "StackRoles",
          [
            "iam:CreateRole",
            "iam:GetRole",
            "iam:UpdateRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:DeleteRole",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:PutRolePolicy",
            "iam:GetRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:ListRolePolicies",
            "iam:ListAttachedRolePolicies",
            "iam:ListInstanceProfilesForRole",
          ],
          [roles],
        ),
        allow("PassStackRoles", ["iam:PassRole"], [roles], {
          StringEquals: {
            "iam:PassedToService": [
              "ecs-tasks.amazonaws.com",
              "events.amazonaws.com",
              "vpc-flow-logs.amazonaws.com",
              "chatbot.amazonaws.com",
            ],
          },
        }),
        allow("ServiceRoles", ["iam:CreateServiceLinkedRole"], [`arn:aws:iam::${account}:role/aws-service-role/*`], {
          StringEquals: {
            "iam:AWSServiceName": [
              "ecs.amazonaws.com",
              "apidestinations.events.amazonaws.com",
              "management.chatbot.amazonaws.com",
            ],
          },
        }),
      ],
    },
  };
}

/** May look at everything and change nothing. It decrypts the stacks' configuration, so its environment wants a rule. */
function lookingRole(where: Where, stacks: readonly string[], environment: (typeof LOOKING)[number]): Role {
  const { project, account, region } = where;
  const secrets = stacks.map((stack) => `arn:aws:secretsmanager:${region}:${account}:secret:${project}-${stack}-*`);
  return {
    name: `${project}-${environment}`,
    environment,
    trust: trust(where, environment),
    attached: ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    policy: {
      Version: "2012-10-17",
      Statement: [
        ...state(where, stacks, ["s3:GetObject"]),
        allow("Registry", ["ecr:GetAuthorizationToken"], ["*"]),
        // A refresh compares the values too; a plain preview does not.
        ...(environment === "drift" ? [allow("StackSecrets", ["secretsmanager:GetSecretValue"], secrets)] : []),
      ],
    },
  };
}

/** Every role of the workflows. */
export function deployRoles(where: Where, stacks: readonly string[]): readonly Role[] {
  return [
    ...stacks.map((stack) => deployRole(where, stack)),
    ...LOOKING.map((environment) => lookingRole(where, stacks, environment)),
  ];
}
