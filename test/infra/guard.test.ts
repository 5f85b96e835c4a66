// The guard, both ways: the promised rotation passes, whatever else touches the way out does not.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { judge } from "../../infra/tools/guard.ts";
import { REPOSITORY_ROOT } from "./stackFile.ts";

const TYPES = {
  eip: "aws:ec2/eip:Eip",
  nat: "aws:ec2/natGateway:NatGateway",
  instance: "aws:ec2/instance:Instance",
  route: "aws:ec2/route:Route",
  task: "aws:ecs/taskDefinition:TaskDefinition",
} as const;

function step(op: string, type: keyof typeof TYPES, name: string, inputs: Readonly<Record<string, unknown>> = {}) {
  const urn = `urn:pulumi:prod::mooring::mooring:network:StaticEgress$${TYPES[type]}::mooring-prod-${name}`;
  return { op, urn, oldState: { urn, inputs }, newState: { urn, inputs } };
}
const preview = (...steps: readonly unknown[]) => ({ config: {}, steps, duration: 1, changeSummary: {} });
const defaultRoute = { destinationCidrBlock: "0.0.0.0/0" };

const ROTATION = [
  step("create", "eip", "address-blue-a"),
  step("create", "nat", "nat-blue-a"),
  step("update", "route", "private-default-a", defaultRoute),
  step("create-replacement", "task", "task"),
  step("replace", "task", "task"),
  step("delete-replaced", "task", "task"),
  step("delete", "nat", "nat-green-a"),
  step("same", "eip", "address-green-a"),
];

describe("judge", () => {
  it.each<[what: string, steps: readonly unknown[]]>([
    ["nothing at all", []],
    ["an unchanged stack", [step("same", "eip", "address-green-a"), step("same", "nat", "nat-green-a")]],
    [
      "a first deploy",
      [step("create", "eip", "address-green-a"), step("create", "route", "private-default-a", defaultRoute)],
    ],
    ["a new image", [step("replace", "task", "task")]],
    ["another route's end", [step("delete", "route", "peering", { destinationCidrBlock: "10.9.0.0/16" })]],
    ["a rotation", ROTATION],
  ])("lets %s pass", (_, steps) => {
    expect(judge(preview(...steps)).reasons).toEqual([]);
  });

  it("names what a rotation takes away", () => {
    expect(judge(preview(...ROTATION)).rotated).toEqual(["mooring-prod-nat-green-a"]);
  });

  it.each<[what: string, given: unknown, says: RegExp]>([
    ...["delete", "replace", "create-replacement", "delete-replaced", "discard-replaced"].flatMap(
      (op): [string, unknown, RegExp][] => [
        [`${op} of an address`, preview(step(op, "eip", "address-green-a")), /Elastic IP mooring-prod-address-green-a/],
        [`${op} of a NAT`, preview(step(op, "nat", "nat-green-a")), /NAT mooring-prod-nat-green-a/],
        [`${op} of a NAT instance`, preview(step(op, "instance", "nat-green-a")), /NAT mooring-prod-nat-green-a/],
        [
          `${op} of a default route`,
          preview(step(op, "route", "private-default-a", defaultRoute)),
          /route mooring-prod/,
        ],
      ],
    ),
    ["a route that leads nobody knows where", preview(step("delete", "route", "x")), /route mooring-prod-x/],
    [
      "a rotation that releases the old address",
      preview(...ROTATION, step("delete", "eip", "address-green-a")),
      /Elastic IP/,
    ],
    ["a rotation without its new NAT", preview(...ROTATION.filter((_, place) => place !== 1)), /no other slot/],
    [
      "a rotation that does not move the route",
      preview(...ROTATION.filter((_, place) => place !== 2)),
      /no other slot/,
    ],
    [
      "a rotation that replaces the route",
      preview(...ROTATION.map((each, place) => (place === 2 ? { ...each, op: "replace" } : each))),
      /route mooring-prod-private-default-a/,
    ],
    [
      "a NAT moved to another zone",
      preview(
        step("create", "nat", "nat-blue-b"),
        step("update", "route", "private-default-a", defaultRoute),
        step("delete", "nat", "nat-green-a"),
      ),
      /no other slot/,
    ],
    [
      "a NAT of another kind in its place",
      preview(...ROTATION.map((each, place) => (place === 1 ? step("create", "instance", "nat-blue-a") : each))),
      /no other slot/,
    ],
    ["an unknown operation", preview(step("explode", "task", "task")), /"explode"/],
    ["a step without urn", preview({ op: "same" }), /no urn/],
    ["a step that is a text", preview("same"), /not an object/],
    ["a urn that is none", preview({ op: "same", urn: "x" }), /no urn/],
    ["an output without steps", { diagnostics: [] }, /no steps/],
    ["nothing", undefined, /no steps/],
  ])("refuses %s", (_, given, says) => {
    const { reasons } = judge(given);
    expect(reasons.join("\n")).toMatch(says);
  });
});

describe("guardPreview", () => {
  it.each([
    [JSON.stringify(preview(...ROTATION)), 0, "another slot takes over"],
    [JSON.stringify(preview(step("delete", "eip", "address-green-a"))), 1, "refused: delete of the Elastic IP"],
    ["not JSON", 1, "refused: this is not the output"],
  ])("answers with its exit status", (input, status, says) => {
    const run = spawnSync(process.execPath, [join(REPOSITORY_ROOT, "infra/tools/guardPreview.ts")], {
      input,
      encoding: "utf8",
    });
    expect(run.status).toBe(status);
    expect(run.stdout + run.stderr).toContain(says);
  });
});
