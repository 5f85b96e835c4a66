// Pure subnet maths: where each zone's public and private network lies inside the VPC's.

/** The networks of one zone, in CIDR notation. */
export interface ZoneNetworks {
  readonly zone: string;
  readonly publicCidr: string;
  readonly privateCidr: string;
}

const LETTERS = "abcdefgh";

/**
 * A sixteenth of the VPC for every network: the first eight are public, the last eight private, each by the zone's
 * letter. A zone's networks so depend on nothing but its letter: adding or removing a zone moves no other.
 */
export function zoneNetworks(vpcCidr: string, zone: string): ZoneNetworks {
  const [address = "", bits = ""] = vpcCidr.split("/");
  const length = Number(bits) + 4;
  const base = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const place = LETTERS.indexOf(zone);
  if (zone.length !== 1 || place < 0) throw new RangeError(`zone "${zone}" is none of ${[...LETTERS].join(", ")}`);
  const block = (index: number): string => `${dotted(base + index * 2 ** (32 - length))}/${length}`;
  return { zone, publicCidr: block(place), privateCidr: block(place + LETTERS.length) };
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}
