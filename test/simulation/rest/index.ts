// The REST client's simulation, as test/simulation/main.ts runs it: one seed, one run.

export { type Outcome, simulate } from "./scenario.ts";
