// Who may start and who has to go, checked against a plain list.

import fc from "fast-check";
import { expect, it } from "vitest";
import { createLanes } from "../../../bot/gateway/lanes.ts";

interface Job {
  readonly key: string;
  readonly name: number;
}

const steps = fc.array(
  fc.record({
    action: fc.constantFrom("add", "add", "begin", "next", "release", "shedOldest", "shedCrowded"),
    key: fc.constantFrom("a", "b", "c", "d"),
  }),
  { maxLength: 120, size: "max" },
);

it("agrees with a plain list of what waits and a set of what runs", () => {
  fc.assert(
    fc.property(steps, (actions) => {
      const lanes = createLanes<Job>();
      const waiting: Job[] = [];
      const running = new Set<string>();
      const remove = (job: Job | undefined): void => {
        if (job === undefined) return;
        waiting.splice(waiting.indexOf(job), 1);
        lanes.remove(job);
      };
      for (const [name, { action, key }] of actions.entries()) {
        if (action === "add") {
          const job = { key, name };
          waiting.push(job);
          lanes.add(job);
        } else if (action === "begin") {
          const mustWait = running.has(key) || waiting.some((job) => job.key === key);
          expect(lanes.isFree(key)).toBe(!mustWait);
          if (mustWait) continue;
          lanes.begin(key);
          running.add(key);
        } else if (action === "next") {
          const expected = waiting.find((job) => !running.has(job.key));
          expect(lanes.next()).toBe(expected);
          if (expected === undefined) continue;
          waiting.splice(waiting.indexOf(expected), 1);
          running.add(expected.key);
        } else if (action === "release") {
          if (running.delete(key)) lanes.release(key);
        } else if (action === "shedOldest") {
          expect(lanes.oldest()).toBe(waiting[0]);
          remove(lanes.oldest());
        } else {
          const job = lanes.crowded();
          const lengthOf = (of: string): number => waiting.filter((other) => other.key === of).length;
          const longest = Math.max(0, ...["a", "b", "c", "d"].map(lengthOf));
          expect(job === undefined ? 0 : lengthOf(job.key)).toBe(longest);
          expect(job).toBe(waiting.find((other) => other.key === job?.key));
          remove(job);
        }
        expect(lanes.waiting).toBe(waiting.length);
        expect(lanes.lanes).toBe(new Set([...running, ...waiting.map((job) => job.key)]).size);
      }
    }),
  );
});

it("knows what runs among any number of keys that came and went", () => {
  const lanes = createLanes<Job>();
  lanes.begin("runs");
  for (let key = 1; key <= 10_000; key++) {
    expect(lanes.isFree(`${key}`)).toBe(true);
    lanes.begin(`${key}`);
    lanes.release(`${key}`);
  }
  expect(lanes.lanes).toBe(1);
  expect(lanes.isFree("runs")).toBe(false);
  expect(lanes.isFree("10000")).toBe(true);
});
