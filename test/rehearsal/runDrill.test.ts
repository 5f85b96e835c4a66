// A drill carried out for real, on a deployment that is sound and on some that are broken: the reason comes first.

import { beforeAll, describe, expect, it, vi } from "vitest";
import { type DeclaredProgram, declareProgram, type RecordedResource } from "../infra/program.ts";
import type { Drill } from "./drill.ts";
import { DRILLS } from "./drills.ts";
import { rehearse } from "./rehearse.ts";
import type { Outcome } from "./runDrill.ts";
import { REHEARSED_TOKEN } from "./world.ts";

let program: DeclaredProgram;
beforeAll(async () => {
  // The lines that a person would watch.
  vi.spyOn(console, "log").mockImplementation(() => {});
  program = await declareProgram({ stack: "dev", secrets: { discordToken: REHEARSED_TOKEN } });
});

// Five processes start side by side, and three minutes of silence would page: nine real seconds leave room for that.
const RATE = 20;
const MINUTE_MS = 60_000;

const banAtStart = (): Drill => {
  const drill = DRILLS.find(({ name }) => name === "edge ban at start");
  if (drill === undefined) throw new Error("there is no drill named edge ban at start");
  // As long as the ban lasts, and a little: in vain, nobody waits nine minutes.
  return { ...drill, firesMs: 3 * MINUTE_MS };
};

const EDGE_BANNED = "mooring-dev-EdgeBanned";

async function outcome(drill: Drill, change: (resource: RecordedResource) => RecordedResource): Promise<Outcome> {
  const changed = { ...program, resources: program.resources.map(change) };
  const [only] = await rehearse(changed, [{ drill, rate: RATE }], 1, new AbortController().signal);
  if (only === undefined) throw new Error("the drill had no outcome");
  return only;
}

const withInputs =
  (name: string, inputs: Readonly<Record<string, unknown>>) =>
  (resource: RecordedResource): RecordedResource =>
    resource.inputs["name"] === name ? { ...resource, inputs: { ...resource.inputs, ...inputs } } : resource;

describe("a drill", () => {
  it.concurrent.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
    ["a threshold that is never met", { threshold: 5 }, /threshold not met: highest datapoint 1.*EdgeBanned reached/s],
    ["a metric that nothing publishes", { metricName: "EdgeBand" }, /nothing published Mooring\/EdgeBand/],
    ["an alarm that tells nobody", { alarmActions: [] }, /EdgeBanned reached anybody/],
  ])("fails on %s, and says why", async (_what, inputs, reason) => {
    const { problems } = await outcome(banAtStart(), withInputs(EDGE_BANNED, inputs));
    expect(problems[0]).toMatch(reason);
    expect(problems[0]).toContain(EDGE_BANNED);
  });

  it.concurrent("fails when an alarm fires that the fault must not cause", async () => {
    const { alarm: _, names: __, ...rest } = banAtStart();
    const { problems } = await outcome({ ...rest, lastsMs: 2 * MINUTE_MS }, (resource) => resource);
    expect(problems).toContainEqual(expect.stringContaining(`${EDGE_BANNED} fired, which this fault must not cause`));
  });

  it.concurrent("fails for nothing else when the log does not name the cause", async () => {
    const names = [{ event: "edge.banned", fields: { via: "gateway" } }] as const;
    const { problems } = await outcome({ ...banAtStart(), names }, (resource) => resource);
    expect(problems).toEqual([expect.stringContaining('no edge.banned with via "gateway"')]);
  });
});
