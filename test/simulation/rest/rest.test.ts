// The REST client under seeded faults: fixed seeds that once broke a rule or try much, and a few that nobody has tried before.

import { describe } from "vitest";
import { keepsItsRules } from "../seeds.ts";
import { simulate } from "./scenario.ts";

/** Each of the first ones broke a rule before its cause was mended; see the commits. */
const FIXED = [
  16,
  41,
  72,
  209,
  305,
  414,
  492,
  677,
  860,
  987,
  ...Array.from({ length: 40 }, (_, index) => 2_000 + index),
];

describe("REST in simulation", () => keepsItsRules({ name: "rest", simulate, fixed: FIXED, fresh: 15 }));
