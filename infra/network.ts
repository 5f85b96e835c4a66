// StaticEgress: the network, and the addresses that everything in it leaves by.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { NatInstance } from "./natInstance.ts";
import { HOURLY_USD, HOURS_A_MONTH } from "./prices.ts";
import type { EgressSlot, Settings } from "./settings.ts";
import { zoneNetworks } from "./subnets.ts";

export type StaticEgressArgs = Pick<
  Settings,
  | "region"
  | "vpcCidr"
  | "zones"
  | "natMode"
  | "natZones"
  | "natInstanceType"
  | "natImageName"
  | "egressSlots"
  | "egressSlot"
  | "egressProxyPort"
  | "protectAddresses"
>;

const HTTPS = 443;

/** What carries one zone's traffic out; its alarms are named by the zone, so that a rotation updates them in place. */
export type NatOfZone =
  | { readonly kind: "gateway"; readonly zone: string; readonly natGatewayId: pulumi.Output<string> }
  | { readonly kind: "instance"; readonly zone: string; readonly instanceId: pulumi.Output<string> };

interface Address {
  readonly allocationId: pulumi.Output<string>;
  readonly publicIp: pulumi.Output<string>;
}

/**
 * A VPC with a public and a private subnet in each zone. Private subnets reach the internet through NAT alone, by the
 * Elastic IPs of the active slot. Every listed slot owns its addresses, named slot and zone and never by index; NAT
 * stands in the active slot only. Changing `egressSlot` therefore creates a NAT, moves a route and deletes a NAT.
 */
export class StaticEgress extends pulumi.ComponentResource {
  readonly vpcId: pulumi.Output<string>;
  readonly privateSubnetIds: pulumi.Output<string>[] = [];
  readonly taskSecurityGroupId: pulumi.Output<string>;
  /** The addresses that tasks leave by, in the NAT zones' order. */
  readonly addresses: pulumi.Output<string>[] = [];
  /** The addresses of the other slots, by slot and zone letter. */
  readonly parked: Record<string, Record<string, pulumi.Output<string>>> = {};
  /** What AWS takes for the parked ones. */
  readonly parkedUsdPerMonth: number;
  readonly nats: NatOfZone[] = [];
  /** What must stand before a task can reach anything: NAT, default routes, associations, endpoints. */
  readonly paths: pulumi.Resource[] = [];

  constructor(name: string, args: StaticEgressArgs, options?: pulumi.ComponentResourceOptions) {
    super("mooring:network:StaticEgress", name, {}, options);
    const child = { parent: this };

    const vpc = new aws.ec2.Vpc(
      `${name}-vpc`,
      { cidrBlock: args.vpcCidr, enableDnsHostnames: true, enableDnsSupport: true, tags: { Name: name } },
      child,
    );
    this.vpcId = vpc.id;
    // Adopted to be emptied: what forgets to name a security group gets one that lets nothing in or out.
    new aws.ec2.DefaultSecurityGroup(`${name}-default`, { vpcId: vpc.id, ingress: [], egress: [] }, child);
    const internet = new aws.ec2.InternetGateway(`${name}-internet`, { vpcId: vpc.id, tags: { Name: name } }, child);

    const publicTable = new aws.ec2.RouteTable(
      `${name}-public`,
      { vpcId: vpc.id, tags: { Name: `${name}-public` } },
      child,
    );
    const publicRoute = new aws.ec2.Route(
      `${name}-public-default`,
      { routeTableId: publicTable.id, destinationCidrBlock: "0.0.0.0/0", gatewayId: internet.id },
      child,
    );
    const publicSubnets = new Map<string, pulumi.Output<string>>();
    const publicAssociations: pulumi.Resource[] = [];
    const privateTables = new Map<string, pulumi.Output<string>>();
    for (const zone of args.zones) {
      const networks = zoneNetworks(args.vpcCidr, zone);
      const place = { vpcId: vpc.id, availabilityZone: `${args.region}${zone}` };
      const publicSubnet = new aws.ec2.Subnet(
        `${name}-public-${zone}`,
        {
          ...place,
          cidrBlock: networks.publicCidr,
          mapPublicIpOnLaunch: false,
          tags: { Name: `${name}-public-${zone}` },
        },
        child,
      );
      publicSubnets.set(zone, publicSubnet.id);
      publicAssociations.push(
        new aws.ec2.RouteTableAssociation(
          `${name}-public-${zone}`,
          { routeTableId: publicTable.id, subnetId: publicSubnet.id },
          child,
        ),
      );
      const privateSubnet = new aws.ec2.Subnet(
        `${name}-private-${zone}`,
        {
          ...place,
          cidrBlock: networks.privateCidr,
          mapPublicIpOnLaunch: false,
          tags: { Name: `${name}-private-${zone}` },
        },
        child,
      );
      this.privateSubnetIds.push(privateSubnet.id);
      const privateTable = new aws.ec2.RouteTable(
        `${name}-private-${zone}`,
        { vpcId: vpc.id, tags: { Name: `${name}-private-${zone}` } },
        child,
      );
      privateTables.set(zone, privateTable.id);
      this.paths.push(
        new aws.ec2.RouteTableAssociation(
          `${name}-private-${zone}`,
          { routeTableId: privateTable.id, subnetId: privateSubnet.id },
          child,
        ),
      );
    }
    this.paths.push(publicRoute, ...publicAssociations);

    const active = new Map<string, Address>();
    for (const [slotName, slot] of Object.entries(args.egressSlots)) {
      const byZone: Record<string, pulumi.Output<string>> = {};
      for (const zone of args.natZones) {
        const address = this.address(name, slotName, slot, zone, args, internet);
        byZone[zone] = address.publicIp;
        if (slotName === args.egressSlot) {
          active.set(zone, address);
          this.addresses.push(address.publicIp);
        }
      }
      if (slotName !== args.egressSlot) this.parked[slotName] = byZone;
    }
    const parkedCount = Object.values(this.parked).flatMap((byZone) => Object.keys(byZone)).length;
    this.parkedUsdPerMonth = Math.round(parkedCount * HOURLY_USD.publicAddress * HOURS_A_MONTH * 100) / 100;

    // NAT works from its first packet only where its own subnet already reaches the internet.
    const reachable = [internet, publicRoute, ...publicAssociations];
    const targets = new Map<
      string,
      { natGatewayId: pulumi.Output<string> } | { networkInterfaceId: pulumi.Output<string> }
    >();
    for (const [zone, address] of active) {
      const subnetId = publicSubnets.get(zone);
      if (subnetId === undefined) continue;
      const natName = `${name}-nat-${args.egressSlot}-${zone}`;
      if (args.natMode === "gateway") {
        const gateway = new aws.ec2.NatGateway(
          natName,
          { allocationId: address.allocationId, subnetId, connectivityType: "public", tags: { Name: natName } },
          // An Elastic IP serves one NAT at a time: a replacement that keeps it must let go of it first.
          { parent: this, dependsOn: reachable, deleteBeforeReplace: true },
        );
        targets.set(zone, { natGatewayId: gateway.id });
        this.nats.push({ kind: "gateway", zone, natGatewayId: gateway.id });
        this.paths.push(gateway);
      } else {
        const instance = new NatInstance(
          natName,
          {
            vpcId: vpc.id,
            vpcCidr: args.vpcCidr,
            subnetId,
            allocationId: address.allocationId,
            instanceType: args.natInstanceType,
            imageName: args.natImageName,
            after: reachable,
          },
          child,
        );
        targets.set(zone, { networkInterfaceId: instance.networkInterfaceId });
        this.nats.push({ kind: "instance", zone, instanceId: instance.instanceId });
        this.paths.push(instance);
      }
    }
    for (const [zone, routeTableId] of privateTables) {
      // A zone without a NAT of its own leaves by the one there is.
      const target = targets.get(zone) ?? [...targets.values()][0];
      if (target === undefined) continue;
      this.paths.push(
        new aws.ec2.Route(
          `${name}-private-default-${zone}`,
          { routeTableId, destinationCidrBlock: "0.0.0.0/0", ...target },
          child,
        ),
      );
    }

    // Free, unlike NAT's price per GB: image layers come from S3, and the ledger is a DynamoDB table.
    for (const service of ["s3", "dynamodb"]) {
      this.paths.push(
        new aws.ec2.VpcEndpoint(
          `${name}-${service}`,
          {
            vpcId: vpc.id,
            serviceName: `com.amazonaws.${args.region}.${service}`,
            vpcEndpointType: "Gateway",
            routeTableIds: [...privateTables.values()],
            tags: { Name: `${name}-${service}` },
          },
          child,
        ),
      );
    }

    const open = (port: number, description: string) => {
      return { description, protocol: "tcp", fromPort: port, toPort: port, cidrBlocks: ["0.0.0.0/0"] };
    };
    const taskGroup = new aws.ec2.SecurityGroup(
      `${name}-task`,
      {
        vpcId: vpc.id,
        description: "The bot's tasks: nothing comes in; HTTPS and DNS go out",
        ingress: [],
        egress: [
          open(HTTPS, "Discord and AWS"),
          ...(args.egressProxyPort === HTTPS ? [] : [open(args.egressProxyPort, "the proxy")]),
          { description: "DNS", protocol: "udp", fromPort: 53, toPort: 53, cidrBlocks: [args.vpcCidr] },
          { description: "DNS, long answers", protocol: "tcp", fromPort: 53, toPort: 53, cidrBlocks: [args.vpcCidr] },
        ],
        tags: { Name: `${name}-task` },
      },
      child,
    );
    this.taskSecurityGroupId = taskGroup.id;

    this.registerOutputs({ vpcId: this.vpcId, addresses: this.addresses, parked: this.parked });
  }

  /** One slot's address in one zone: the one brought along, or an Elastic IP of the stack's own. */
  private address(
    name: string,
    slotName: string,
    slot: EgressSlot,
    zone: string,
    args: StaticEgressArgs,
    internet: aws.ec2.InternetGateway,
  ): Address {
    const brought = slot.allocationIds?.[zone] ?? slot.allocationId;
    if (brought !== undefined) {
      const found = aws.ec2.getElasticIpOutput({ id: brought }, { parent: this });
      return { allocationId: pulumi.output(brought), publicIp: found.publicIp };
    }
    const address = new aws.ec2.Eip(
      `${name}-address-${slotName}-${zone}`,
      { domain: "vpc", tags: { Name: `${name}-${slotName}-${zone}` } },
      // A released address is gone, with the good name it had at Discord.
      { parent: this, protect: args.protectAddresses, dependsOn: [internet] },
    );
    return { allocationId: address.allocationId, publicIp: address.publicIp };
  }
}
