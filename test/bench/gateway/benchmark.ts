// The gateway benchmark: every client beside the bare one, in all formats, on one shard and on eight; and what an idle shard weighs.

import path from "node:path";
import { peerVersion } from "../install.ts";
import { checkNames } from "../knownNames.ts";
import { median, Samples, table } from "../statistics.ts";
import { startWorker } from "../worker.ts";
import { CONTENDERS, type Contender } from "./contenders.ts";
import { MODES, type Mode } from "./contexts.ts";
import { type Doors, measurePair, openClient, type Setting } from "./pair.ts";

export interface GatewayOptions {
  /** Slices of a burst, each taken by the bare client too. */
  readonly rounds: number;
  /** Dispatches of a burst. */
  readonly events: number;
  /** Names of clients; all when empty. */
  readonly only: readonly string[];
  /** Folder for CPU profiles of the clients. */
  readonly profile: string | undefined;
  progress(line: string): void;
}

const SETTINGS: readonly Setting[] = MODES.flatMap((mode) => [1, 8].map((shards) => ({ mode, shards })));
const IDLE_SHARDS = 64;

/** Runs it and returns its table as markdown. */
export async function gatewayBenchmark(options: GatewayOptions): Promise<string> {
  checkNames(options.only, CONTENDERS);
  const server = startWorker(path.join(import.meta.dirname, "loadServer.ts"), 2);
  try {
    const { urls } = await server.next("listening");
    const [first, second]: unknown[] = Array.isArray(urls) ? urls : [];
    if (typeof first !== "string" || typeof second !== "string") throw new Error("the load server has no two doors");
    const events = Math.ceil(options.events / options.rounds);
    for (const mode of MODES) {
      options.progress(`prepares ${events * options.rounds} events, ${mode}`);
      server.send({ kind: "prepare", mode, dispatches: events * (options.rounds + 1) });
      await server.next("prepared");
    }
    return await measure(options, { server, urls: [first, second] }, events);
  } finally {
    await server.end();
  }
}

const speedKey = ({ name }: Contender, { mode, shards }: Setting): string => `${name} ${mode} ${shards}`;
const memoryKey = ({ name }: Contender, mode: Mode): string => `${name} ${mode}`;

interface Results {
  /** Events per CPU second, of the baseline's. */
  readonly ratios: Samples;
  /** The bare client's events per CPU second, by setting. */
  readonly rates: Samples;
  /** Bytes. */
  readonly peaks: Samples;
  /** Bytes of a further idle shard. */
  readonly weights: Samples;
}

async function measure(options: GatewayOptions, doors: Doors, events: number): Promise<string> {
  const bare = contenderNamed("bare");
  const chosen = CONTENDERS.filter(({ name }) => name !== bare.name && isChosen(options, name));
  const results: Results = {
    ratios: new Samples(),
    rates: new Samples(),
    peaks: new Samples(),
    weights: new Samples(),
  };
  // The first start compiles; the measured ones find it done.
  for (const contender of [bare, ...chosen]) {
    const client = await openClient(doors, 0, contender, { mode: "none", shards: 1 }).catch(() => undefined);
    await client?.end();
  }
  const execArgv = options.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.profile}`];
  for (const setting of SETTINGS) {
    for (const contender of chosen.filter(({ modes }) => modes.includes(setting.mode))) {
      const baseline = contenderNamed(contender.beside ?? bare.name);
      const key = speedKey(contender, setting);
      try {
        const { rounds, baselinePeakBytes, clientPeakBytes } = await measurePair(doors, setting, baseline, contender, {
          events,
          rounds: options.rounds,
          execArgv,
        });
        const ratios = rounds.map(({ baselineMs, clientMs }) => baselineMs / clientMs);
        results.ratios.add(key, median(ratios));
        results.peaks.add(memoryKey(contender, setting.mode), clientPeakBytes);
        if (baseline === bare) {
          const rate = median(rounds.map(({ baselineMs }) => (events / baselineMs) * 1000));
          results.rates.add(setting.mode + setting.shards, rate);
          results.peaks.add(memoryKey(bare, setting.mode), baselinePeakBytes);
        }
        options.progress(`${key}: ${percent(median(ratios))} of ${baseline.name}, ${mebibytes(clientPeakBytes)} MiB`);
      } catch (error) {
        options.progress(`${key}: failed: ${firstLine(error)}`);
      }
    }
  }
  for (const mode of MODES) {
    for (const contender of [bare, ...chosen].filter(({ weighed, modes }) => weighed && modes.includes(mode))) {
      const bytes = await idleBytes(options, doors, contender, mode);
      if (bytes !== undefined) results.weights.add(memoryKey(contender, mode), bytes);
    }
  }
  return report(options, events, [bare, ...chosen], results);
}

function contenderNamed(wanted: string): Contender {
  const found = CONTENDERS.find(({ name }) => name === wanted);
  if (found === undefined) throw new Error(`there is no client called ${wanted}`);
  return found;
}

const isChosen = ({ only }: GatewayOptions, name: string): boolean => only.length === 0 || only.includes(name);

/** Heap and external bytes of each shard beyond the first, all of them idle. Memory, unlike time, comes out the same each time. */
async function idleBytes(
  options: GatewayOptions,
  doors: Doors,
  contender: Contender,
  mode: Mode,
): Promise<number | undefined> {
  const weigh = async (door: 0 | 1, shards: number): Promise<number> => {
    const client = await openClient(doors, door, contender, { mode, shards }, ["--expose-gc"]);
    try {
      return await client.weigh();
    } finally {
      await client.end();
    }
  };
  try {
    const [one, many] = await Promise.all([weigh(0, 1), weigh(1, 1 + IDLE_SHARDS)]);
    return (many - one) / IDLE_SHARDS;
  } catch (error) {
    options.progress(`${contender.name} ${mode}: not weighed: ${firstLine(error)}`);
    return undefined;
  }
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1).join("");
const percent = (ratio: number): string => `${(ratio * 100).toFixed(0)} %`;
const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);
const kibibytes = (bytes: number): string => (bytes / 1024).toFixed(1);

function report(options: GatewayOptions, events: number, shown: readonly Contender[], results: Results): string {
  const { ratios, rates, peaks, weights } = results;
  const row = (
    title: string,
    values: (contender: Contender) => number | undefined,
    tell: (value: number) => string,
  ) => [
    title,
    ...shown.map((contender) => {
      const value = values(contender);
      return value === undefined ? "-" : tell(value);
    }),
  ];
  const speed = SETTINGS.map((setting) => {
    const told = row(
      `${formatOf(setting.mode)}, ${setting.shards === 1 ? "1 shard" : `${setting.shards} shards`}`,
      (contender) => ratios.median(speedKey(contender, setting)),
      percent,
    );
    const rate = rates.median(setting.mode + setting.shards);
    if (rate !== undefined) told[1] = `${Math.round(rate / 1000)} k/s`;
    return told;
  });
  const memory = MODES.map((mode) =>
    row(`peak RSS, ${formatOf(mode)}, MiB`, (contender) => peaks.highest(memoryKey(contender, mode)), mebibytes),
  );
  const idle = MODES.map((mode) =>
    row(`idle shard, ${formatOf(mode)}, KiB`, (contender) => weights.median(memoryKey(contender, mode)), kibibytes),
  );
  const how = [
    "Events per CPU second as a share of a bare client's (ws, inflate, JSON.parse, nothing else), which runs beside each;",
    `${events * options.rounds} dispatches of about 1 KB in ${options.rounds} slices taken in turns, medians;`,
    `with asynchronous handlers: of a bare client that awaits one, too. Node ${process.version}, ${process.platform} ${process.arch}.`,
  ].join("\n");
  return `### Gateway\n\n${how}\n\n${table(["", ...shown.map(title)], [...speed, ...memory, ...idle])}\n`;
}

const formatOf = (mode: Mode): string => (mode === "none" ? "uncompressed" : mode);

const title = ({ name, peer }: Contender): string =>
  peer === undefined ? name : name.replace(peer, `${peer} ${peerVersion(peer)}`);
