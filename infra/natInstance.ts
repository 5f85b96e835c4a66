// NatInstance: one small machine with fck-nat in place of a NAT gateway, at a ninth of its price, for stacks that can wait.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

/** The account that publishes fck-nat's images. */
const FCK_NAT_OWNER = "568608671756";

export interface NatInstanceArgs {
  readonly vpcId: pulumi.Input<string>;
  readonly vpcCidr: string;
  readonly subnetId: pulumi.Input<string>;
  readonly allocationId: pulumi.Input<string>;
  readonly instanceType: string;
  /** The image's exact name: a floating one would replace the machine, and drop all traffic, on an unrelated deploy. */
  readonly imageName: string;
  /** What must stand first; a component's own `dependsOn` does not reach its children. */
  readonly after: readonly pulumi.Resource[];
}

export class NatInstance extends pulumi.ComponentResource {
  readonly instanceId: pulumi.Output<string>;
  readonly networkInterfaceId: pulumi.Output<string>;

  constructor(name: string, args: NatInstanceArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:network:NatInstance", name, {}, options);
    const child = { parent: this };
    const image = aws.ec2.getAmiOutput(
      { owners: [FCK_NAT_OWNER], filters: [{ name: "name", values: [args.imageName] }] },
      child,
    );
    const group = new aws.ec2.SecurityGroup(
      name,
      {
        vpcId: args.vpcId,
        description: "NAT instance: forwards what the private subnets send, HTTPS alone",
        ingress: [
          { description: "private subnets", protocol: "tcp", fromPort: 443, toPort: 443, cidrBlocks: [args.vpcCidr] },
        ],
        egress: [{ description: "HTTPS", protocol: "tcp", fromPort: 443, toPort: 443, cidrBlocks: ["0.0.0.0/0"] }],
        tags: { Name: name },
      },
      child,
    );
    const instance = new aws.ec2.Instance(
      name,
      {
        ami: image.id,
        instanceType: args.instanceType,
        subnetId: args.subnetId,
        vpcSecurityGroupIds: [group.id],
        // It carries packets that are neither from nor to itself.
        sourceDestCheck: false,
        metadataOptions: { httpTokens: "required", httpEndpoint: "enabled" },
        rootBlockDevice: { encrypted: true, volumeType: "gp3" },
        // Unlimited credits would bill a runaway bot by the hour.
        creditSpecification: { cpuCredits: "standard" },
        maintenanceOptions: { autoRecovery: "default" },
        tags: { Name: name },
      },
      { parent: this, ignoreChanges: ["ami"], dependsOn: [...args.after] },
    );
    const association = new aws.ec2.EipAssociation(
      name,
      { allocationId: args.allocationId, networkInterfaceId: instance.primaryNetworkInterfaceId },
      child,
    );
    this.instanceId = instance.id;
    this.networkInterfaceId = instance.primaryNetworkInterfaceId;
    this.registerOutputs({ instanceId: this.instanceId, association: association.id });
  }
}
