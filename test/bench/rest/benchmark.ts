// The REST benchmark: every client alone in its process with a server of its own, in turns where CPU time is measured.

import path from "node:path";
import { peerVersion } from "../install.ts";
import { checkNames } from "../knownNames.ts";
import { Samples, table } from "../statistics.ts";
import { numberOf, startWorker, type Worker } from "../worker.ts";
import type { Rules } from "./apiServer.ts";
import { CONTENDERS, type Contender } from "./contenders.ts";
import { LEARNING_RULES, OPEN_RULES, SCENARIO_NAMES, SCENARIOS, type Scenario } from "./scenarios.ts";

export interface RestOptions {
  readonly rounds: number;
  /** Requests of a speed run. */
  readonly requests: number;
  /** Channels touched once for the heap. */
  readonly channels: number;
  /** Names of clients; all when empty. The baseline always runs. */
  readonly only: readonly string[];
  /** Folder for CPU profiles of the speed runs. */
  readonly profile: string | undefined;
  progress(line: string): void;
}

const WIDTHS = [1, 32] as const;
/** The limits' own clock makes a round of these last as long as its slowest client waits, and they hardly differ. */
const MOST_WAITING_ROUNDS = 2;
/** A little more than the longest that a client here says it keeps an idle bucket, but for one of an hour. */
const IDLE_MS = 80_000;

/** Runs it and returns its tables as markdown. */
export async function restBenchmark(options: RestOptions): Promise<string> {
  checkNames(options.only, CONTENDERS);
  const chosen = CONTENDERS.filter(
    ({ name }, index) => index === 0 || options.only.length === 0 || options.only.includes(name),
  );
  const limiters = chosen.filter(({ bare }) => !bare);
  const samples = new Samples();
  for (let round = 0; round < options.rounds; round++) {
    for (const width of WIDTHS) await speed(options, chosen, samples, round, width);
    if (round >= MOST_WAITING_ROUNDS) continue;
    for (const name of SCENARIO_NAMES.filter((name) => isTimed(name))) {
      if (name === "thousand") {
        // Some answer it with thousands of 429s, which would delay the answers of whoever runs beside them.
        for (const contender of limiters) await scenario(options, contender, name, samples);
        continue;
      }
      // Waiting takes no CPU time, so the clients wait side by side.
      await Promise.all(limiters.map((contender) => scenario(options, contender, name, samples)));
    }
  }
  for (const contender of limiters) {
    const counted = SCENARIO_NAMES.filter((name) => !isTimed(name));
    await Promise.all(counted.map((name) => scenario(options, contender, name, samples)));
  }
  // In turns while they work, side by side while they idle.
  const weighed: Promise<void>[] = [];
  for (const contender of limiters) {
    const { promise, resolve } = Promise.withResolvers<void>();
    weighed.push(memory(options, contender, samples, resolve).finally(resolve));
    await promise;
  }
  await Promise.all(weighed);
  return report(options, chosen, samples);
}

const isTimed = (name: (typeof SCENARIO_NAMES)[number]): boolean => "optimumMs" in SCENARIOS[name];

/** Runs `use` with a client in a process of its own and a server in another. */
async function withClient(
  contender: Contender,
  rules: Rules,
  unlimited: boolean,
  execArgv: readonly string[],
  use: (client: Worker, server: Worker) => Promise<void>,
): Promise<void> {
  const server = startWorker(path.join(import.meta.dirname, "apiServer.ts"), rules);
  let client: Worker | undefined;
  try {
    const { port } = await server.next("listening");
    const argument = { client: contender.name, origin: `http://127.0.0.1:${String(port)}`, unlimited };
    client = startWorker(path.join(import.meta.dirname, "subject.ts"), argument, execArgv);
    await client.next("open");
    await use(client, server);
  } finally {
    await client?.end();
    await server.end();
  }
}

async function speed(
  options: RestOptions,
  chosen: readonly Contender[],
  samples: Samples,
  round: number,
  width: number,
): Promise<void> {
  const profiled = options.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profile}`];
  const cpu = new Map<Contender, number>();
  const order = [...chosen];
  order.push(...order.splice(0, round % order.length));
  for (const contender of order) {
    await withClient(contender, OPEN_RULES, true, profiled, async (client) => {
      client.send({ kind: "hurry", requests: options.requests, width });
      const hurried = await client.next("hurried");
      const done = numberOf(hurried, "done");
      samples.add(`${contender.name} rate ${width}`, (done / numberOf(hurried, "wallMs")) * 1000);
      options.progress(`${contender.name}, ${width} at a time: ${done} of ${options.requests}`);
      // The CPU time of one that paces itself is that of its timers.
      if (done < options.requests) return;
      const cpuMs = (numberOf(hurried, "cpuMs") / done) * 10_000;
      cpu.set(contender, cpuMs);
      samples.add(`${contender.name} cpu ${width}`, cpuMs);
      options.progress(`round ${round + 1}: ${contender.name}, ${width} at a time: ${cpuMs.toFixed(0)} ms CPU per 10k`);
    });
  }
  const [baseline] = chosen;
  const reference = baseline === undefined ? undefined : cpu.get(baseline);
  if (reference === undefined) return;
  for (const [contender, cpuMs] of cpu) samples.add(`${contender.name} cpu ratio ${width}`, cpuMs / reference);
}

async function scenario(
  options: RestOptions,
  contender: Contender,
  name: (typeof SCENARIO_NAMES)[number],
  samples: Samples,
): Promise<void> {
  const { rules, unlimited, optimumMs, patienceMs }: Scenario = SCENARIOS[name];
  try {
    await withClient(contender, rules, unlimited, [], async (client, server) => {
      client.send({ kind: "scenario", name });
      const finished = await client.next("finished", patienceMs + 30_000);
      server.send({ kind: "counts" });
      const counts = await server.next("counted");
      const wallMs = numberOf(finished, "wallMs");
      const key = `${contender.name} ${name}`;
      for (const count of ["requests", "limited", "disordered", "doubled"]) {
        samples.add(`${key} ${count}`, numberOf(counts, count));
      }
      samples.add(`${key} open`, finished["finished"] === true ? 0 : 1);
      if (optimumMs !== undefined) samples.add(`${key} ratio`, wallMs / optimumMs);
      options.progress(
        `${key}: ${(wallMs / 1000).toFixed(1)} s, ${numberOf(counts, "requests")} requests, ${numberOf(counts, "limited")} 429s, ${numberOf(counts, "disordered")} out of order, ${numberOf(counts, "doubled")} doubled${finished["finished"] === true ? "" : ", not all settled"}`,
      );
    });
  } catch (error) {
    options.progress(`${contender.name} ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function memory(
  options: RestOptions,
  contender: Contender,
  samples: Samples,
  onTouched: () => void,
): Promise<void> {
  const { channels } = options;
  try {
    await withClient(contender, LEARNING_RULES, true, ["--expose-gc"], async (client) => {
      client.send({ kind: "touch", channels, idleMs: IDLE_MS });
      const weighed = await client.next("touched");
      onTouched();
      const done = numberOf(weighed, "channels");
      const touched = numberOf(weighed, "bytes") / done;
      const idled = numberOf(await client.next("idled"), "bytes") / done;
      // Of one that paces itself too few were touched to tell its own from all else.
      if (done < channels / 10) return;
      samples.add(`${contender.name} touched`, touched);
      samples.add(`${contender.name} idled`, idled);
      options.progress(
        `${contender.name}: ${done} channels, ${touched.toFixed(0)} bytes each, ${idled.toFixed(0)} after idling`,
      );
    });
  } catch (error) {
    options.progress(`${contender.name} memory: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function report(options: RestOptions, chosen: readonly Contender[], samples: Samples): string {
  const limiters = chosen.filter(({ bare }) => !bare);
  const title = ({ name, peer }: Contender): string => (peer === undefined ? name : `${name} ${peerVersion(peer)}`);
  const shown = (key: string, print: (value: number) => string): string => {
    const value = samples.median(key);
    return value === undefined ? "-" : print(value);
  };
  const whole = (value: number): string => value.toFixed(0);
  const times = (value: number): string => `${value.toFixed(2)} x`;
  const spread = (contender: Contender, name: string): string => {
    const key = `${contender.name} ${name}`;
    const open = (samples.median(`${key} open`) ?? 0) > 0 ? " (not all settled)" : "";
    const order = name === "thousand" ? "" : `, ${shown(`${key} disordered`, whole)} out of order`;
    return `${shown(`${key} ratio`, times)}, ${shown(`${key} limited`, whole)} 429s${order}${open}`;
  };
  const limits = table(
    ["time over the rules' optimum", "2,000 over 40 channels", "200 on an unknown route", "1,000 over 1,000 channels"],
    limiters.map((contender) => [
      title(contender),
      spread(contender, "forty"),
      spread(contender, "unknown"),
      spread(contender, "thousand"),
    ]),
  );
  const counts = table(
    [
      "requests that reached the server",
      "100 identical GETs",
      "banned edge, no Retry-After",
      "banned edge, Retry-After 20 s",
      "POSTs done twice, of 5 reset",
    ],
    limiters.map((contender) => [
      title(contender),
      ...["identical", "edgeSilent", "edgeNamed"].map((name) => shown(`${contender.name} ${name} requests`, whole)),
      shown(`${contender.name} reset doubled`, whole) +
        ((samples.median(`${contender.name} reset open`) ?? 0) > 0 ? " (never settles)" : ""),
    ]),
  );
  const cost = table(
    [
      "route without limits",
      ...WIDTHS.flatMap((width) => [`CPU, ${width} at a time`, `requests/s, ${width} at a time`]),
      "heap a channel, bytes",
      `after ${IDLE_MS / 1000} s idle`,
    ],
    chosen.map((contender, index) => [
      title(contender),
      ...WIDTHS.flatMap((width) => [
        index === 0
          ? shown(`${contender.name} cpu ${width}`, (value) => `1 x (${value.toFixed(0)} ms per 10k)`)
          : shown(`${contender.name} cpu ratio ${width}`, times),
        shown(`${contender.name} rate ${width}`, whole),
      ]),
      shown(`${contender.name} touched`, whole),
      shown(`${contender.name} idled`, whole),
    ]),
  );
  const waits = Math.min(options.rounds, MOST_WAITING_ROUNDS);
  const how = `CPU: ${options.rounds} rounds in turns, medians of each round's ratio; limits: ${waits} rounds; up to ${options.channels} channels touched once for the heap, within the time that none is idle (heapUsed after four collections, less that after 2,000 others); Node ${process.version}, ${process.platform} ${process.arch}.`;
  return `### REST\n\n${how}\n\n${limits}\n\n${counts}\n\n${cost}\n`;
}
