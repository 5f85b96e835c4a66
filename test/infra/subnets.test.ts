// Subnet maths: inside the VPC, apart from each other, and a zone's networks never move.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { zoneNetworks } from "../../infra/subnets.ts";

/** First and last address of a network. */
function range(cidr: string): { first: number; last: number } {
  const [address = "", length = ""] = cidr.split("/");
  const first = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return { first, last: first + 2 ** (32 - Number(length)) - 1 };
}

const vpcs = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 16, max: 24 })).map(([second, length]) => {
  return `10.${second}.0.0/${length}`;
});
const zoneLists = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { minLength: 1 });

describe("zoneNetworks", () => {
  it("keeps every network inside the VPC, on its own boundary, large enough for AWS", () => {
    fc.assert(
      fc.property(vpcs, zoneLists, (vpc, zones) => {
        const outer = range(vpc);
        for (const zone of zones) {
          const { publicCidr, privateCidr } = zoneNetworks(vpc, zone);
          for (const cidr of [publicCidr, privateCidr]) {
            const { first, last } = range(cidr);
            expect(first).toBeGreaterThanOrEqual(outer.first);
            expect(last).toBeLessThanOrEqual(outer.last);
            expect(first % (last - first + 1)).toBe(0);
            expect(Number(cidr.split("/")[1])).toBeLessThanOrEqual(28);
          }
        }
      }),
    );
  });

  it("lets no two networks overlap", () => {
    fc.assert(
      fc.property(vpcs, zoneLists, (vpc, zones) => {
        const ranges = zones
          .flatMap((zone) => {
            const { publicCidr, privateCidr } = zoneNetworks(vpc, zone);
            return [range(publicCidr), range(privateCidr)];
          })
          .sort((left, right) => left.first - right.first);
        ranges.slice(1).forEach((next, place) => {
          expect(next.first).toBeGreaterThan(ranges[place]?.last ?? 0);
        });
      }),
    );
  });

  it("gives known networks", () => {
    expect(zoneNetworks("10.0.0.0/16", "a")).toEqual({
      zone: "a",
      publicCidr: "10.0.0.0/20",
      privateCidr: "10.0.128.0/20",
    });
    expect(zoneNetworks("10.1.2.0/24", "b")).toEqual({
      zone: "b",
      publicCidr: "10.1.2.16/28",
      privateCidr: "10.1.2.144/28",
    });
  });

  it.each(["", "i", "ab", "A"])("refuses the zone %j", (zone) => {
    expect(() => zoneNetworks("10.0.0.0/16", zone)).toThrow(RangeError);
  });
});
