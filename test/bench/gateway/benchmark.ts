// The gateway benchmark: every client alone in its process against the same load server, in turns.

import path from "node:path";
import { peerVersion } from "../install.ts";
import { Samples, table } from "../statistics.ts";
import { numberOf, startWorker, type Worker } from "../worker.ts";
import { CONTENDERS, type Contender } from "./contenders.ts";
import { MODES, type Mode } from "./contexts.ts";

export interface GatewayOptions {
  readonly rounds: number;
  /** Dispatches measured a run, after as many as a tenth of them for warming up. */
  readonly events: number;
  /** Names of clients; all when empty. The baseline always runs. */
  readonly only: readonly string[];
  /** Folder for CPU profiles of the clients. */
  readonly profile: string | undefined;
  progress(line: string): void;
}

const SHARDS = [1, 8] as const;
const IDLE_SHARDS = 64;

/** Runs it and returns its tables as markdown. */
export async function gatewayBenchmark(options: GatewayOptions): Promise<string> {
  const server = startWorker(path.join(import.meta.dirname, "loadServer.ts"), null);
  try {
    const { port } = await server.next("listening");
    const url = `ws://127.0.0.1:${String(port)}/`;
    const warmUp = Math.ceil(options.events / 10);
    for (const mode of MODES) {
      options.progress(`prepares ${options.events} events, ${mode}`);
      server.send({ kind: "prepare", mode, dispatches: options.events + warmUp });
      await server.next("prepared");
    }
    return await measure(options, server, url, warmUp);
  } finally {
    await server.end();
  }
}

async function measure(options: GatewayOptions, server: Worker, url: string, warmUp: number): Promise<string> {
  const chosen = CONTENDERS.filter(
    ({ name }, index) => index === 0 || options.only.length === 0 || options.only.includes(name),
  );
  const [baseline] = chosen;
  if (baseline === undefined) throw new Error("there is no baseline");
  const ratios = new Samples();
  const rates = new Samples();
  const peaks = new Samples();
  const weights = new Samples();

  for (let round = 0; round < options.rounds; round++) {
    for (const mode of MODES) {
      for (const shards of SHARDS) {
        const cpu = new Map<Contender, number>();
        // Whoever comes first in one round comes last in the next: the machine's mood hits all alike.
        const order = chosen.filter(({ modes }) => modes.includes(mode));
        order.push(...order.splice(0, round % order.length));
        for (const contender of order) {
          const run = await burst(options, server, { contender, mode, shards, url, warmUp });
          const key = `${contender.name} ${mode} ${shards}`;
          options.progress(
            `round ${round + 1}: ${key}: ${run === undefined ? "failed" : `${run.cpuMs.toFixed(0)} ms CPU`}`,
          );
          if (run === undefined) continue;
          cpu.set(contender, run.cpuMs);
          rates.add(key, (options.events / run.cpuMs) * 1000);
          peaks.add(key, run.peakBytes);
        }
        const reference = cpu.get(baseline);
        if (reference === undefined) continue;
        for (const [contender, cpuMs] of cpu) ratios.add(`${contender.name} ${mode} ${shards}`, reference / cpuMs);
      }
    }
  }
  // Memory, unlike time, comes out the same each time.
  for (const mode of MODES) {
    for (const contender of chosen.filter(({ modes }) => modes.includes(mode))) {
      const bytes = await idleBytes(options, server, contender, mode, url);
      if (bytes !== undefined) weights.add(`${contender.name} ${mode}`, bytes);
    }
  }
  return report(options, chosen, { ratios, rates, peaks, weights });
}

interface Run {
  readonly contender: Contender;
  readonly mode: Mode;
  readonly shards: number;
  readonly url: string;
  readonly warmUp: number;
}

async function burst(
  options: GatewayOptions,
  server: Worker,
  { contender, mode, shards, url, warmUp }: Run,
): Promise<{ readonly cpuMs: number; readonly peakBytes: number } | undefined> {
  const profiled = options.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profile}`];
  const argument = { client: contender.name, mode, shards, url };
  server.send({ kind: "expect", mode });
  const client = startWorker(path.join(import.meta.dirname, "subject.ts"), argument, profiled);
  const send = async (dispatches: number): Promise<{ cpuMs: number; peakBytes: number }> => {
    client.send({ kind: "count", events: dispatches * shards });
    await client.next("counting");
    server.send({ kind: "send", dispatches });
    const counted = await client.next("counted");
    return { cpuMs: numberOf(counted, "cpuMs"), peakBytes: numberOf(counted, "peakBytes") };
  };
  try {
    await client.next("ready", 30_000);
    const warm = Math.ceil(warmUp / shards);
    await send(warm);
    return await send(warm + Math.floor(options.events / shards));
  } catch (error) {
    options.progress(`${contender.name} ${mode} ${shards}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  } finally {
    await client.end();
    server.send({ kind: "cut" });
  }
}

/** Heap and external bytes of each shard beyond the first, all of them idle. */
async function idleBytes(
  options: GatewayOptions,
  server: Worker,
  contender: Contender,
  mode: Mode,
  url: string,
): Promise<number | undefined> {
  const weigh = async (shards: number): Promise<number> => {
    const argument = { client: contender.name, mode, shards, url };
    server.send({ kind: "expect", mode });
    const client = startWorker(path.join(import.meta.dirname, "subject.ts"), argument, ["--expose-gc"]);
    try {
      await client.next("ready", 60_000);
      client.send({ kind: "weigh" });
      return numberOf(await client.next("weighed"), "bytes");
    } finally {
      await client.end();
      server.send({ kind: "cut" });
    }
  };
  try {
    const one = await weigh(1);
    return ((await weigh(1 + IDLE_SHARDS)) - one) / IDLE_SHARDS;
  } catch (error) {
    options.progress(`${contender.name} ${mode}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

interface Results {
  readonly ratios: Samples;
  readonly rates: Samples;
  readonly peaks: Samples;
  readonly weights: Samples;
}

const MEBIBYTE = 1024 * 1024;

function report(options: GatewayOptions, chosen: readonly Contender[], results: Results): string {
  const [baseline] = chosen;
  const columns = MODES.flatMap((mode) => SHARDS.map((shards) => ({ mode, shards, title: `${mode}, ${shards}` })));
  const percent = (value: number | undefined): string => (value === undefined ? "-" : `${(value * 100).toFixed(0)} %`);
  const name = ({ name: shown, peer }: Contender): string =>
    peer === undefined ? shown : shown.replace(peer, `${peer} ${peerVersion(peer)}`);
  const speed = table(
    ["events per CPU second, of the bare client's", ...columns.map(({ title }) => title)],
    chosen.map((contender) => [
      name(contender),
      ...columns.map(({ mode, shards }) => {
        const key = `${contender.name} ${mode} ${shards}`;
        const rate = results.rates.median(key);
        if (contender !== baseline) return percent(results.ratios.median(key));
        return rate === undefined ? "-" : `100 % (${Math.round(rate / 1000)} k/s)`;
      }),
    ]),
  );
  const memory = table(
    ["peak RSS in the burst, MiB", ...columns.map(({ title }) => title)],
    chosen.map((contender) => [
      name(contender),
      ...columns.map(({ mode, shards }) => {
        const peak = results.peaks.median(`${contender.name} ${mode} ${shards}`);
        return peak === undefined ? "-" : (peak / MEBIBYTE).toFixed(0);
      }),
    ]),
  );
  const idle = table(
    ["heap + external of a further idle shard, KiB", ...MODES],
    chosen.map((contender) => [
      name(contender),
      ...MODES.map((mode) => {
        const bytes = results.weights.median(`${contender.name} ${mode}`);
        return bytes === undefined ? "-" : (bytes / 1024).toFixed(1);
      }),
    ]),
  );
  const how = `${options.events} dispatches of about 1 KB a run on 1 and 8 shards, ${options.rounds} rounds in turns, medians; Node ${process.version}, ${process.platform} ${process.arch}.`;
  return `### Gateway\n\n${how}\n\n${speed}\n\n${memory}\n\n${idle}\n`;
}
