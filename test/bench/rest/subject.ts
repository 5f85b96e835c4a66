// One REST client alone in its process: runs what it is told and reports time, CPU time and memory.

import { setTimeout as sleep } from "node:timers/promises";
import { fail, numberOf, onNote, report, workerArgument } from "../worker.ts";
import { CONTENDERS } from "./contenders.ts";
import { messagesOf, SCENARIO_NAMES, SCENARIOS, type Scenario } from "./scenarios.ts";

interface Argument {
  readonly client: string;
  readonly origin: string;
  readonly unlimited: boolean;
}

const argument = workerArgument() as Argument;
const contender = CONTENDERS.find(({ name }) => name === argument.client);
if (contender === undefined) throw new Error("the benchmark started a client that it has not");

// What a client throws out of its own timers and sockets is its business; the requests tell how it fared.
process.on("uncaughtException", () => {});
process.on("unhandledRejection", () => {});

/** Several times what the slowest needs that does not pace itself. */
const SPEED_MS = 15_000;

/** Within the minute after which the first may be forgotten again: a slower machine touches fewer. */
const TOUCH_MS = 45_000;

const { open } = await contender.load();
const send = await open(argument).catch((error: unknown) => {
  fail(error);
  throw error;
});

/** Up to so many requests, `width` of them under way at any time; how many were done when the time was over. */
const many = async (
  count: number,
  width: number,
  one: (number: number) => Promise<unknown>,
  withinMs = Number.POSITIVE_INFINITY,
): Promise<number> => {
  const until = performance.now() + withinMs;
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (next < count && performance.now() < until) {
      await one(next++);
      done++;
    }
  };
  const lanes = Promise.all(Array.from({ length: width }, lane));
  // A client that paces itself without need must not hold the benchmark up.
  await (withinMs === Number.POSITIVE_INFINITY ? lanes : Promise.race([lanes, sleep(withinMs)]));
  return done;
};

const weigh = async (): Promise<number> => {
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.();
    await sleep(100);
  }
  return process.memoryUsage().heapUsed;
};

onNote(async (note) => {
  if (note.kind === "scenario") {
    const name = SCENARIO_NAMES.find((known) => known === note["name"]);
    if (name === undefined) return fail(new Error("no such scenario"));
    const scenario: Scenario = SCENARIOS[name];
    const startedAt = performance.now();
    const done = scenario.run(send).then(() => true);
    const finished = await Promise.race([done, sleep(scenario.patienceMs, false)]);
    report({ kind: "finished", finished, wallMs: performance.now() - startedAt });
  } else if (note.kind === "hurry") {
    const count = numberOf(note, "requests");
    const width = numberOf(note, "width");
    // Different paths, so that none is answered by another's request.
    const ask = (number: number): Promise<unknown> =>
      send("GET", `/users/${1_100_000_000_000_000_000n + BigInt(number)}`);
    await many(Math.ceil(count / 5), width, ask, SPEED_MS / 4);
    const before = process.cpuUsage();
    const startedAt = performance.now();
    const done = await many(count, width, ask, SPEED_MS);
    const { user, system } = process.cpuUsage(before);
    report({ kind: "hurried", done, cpuMs: (user + system) / 1000, wallMs: performance.now() - startedAt });
  } else if (note.kind === "touch") {
    const channels = numberOf(note, "channels");
    // Code, pools and tables that any use brings along.
    await many(2_000, 64, (number) => send("POST", messagesOf(channels + number), { content: "0" }), TOUCH_MS / 4);
    const before = await weigh();
    const touched = await many(channels, 64, (number) => send("POST", messagesOf(number), { content: "0" }), TOUCH_MS);
    report({ kind: "touched", bytes: (await weigh()) - before, channels: touched });
    await sleep(numberOf(note, "idleMs"));
    report({ kind: "idled", bytes: (await weigh()) - before });
  }
});

report({ kind: "open" });
