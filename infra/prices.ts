// What a stack costs a month, line by line, from AWS's list prices; traffic, log volume and tax are not in it.

import { METRIC_NAMESPACE } from "../shared/metrics.ts";

/** Region and day of the list prices below (AWS's pricing pages of each service). */
export const PRICES_OF = { region: "us-east-1", day: "2026-11-22" } as const;

export const HOURS_A_MONTH = 730;

export const HOURLY_USD = {
  natGateway: 0.045,
  /** In use or not. */
  publicAddress: 0.005,
  fargateCpu: { ARM64: 0.03238, X86_64: 0.04048 },
  fargateGigabyte: { ARM64: 0.00356, X86_64: 0.004445 },
} as const;

/** DynamoDB on demand, per million write and read units. */
export const LEDGER_USD = { millionWrites: 0.625, millionReads: 0.125 } as const;

// Spot's price floats; AWS speaks of up to 70 % off, and that is what it is most of the time.
const SPOT_SHARE = 0.3;

const INSTANCE_HOURLY_USD: Readonly<Record<string, number>> = {
  "t4g.nano": 0.0042,
  "t4g.micro": 0.0084,
  "t4g.small": 0.0168,
  "t3.nano": 0.0052,
  "t3.micro": 0.0104,
};

const MONTHLY_USD = {
  metric: 0.3,
  alarm: 0.1,
  compositeAlarm: 0.5,
  dashboard: 3,
  secret: 0.4,
  key: 1,
  /** 8 GB of gp3, fck-nat's disk. */
  natDisk: 0.64,
} as const;

/** What every account has free each month, if nothing else uses it (AWS: Amazon CloudWatch pricing). */
const FREE = { metric: 10, alarm: 10, dashboard: 3 } as const;

/** A declared resource, as far as its price depends on it. */
export interface PricedResource {
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

export interface CostLine {
  readonly item: string;
  readonly count: number;
  /** List price, without any free tier. */
  readonly usdPerMonth: number;
  /** What is left of it when the free tier is all this stack's. */
  readonly usdPerMonthFreeTier: number;
}

/** @throws when a resource has a size that the table does not know; a guess would be worse. */
export function monthlyCost(resources: readonly PricedResource[]): readonly CostLine[] {
  const ofType = (type: string): readonly PricedResource[] => resources.filter((resource) => resource.type === type);
  const lines: CostLine[] = [];
  const add = (item: string, count: number, each: number, free = 0): void => {
    if (count === 0) return;
    lines.push({ item, count, usdPerMonth: count * each, usdPerMonthFreeTier: Math.max(0, count - free) * each });
  };

  const [task] = ofType("aws:ecs/taskDefinition:TaskDefinition");
  const [service] = ofType("aws:ecs/service:Service");
  if (task !== undefined && service !== undefined) {
    const architecture = JSON.stringify(task.inputs["runtimePlatform"]).includes("ARM64") ? "ARM64" : "X86_64";
    const spot = JSON.stringify(service.inputs["capacityProviderStrategies"]).includes("FARGATE_SPOT");
    const hourly =
      (Number(task.inputs["cpu"]) / 1024) * HOURLY_USD.fargateCpu[architecture] +
      (Number(task.inputs["memory"]) / 1024) * HOURLY_USD.fargateGigabyte[architecture];
    add(
      spot ? "Fargate Spot task, at 70 % off" : "Fargate task",
      Number(service.inputs["desiredCount"]),
      hourly * HOURS_A_MONTH * (spot ? SPOT_SHARE : 1),
    );
  }
  add("NAT gateway", ofType("aws:ec2/natGateway:NatGateway").length, HOURLY_USD.natGateway * HOURS_A_MONTH);
  for (const { name, inputs } of ofType("aws:ec2/instance:Instance")) {
    const hourly = INSTANCE_HOURLY_USD[String(inputs["instanceType"])];
    if (hourly === undefined)
      throw new RangeError(`${name}: no price for ${inputs["instanceType"]}; add it to prices.ts`);
    add("NAT instance with its disk", 1, hourly * HOURS_A_MONTH + MONTHLY_USD.natDisk);
  }
  add("Elastic IP, in use or parked", ofType("aws:ec2/eip:Eip").length, HOURLY_USD.publicAddress * HOURS_A_MONTH);
  // Each published metric has an alarm, and what a stack does not use it does not send.
  const published = new Set(
    ofType("aws:cloudwatch/metricAlarm:MetricAlarm")
      .filter(({ inputs }) => inputs["namespace"] === METRIC_NAMESPACE)
      .map(({ inputs }) => inputs["metricName"]),
  );
  add("metric of the bot", published.size, MONTHLY_USD.metric, FREE.metric);
  add("alarm", ofType("aws:cloudwatch/metricAlarm:MetricAlarm").length, MONTHLY_USD.alarm, FREE.alarm);
  add("composite alarm", ofType("aws:cloudwatch/compositeAlarm:CompositeAlarm").length, MONTHLY_USD.compositeAlarm);
  add("dashboard", ofType("aws:cloudwatch/dashboard:Dashboard").length, MONTHLY_USD.dashboard, FREE.dashboard);
  add("secret", ofType("aws:secretsmanager/secret:Secret").length, MONTHLY_USD.secret);
  add("key", ofType("aws:kms/key:Key").length, MONTHLY_USD.key);
  return lines;
}
