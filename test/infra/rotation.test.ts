// Rotating a burned address: the plan between two configurations is exactly the one that is promised.

import { describe, expect, it } from "vitest";
import { awaitProof, type EgressLine, quotaProblem } from "../../infra/tools/egressProof.ts";
import { rotate } from "../../infra/tools/rotation.ts";
import { virtualClock } from "../virtualClock.ts";
import { type DeclaredProgram, declaredOnce, type StackName } from "./program.ts";

/** Inputs that AWS cannot change on a living resource, of the types that a rotation touches. */
const REPLACING: Readonly<Record<string, readonly string[]>> = {
  "aws:ec2/eip:Eip": ["domain", "address"],
  "aws:ec2/natGateway:NatGateway": ["allocationId", "subnetId", "connectivityType"],
  "aws:ec2/route:Route": ["routeTableId", "destinationCidrBlock"],
  "aws:ec2/instance:Instance": ["subnetId", "ami"],
  "aws:ec2/eipAssociation:EipAssociation": ["allocationId", "networkInterfaceId", "instanceId"],
  "aws:ecs/taskDefinition:TaskDefinition": ["containerDefinitions", "family", "cpu", "memory"],
};

interface Plan {
  readonly create: readonly string[];
  readonly update: readonly string[];
  readonly replace: readonly string[];
  readonly delete: readonly string[];
}

/** What an update from one declared program to another would do, as `Type name`. */
function plan(from: DeclaredProgram, to: DeclaredProgram): Plan {
  const label = (type: string, name: string): string =>
    `${type.split(":").at(-1)} ${name.replace(`${to.project}-${to.stack}-`, "")}`;
  const old = new Map(from.resources.map((resource) => [resource.urn, resource]));
  const kept = new Set(to.resources.map(({ urn }) => urn));
  const result = { create: [] as string[], update: [] as string[], replace: [] as string[], delete: [] as string[] };
  for (const resource of to.resources) {
    if (!resource.type.startsWith("aws:") && !resource.type.startsWith("docker:")) continue;
    const before = old.get(resource.urn);
    const name = label(resource.type, resource.name);
    if (before === undefined) {
      result.create.push(name);
      continue;
    }
    const changed = [...new Set([...Object.keys(before.inputs), ...Object.keys(resource.inputs)])].filter(
      (key) => JSON.stringify(before.inputs[key]) !== JSON.stringify(resource.inputs[key]),
    );
    if (changed.some((key) => REPLACING[resource.type]?.includes(key))) result.replace.push(name);
    else if (changed.length > 0) result.update.push(name);
  }
  for (const resource of from.resources) {
    if (!kept.has(resource.urn) && resource.type.startsWith("aws:"))
      result.delete.push(label(resource.type, resource.name));
  }
  for (const names of Object.values(result)) names.sort();
  return result;
}

async function rotation(stack: StackName, from: Record<string, string>, to: Record<string, string>): Promise<Plan> {
  // By digest: the bot's files, and with them the tag of a build, may change while this runs.
  const image = { imageSource: "digest", imageDigest: `sha256:${"d".repeat(64)}` };
  return plan(
    await declaredOnce({ stack, config: { ...image, ...from } }),
    await declaredOnce({ stack, config: { ...image, ...to } }),
  );
}

const GREEN = { egressSlots: '{"green":{}}', egressSlot: "green" };
const BLUE = {
  egressSlots: '{"green":{"quarantine":{"reason":"1015","since":"2026-01-31"}},"blue":{}}',
  egressSlot: "blue",
};

describe("rotation", () => {
  it("of a NAT gateway makes one address and one NAT, moves the routes, and deletes the old NAT alone", async () => {
    expect(await rotation("prod", GREEN, BLUE)).toEqual({
      create: ["Eip address-blue-a", "NatGateway nat-blue-a"],
      update: [
        "Dashboard dashboard",
        "MetricAlarm NatPacketDrops-a",
        "MetricAlarm NatPortErrors-a",
        "Route private-default-a",
        "Route private-default-b",
        "Service service",
      ],
      replace: ["TaskDefinition task"],
      delete: ["NatGateway nat-green-a"],
    });
  });

  it("onto a parked address makes none", async () => {
    const parked = { egressSlots: '{"green":{},"blue":{}}', egressSlot: "green" };
    const { create, replace, delete: gone } = await rotation("prod", parked, { ...parked, egressSlot: "blue" });
    expect({ create, replace, gone }).toEqual({
      create: ["NatGateway nat-blue-a"],
      replace: ["TaskDefinition task"],
      gone: ["NatGateway nat-green-a"],
    });
  });

  it("of a NAT in each of two zones does so zone by zone", async () => {
    const two = { natZones: '["a","b"]' };
    const { create, replace, delete: gone } = await rotation("prod", { ...GREEN, ...two }, { ...BLUE, ...two });
    expect({ create, replace, gone }).toEqual({
      create: ["Eip address-blue-a", "Eip address-blue-b", "NatGateway nat-blue-a", "NatGateway nat-blue-b"],
      replace: ["TaskDefinition task"],
      gone: ["NatGateway nat-green-a", "NatGateway nat-green-b"],
    });
  });

  it("of a NAT instance keeps to the same pattern", async () => {
    expect(await rotation("dev", GREEN, BLUE)).toEqual({
      create: [
        "EipAssociation nat-blue-a",
        "Eip address-blue-a",
        "Instance nat-blue-a",
        "SecurityGroup nat-blue-a",
      ].sort(),
      update: ["MetricAlarm NatProcessor-a", "MetricAlarm NatStatus-a", "Route private-default-a", "Service service"],
      replace: ["TaskDefinition task"],
      delete: ["EipAssociation nat-green-a", "Instance nat-green-a", "SecurityGroup nat-green-a"],
    });
  });

  it("tells the parked addresses and what they cost", async () => {
    const { outputs } = await declaredOnce({ stack: "prod", config: BLUE });
    expect(outputs).toMatchObject({
      egressSlot: "blue",
      parkedAddresses: { green: { a: expect.stringMatching(/^203\.0\.113\./) } },
      parkedUsdPerMonth: 3.65,
    });
  });

  it("adding a zone moves nothing that stands", async () => {
    const { replace, delete: gone } = await rotation("prod", {}, { zones: '["a","b","c"]' });
    expect({ replace, gone }).toEqual({ replace: [], gone: [] });
  });

  it("adding the second NAT keeps the first address and NAT", async () => {
    const result = await rotation("prod", {}, { natZones: '["a","b"]' });
    expect(result.create).toEqual(expect.arrayContaining(["Eip address-green-b", "NatGateway nat-green-b"]));
    expect(result.delete).toEqual([]);
    expect(result.replace).toEqual(["TaskDefinition task"]);
  });
});

describe("rotate", () => {
  const request = { slots: { green: {} }, from: "green", to: "blue", today: "2026-01-31" };

  it("lists the new slot, marks the old one and makes the new one active", () => {
    expect(rotate({ ...request, reason: "1015" })).toEqual({
      ok: true,
      commands: [
        ["set", "--path", "egressSlots.green", '{"quarantine":{"reason":"1015","since":"2026-01-31"}}'],
        ["set", "--path", "egressSlots.blue", "{}"],
        ["set", "egressSlot", "blue"],
      ],
    });
  });

  it("keeps what a slot brought along, and marks nothing without a reason", () => {
    const slots = { green: { allocationId: "eipalloc-0123456789abcdef0" }, blue: {} };
    expect(rotate({ ...request, slots })).toEqual({
      ok: true,
      commands: [
        ["set", "--path", "egressSlots.blue", "{}"],
        ["set", "--path", "egressSlots.green", '{"allocationId":"eipalloc-0123456789abcdef0"}'],
        ["set", "egressSlot", "blue"],
      ],
    });
  });

  it("writes every other slot too: setting one alone drops those that come from a default", () => {
    const slots = { red: { allocationId: "eipalloc-0123456789abcdef0" }, green: {} };
    expect(rotate({ ...request, slots })).toEqual({
      ok: true,
      commands: [
        ["set", "--path", "egressSlots.red", '{"allocationId":"eipalloc-0123456789abcdef0"}'],
        ["set", "--path", "egressSlots.green", "{}"],
        ["set", "--path", "egressSlots.blue", "{}"],
        ["set", "egressSlot", "blue"],
      ],
    });
  });

  it.each([
    ["the active slot", { to: "green" }, /active already/],
    ["a slot with an odd name", { to: "Blue 2" }, /lower-case/],
    [
      "a slot in quarantine",
      { slots: { green: {}, blue: { quarantine: { reason: "1015", since: "2026-01-01" } } } },
      /in quarantine since 2026-01-01 \(1015\)/,
    ],
  ])("refuses %s", (_, change, says) => {
    const rotation = rotate({ ...request, ...change });
    expect(rotation.ok ? "" : rotation.problem).toMatch(says);
  });

  it("writes what the program reads", async () => {
    const rotation = rotate({ ...request, reason: "1015" });
    const slots: Record<string, string> = {};
    for (const [, flag, path = "", value = ""] of rotation.ok ? rotation.commands : []) {
      if (flag === "--path") slots[path.replace("egressSlots.", "")] = value;
    }
    const config = { egressSlots: JSON.stringify(slots), egressSlot: "blue" };
    expect((await declaredOnce({ stack: "prod", config })).outputs["egressSlot"]).toBe("blue");
  });
});

describe("quotaProblem", () => {
  const slots = { green: {}, blue: {} };
  it.each<[what: string, limit: number, used: number, to: string, zones: readonly string[], says: RegExp | undefined]>([
    ["a new slot with room for its address", 5, 4, "red", ["a"], undefined],
    ["a new slot with room for both", 5, 3, "red", ["a", "b"], undefined],
    ["a new slot without room", 5, 5, "red", ["a"], /has 5 of 5 Elastic IPs and red needs 1 more/],
    ["a new slot with room for one of two", 5, 4, "red", ["a", "b"], /red needs 2 more/],
    ["a parked slot, which has its address", 5, 5, "blue", ["a"], undefined],
    ["a limit that AWS does not tell", Number.NaN, 1, "red", ["a"], /NaN/],
  ])("of %s", (_, limit, used, to, zones, says) => {
    const problem = quotaProblem({ limit, used }, slots, to, zones);
    if (says === undefined) expect(problem).toBeUndefined();
    else expect(problem).toMatch(says);
  });
});

describe("awaitProof", () => {
  const NEW = "203.0.113.9";

  /** The lines come at their times, in ms after the rotation began; the alarm ends at `alarmEndsAt`. */
  async function proofOf(lines: readonly EgressLine[], alarmEndsAt = 0) {
    const clock = virtualClock(0);
    const proof = awaitProof([NEW], 0, {
      wall: () => clock.wall(),
      sleep: (milliseconds) => clock.sleep(milliseconds),
      lines: async (since) => lines.filter(({ at }) => at >= since && at <= clock.wall()),
      alarm: async () => (clock.wall() < alarmEndsAt ? "ALARM" : "OK"),
    });
    let settled = false;
    void proof.finally(() => {
      settled = true;
    });
    for (let minute = 0; minute < 30 && !settled; minute++) await clock.advance(60_000);
    return proof;
  }
  const line = (at: number, event: EgressLine["event"], address = NEW): EgressLine => ({ at, event, address });

  it.each<[what: string, lines: readonly EgressLine[], alarmEndsAt: number, tookMs: number]>([
    ["the bot is seen from the new address", [line(25_000, "egress.proven")], 0, 30_000],
    [
      "the old task was seen from it, unexpectedly, and the new one is at home",
      [line(5_000, "egress.mismatch"), line(25_000, "egress.proven")],
      0,
      30_000,
    ],
    ["an old ban is behind", [line(5_000, "edge.banned"), line(25_000, "egress.proven")], 0, 30_000],
    ["the alarm has ended too", [line(25_000, "egress.proven")], 120_000, 120_000],
  ])("comes when %s", async (_, lines, alarmEndsAt, tookMs) => {
    expect(await proofOf(lines, alarmEndsAt)).toEqual({ ok: true, address: NEW, tookMs });
  });

  it.each<[what: string, lines: readonly EgressLine[], alarmEndsAt: number, says: RegExp]>([
    ["nobody says anything", [], 0, /has not said within 15 minutes.*egressEchoUrl/],
    [
      "the bot is seen from the old address",
      [line(5_000, "egress.proven", "203.0.113.1")],
      0,
      /203\.0\.113\.1 and not from/,
    ],
    ["the bot is seen from elsewhere", [line(5_000, "egress.mismatch", "198.51.100.1")], 0, /198\.51\.100\.1 and not/],
    [
      "the new address is banned as well",
      [line(5_000, "egress.proven"), line(8_000, "edge.banned")],
      0,
      /banned by Discord's edge too/,
    ],
    ["the alarm stays", [line(5_000, "egress.proven")], Number.POSITIVE_INFINITY, /EgressMismatch has been on/],
  ])("fails when %s", async (_, lines, alarmEndsAt, says) => {
    const proof = await proofOf(lines, alarmEndsAt);
    expect(proof.ok ? "" : proof.problem).toMatch(says);
  });
});
