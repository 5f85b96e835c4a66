// Stand-ins for the AWS and Docker providers: every resource exists at once, with identifiers of the right shape.

/** What AWS would answer for one stack: documentation addresses, an account of twelve equal digits. */
export interface MockedAccount {
  readonly account: string;
  readonly region: string;
}

/** Eight to seventeen hexadecimal digits that follow from the name alone, so that two runs agree. */
function hexadecimal(name: string, length = 17): string {
  let state = 0x811c9dc5;
  let digits = "";
  for (let round = 0; digits.length < length; round++) {
    for (const letter of `${round}${name}`) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193) >>> 0;
    digits += state.toString(16).padStart(8, "0");
  }
  return digits.slice(0, length);
}

const PREFIXES: Readonly<Record<string, string>> = {
  "aws:ec2/vpc:Vpc": "vpc",
  "aws:ec2/subnet:Subnet": "subnet",
  "aws:ec2/eip:Eip": "eipalloc",
  "aws:ec2/natGateway:NatGateway": "nat",
  "aws:ec2/internetGateway:InternetGateway": "igw",
  "aws:ec2/routeTable:RouteTable": "rtb",
  "aws:ec2/route:Route": "r-rtb",
  "aws:ec2/routeTableAssociation:RouteTableAssociation": "rtbassoc",
  "aws:ec2/securityGroup:SecurityGroup": "sg",
  "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": "sg",
  "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce",
  "aws:ec2/instance:Instance": "i",
  "aws:ec2/eipAssociation:EipAssociation": "eipassoc",
  "aws:ec2/flowLog:FlowLog": "fl",
};

/** `service` and `resource` part of an ARN by type, given the resource's own or assumed name. */
const ARNS: Readonly<Record<string, (name: string, id: string) => readonly [service: string, resource: string]>> = {
  "aws:sns/topic:Topic": (name) => ["sns", name],
  "aws:sqs/queue:Queue": (name) => ["sqs", name],
  "aws:dynamodb/table:Table": (name) => ["dynamodb", `table/${name}`],
  "aws:cloudwatch/logGroup:LogGroup": (name) => ["logs", `log-group:${name}`],
  "aws:cloudwatch/metricAlarm:MetricAlarm": (name) => ["cloudwatch", `alarm:${name}`],
  "aws:cloudwatch/compositeAlarm:CompositeAlarm": (name) => ["cloudwatch", `alarm:${name}`],
  "aws:cloudwatch/eventRule:EventRule": (name) => ["events", `rule/${name}`],
  "aws:cloudwatch/eventConnection:EventConnection": (name) => ["events", `connection/${name}`],
  "aws:cloudwatch/eventApiDestination:EventApiDestination": (name) => ["events", `api-destination/${name}`],
  "aws:ecr/repository:Repository": (name) => ["ecr", `repository/${name}`],
  "aws:ecs/cluster:Cluster": (name) => ["ecs", `cluster/${name}`],
  "aws:ecs/service:Service": (name) => ["ecs", `service/${name}/${name}`],
  "aws:secretsmanager/secret:Secret": (name) => ["secretsmanager", `secret:${name}-${hexadecimal(name, 6)}`],
  "aws:kms/key:Key": (_, id) => ["kms", `key/${id}`],
};

type Properties = Readonly<Record<string, unknown>>;

/** Names that a resource may have been given, by the types that have one. */
function givenName(inputs: Properties, logicalName: string): string {
  for (const key of ["name", "alarmName", "family"]) {
    const value = inputs[key];
    if (typeof value === "string") return value;
  }
  return logicalName;
}

/** The state that a created resource has beyond its inputs. */
export function createdState(
  where: MockedAccount,
  type: string,
  logicalName: string,
  inputs: Properties,
  addressOf: (name: string) => string,
): { readonly id: string; readonly state: Record<string, unknown> } {
  const name = givenName(inputs, logicalName);
  const prefix = PREFIXES[type];
  let id = prefix === undefined ? name : `${prefix}-${hexadecimal(logicalName)}`;
  const state: Record<string, unknown> = { ...inputs };
  const arn = ARNS[type];
  if (arn !== undefined) {
    const [service, resource] = arn(name, id);
    state["arn"] = `arn:aws:${service}:${where.region}:${where.account}:${resource}`;
  } else if (type === "aws:iam/role:Role") state["arn"] = `arn:aws:iam::${where.account}:role/${name}`;
  else if (prefix !== undefined) state["arn"] = `arn:aws:ec2:${where.region}:${where.account}:${prefix}/${id}`;
  switch (type) {
    case "aws:ec2/eip:Eip":
      state["allocationId"] = id;
      state["publicIp"] = addressOf(logicalName);
      break;
    case "aws:ec2/instance:Instance":
      state["primaryNetworkInterfaceId"] = `eni-${hexadecimal(logicalName)}`;
      break;
    case "aws:ecr/repository:Repository":
      state["registryId"] = where.account;
      state["repositoryUrl"] = `${where.account}.dkr.ecr.${where.region}.amazonaws.com/${name}`;
      break;
    case "aws:secretsmanager/secretVersion:SecretVersion":
      state["versionId"] = versionId(logicalName);
      state["arn"] = inputs["secretId"];
      break;
    case "aws:ecs/taskDefinition:TaskDefinition": {
      // Another content is another revision, as far as whoever refers to it can see.
      const revision = (Number.parseInt(hexadecimal(JSON.stringify(inputs), 6), 16) % 999) + 1;
      id = `arn:aws:ecs:${where.region}:${where.account}:task-definition/${name}:${revision}`;
      state["arn"] = id;
      break;
    }
    case "aws:secretsmanager/secret:Secret":
    case "aws:sns/topic:Topic":
    case "aws:ecs/cluster:Cluster":
      id = String(state["arn"]);
      break;
    case "aws:sqs/queue:Queue":
      id = `https://sqs.${where.region}.amazonaws.com/${where.account}/${name}`;
      state["url"] = id;
      break;
    case "docker:index/image:Image":
      state["repoDigest"] = `${String(inputs["imageName"]).replace(/:[^:/]*$/, "")}@sha256:${hexadecimal(name, 64)}`;
      break;
  }
  if (state["name"] === undefined && type.startsWith("aws:") && !type.startsWith("aws:ec2/")) state["name"] = name;
  return { id, state };
}

function versionId(name: string): string {
  const digits = hexadecimal(name, 32);
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-",
  );
}

/** What a look-up answers. @throws on one that no mock knows, so that a new look-up is noticed. */
export function lookUp(
  where: MockedAccount,
  token: string,
  inputs: Properties,
  addressOf: (name: string) => string,
): Record<string, unknown> {
  switch (token) {
    case "aws:index/getCallerIdentity:getCallerIdentity":
      return {
        id: where.account,
        accountId: where.account,
        arn: `arn:aws:iam::${where.account}:user/mock`,
        userId: "mock",
      };
    case "aws:ec2/getAmi:getAmi":
      return { id: `ami-${hexadecimal(JSON.stringify(inputs["filters"]))}`, architecture: "arm64" };
    case "aws:ec2/getElasticIp:getElasticIp":
      return { id: inputs["id"], publicIp: addressOf(String(inputs["id"])) };
    case "aws:ecr/getAuthorizationToken:getAuthorizationToken":
      return {
        userName: "AWS",
        password: "mock-registry-password",
        authorizationToken: "mock",
        expiresAt: "",
        id: "mock",
      };
    case "aws:ecr/getImage:getImage":
      return { id: "mock", imageDigest: inputs["imageDigest"], repositoryName: inputs["repositoryName"] };
    default:
      throw new Error(`the mocks know no look-up ${token}; add its answer to test/infra/mocks.ts`);
  }
}
