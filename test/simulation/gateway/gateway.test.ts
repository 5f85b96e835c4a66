// The gateway under seeded faults: fixed seeds that once broke a rule or try much, and a few that nobody has tried before.

import { describe } from "vitest";
import { keepsItsRules } from "../seeds.ts";
import { simulate } from "./scenario.ts";

/** The first seven broke a rule before its cause was mended; in the next two a channel has an hour's backlog when faults end. */
const FIXED = [27, 164, 1607, 1077, 1128, 30_482, 6_629, 5_551, 7_239, 55, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

describe("the gateway in simulation", () => keepsItsRules({ name: "gateway", simulate, fixed: FIXED, fresh: 8 }));
