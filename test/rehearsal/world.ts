// One rehearsed deployment: a simulated Discord, the bot as its own process, and the declared alarms, on one clock.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Clock } from "../../bot/clock.ts";
import { startTables, type Tables } from "../bot/ledger/table.ts";
import { createTwin, type Twin } from "../cloudwatch/twin.ts";
import { type Crowd, createCrowd } from "../crowd.ts";
import { type SimulatedDiscord, startSimulatedDiscord } from "../discord/index.ts";
import type { DeclaredProgram } from "../infra/program.ts";
import { type SimulatedUpstream, startSimulatedUpstream } from "../upstream/index.ts";
import { beat, healthOf, healthyUntil } from "./awsHealth.ts";
import { atTheEnd, type BotProcess, type Launch, startBot } from "./botProcess.ts";
import { type ChangedVariable, declaredContainer, rehearsedEnvironment } from "./container.ts";
import type { Drill } from "./drill.ts";
import { type Echo, startEcho } from "./echo.ts";
import { CHANNELS, createTraffic, SERVERS, type Traffic } from "./traffic.ts";

export interface WorldOptions {
  readonly program: DeclaredProgram;
  readonly clock: Clock;
  readonly rate: number;
  /** Wall time at which the clock's fast time began; the bot is told, so that both agree on the time. */
  readonly originMs: number;
  /** Ends the world early. */
  readonly signal: AbortSignal;
  /** How the bot is started: as a process of this machine unless said otherwise. */
  readonly launch?: Launch;
  /** The bot's status port; any free one unless said otherwise. */
  readonly statusPort?: number;
}

// How often the alarms are looked at and time limits are checked, ms of the clock.
const LOOK_EVERY_MS = 1_000;
const DEPLOYED_AGO_MS = 30 * 60_000;
const MINUTE_MS = 60_000;
const MOST_EVENTS = 20_000;
// What is under way when a ban or a wait is announced takes real time, however fast the clock runs.
const IN_FLIGHT_REAL_MS = 1_000;
const CROWD_SEED = 7;
// The start of a process takes real time too, on a busy machine seconds.
const START_REAL_MS = 60_000;

/** The application that the rehearsed token belongs to, as every bot's token tells in its first part. */
const REHEARSED_APPLICATION = "1100000000000000000";
export const REHEARSED_TOKEN = `${Buffer.from(REHEARSED_APPLICATION).toString("base64")}.rehearsal.placeholder`;

/** A time limit of the rehearsal was passed, or the bot died first; the message says what was waited for. */
export class Overdue extends Error {
  readonly kind = "overdue";
}

type Line = Readonly<Record<string, unknown>>;

/** A bot with what it has printed. */
export interface RehearsedBot extends BotProcess {
  /** Its own log lines, as in `lines` of the world. */
  readonly lines: readonly Line[];
}

export interface World extends Pick<Traffic, "asked" | "sent" | "usersAsk" | "say" | "hurry" | "hush"> {
  readonly clock: Clock;
  readonly discord: SimulatedDiscord;
  /** A thousand users besides the traffic, who write when a drill says so. */
  readonly crowd: Crowd;
  /** The model's provider, where the drill has one. */
  readonly upstream: SimulatedUpstream | undefined;
  /** The emulated table of a bot whose ledger is one. */
  readonly tables: Tables | undefined;
  readonly twin: Twin;
  /** The variables that differ from what is declared. */
  readonly changed: readonly ChangedVariable[];
  /** Tells the bot which address it is seen from. */
  readonly echo: Echo;
  /** The stack's public address. */
  readonly address: string;
  /** Of this world alone; gone when it is closed. */
  readonly directory: string;
  /** The bots' log lines, oldest first; metric lines left out, the first 20,000. */
  readonly lines: readonly Line[];
  /** Whatever stdout carried that is no JSON object; the bot promises there is none. */
  readonly strayLines: readonly string[];
  /** All that were started, in order. */
  readonly bots: readonly RehearsedBot[];
  /** The one that was started last. */
  bot(): RehearsedBot;
  /** Starts a bot, beside those that run; resolves when it has logged bot.started. */
  start(): Promise<void>;
  /** Ends a bot as ECS stops a task; resolves when it is gone. */
  retire(bot: BotProcess): Promise<void>;
  /** SIGKILL, as when a machine fails; resolves when it is gone. */
  kill(bot: BotProcess): Promise<void>;
  /** As a rollout of one task does: SIGTERM, and when the old process is gone the next is started. */
  replaceBot(): Promise<void>;
  /** Resolves when `condition` holds; rejects with Overdue after `limitMs` of the clock, or when the bot dies. */
  until(what: string, condition: () => boolean, limitMs: number): Promise<void>;
  pass(milliseconds: number): Promise<void>;
  /** Carries something out now and every so many ms until `endRepeat`. */
  repeat(everyMs: number, act: () => void): void;
  endRepeat(): void;
  /** Users begin to ask the bot questions, evenly. */
  openTraffic(): void;
  /** Ends the bot as ECS would, and everything else; resolves to 0, or to how one of them ended that did not end well. */
  close(): Promise<Ending>;
}

export interface Ending {
  readonly how: number | NodeJS.Signals;
  /** What the bots wrote to stderr. */
  readonly complaints: string;
}

/** Opens a world in which Discord and the alarms run and the bot has not been started yet. */
export async function openWorld(drill: Drill, options: WorldOptions): Promise<World> {
  const { program, clock, signal, launch = startBot } = options;
  const container = declaredContainer(program);
  const token = container.secrets["DISCORD_TOKEN"];
  if (token === undefined) throw new Error("the container gets no DISCORD_TOKEN; the bot could not log in");
  const directory = mkdtempSync(path.join(tmpdir(), "rehearsal-"));
  // A bot that was killed this very moment may still write its last file in there.
  const removeDirectory = (): void =>
    rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 10 });
  const removed = atTheEnd(removeDirectory);
  const discord = await startSimulatedDiscord({
    clock,
    token,
    applicationId: REHEARSED_APPLICATION,
    guilds: SERVERS,
    channelsPerGuild: CHANNELS,
    inFlightGraceMs: IN_FLIGHT_REAL_MS * options.rate,
    ...drill.discord,
  });
  const [address = ""] = (container.environment["EGRESS_ADDRESSES"] ?? "").split(",");
  const echo = await startEcho(address);
  const upstream = drill.upstream && (await startSimulatedUpstream({ clock, ...drill.upstream }));
  const { environment, changed } = rehearsedEnvironment(
    container,
    {
      DISCORD_API_URL: discord.apiUrl,
      DISCORD_GATEWAY_URL: discord.gatewayUrl,
      EGRESS_ECHO_URL: echo.url,
      ...(upstream !== undefined && { UPSTREAM_URL: upstream.url }),
      STATUS_PORT: String(options.statusPort ?? 0),
      CLOCK_RATE: String(options.rate),
      CLOCK_ORIGIN_MS: String(options.originMs),
    },
    drill.exceptions?.(directory),
  );
  const table = /^dynamodb:(.+)$/.exec(environment["LEDGER"] ?? "")?.[1];
  const tables = table === undefined ? undefined : await startTables();
  await tables?.create(table);
  const twin = createTwin({ ...program, createdAt: clock.wall() - DEPLOYED_AGO_MS });
  const health = healthOf(program);
  const stack = environment["STACK"] ?? "";
  healthyUntil(clock.wall(), clock.wall() - DEPLOYED_AGO_MS, stack, twin, health);

  const lines: Line[] = [];
  const strayLines: string[] = [];
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  const traffic = createTraffic(discord, clock, ended);
  const bots: RehearsedBot[] = [];
  const living = new Set<BotProcess>();
  // How a bot ended that nobody had asked to.
  let died: number | NodeJS.Signals | undefined;
  let retired: number | NodeJS.Signals = 0;
  let endRepeat = (): void => {};
  // How long the end takes is real time, and no drill: alarms are looked at until it begins.
  let closing = false;
  let healthAt = clock.wall();

  const started = (): number => lines.filter(({ event }) => event === "bot.started").length;

  const look = (): void => {
    if (ended.aborted || closing) return;
    const now = clock.wall();
    if (now - healthAt >= MINUTE_MS) {
      healthAt = now;
      health(twin, now);
      // A process takes real time to start, which a fast clock makes minutes of; until then the one before it lives.
      if (started() === 0) beat(twin, stack, now);
    }
    twin.advance(now);
    clock.schedule(LOOK_EVERY_MS, look);
  };
  look();

  const onLine = (text: string, own: Line[]): void => {
    twin.receive(text, clock.wall());
    const line = parseObject(text);
    if (line === undefined) strayLines.push(text);
    else if (!("_aws" in line) && lines.length < MOST_EVENTS) {
      lines.push(line);
      own.push(line);
    }
  };

  const start = async (): Promise<void> => {
    const before = started();
    const own: Line[] = [];
    const launched = launch({
      clock,
      environment: { ...environment, ...tables?.environment },
      stopTimeoutMs: container.stopTimeoutSeconds * 1_000,
      onLine: (text) => onLine(text, own),
    });
    const next = { ...launched, lines: own };
    bots.push(next);
    living.add(next);
    died = undefined;
    void next.ended.then((how) => {
      if (living.has(next)) died = how;
    });
    const limit = performance.now() + START_REAL_MS;
    while (started() === before) {
      if (died !== undefined) throw new Overdue(`${lastWords(lines)}: the bot ended with ${died} as it started`);
      if (performance.now() > limit) throw new Overdue(`the bot did not log bot.started within ${START_REAL_MS} ms`);
      await clock.sleep(LOOK_EVERY_MS, ended);
    }
  };

  const running = (): RehearsedBot => {
    const last = bots.at(-1);
    if (last === undefined) throw new Error("the bot has not been started in this world");
    return last;
  };

  const retire = async (old: BotProcess): Promise<void> => {
    living.delete(old);
    const how = await old.stop();
    if (how !== 0) retired = how;
  };

  return {
    ...traffic,
    clock,
    discord,
    crowd: createCrowd(discord, CROWD_SEED),
    upstream,
    tables,
    twin,
    changed,
    echo,
    address,
    directory,
    lines,
    strayLines,
    bots,
    bot: running,
    start,
    retire,
    async kill(old) {
      living.delete(old);
      old.signal("SIGKILL");
      await old.ended;
    },
    async replaceBot() {
      await retire(running());
      await start();
    },
    async until(what, condition, limitMs) {
      const limit = clock.now() + limitMs;
      while (!condition()) {
        if (died !== undefined) throw new Overdue(`${lastWords(lines)}: the bot ended with ${died} before ${what}`);
        if (clock.now() > limit) throw new Overdue(`${Math.round(limitMs / 1_000)} s passed before ${what}`);
        await clock.sleep(LOOK_EVERY_MS, ended);
      }
    },
    pass: (milliseconds) => clock.sleep(milliseconds, ended),
    repeat(everyMs, act) {
      const again = (): void => {
        endRepeat = clock.schedule(everyMs, again);
        act();
      };
      again();
    },
    endRepeat: () => endRepeat(),
    openTraffic: traffic.open,
    async close() {
      closing = true;
      const left = [...living];
      living.clear();
      const hows = await Promise.all(left.map((one) => one.stop()));
      endRepeat();
      over.abort(new Error("the drill is over"));
      await discord.stop();
      echo.stop();
      await upstream?.stop();
      tables?.close();
      removeDirectory();
      removed();
      const complaints = bots.map((one) => one.complaints().trim()).filter((text) => text !== "");
      const failed = [retired, ...hows].find((how) => how !== 0);
      return { how: failed ?? 0, complaints: complaints.join("\n") };
    },
  };
}

/** The last that a bot said at error or above. */
function lastWords(lines: readonly Line[]): string {
  const last = lines.findLast(({ level }) => level === "error" || level === "fatal");
  return last === undefined ? "it logged no error" : JSON.stringify(last);
}

function parseObject(text: string): Line | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}
