// A simulated Discord and bots that run against it as processes of their own; all they print is held to the outer face.

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as realMilliseconds } from "node:timers/promises";
import { expect, it } from "vitest";
import { type Clock, systemClock } from "../../bot/clock.ts";
import { EVENTS, type LogEvent } from "../../shared/events.ts";
import {
  type RuleName,
  type SimulatedDiscord,
  type SimulatedDiscordOptions,
  startSimulatedDiscord,
} from "../discord/index.ts";
import type { Asked, Told } from "./remote.ts";

export const ROOT = path.resolve(import.meta.dirname, "../..");
export const REMOTE = path.join(import.meta.dirname, "remote.ts");
/** What a process of Node's gets besides the bot's own variables. */
export const NODE_ENVIRONMENT = { PATH: process.env["PATH"], NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] };
/** In a token's shape: the application's id in base64, a time, a signature. Random words, never issued. */
export const TOKEN = `${Buffer.from("1100000000000000000").toString("base64url")}.Gface0.mooring-face-test-not-a-token-abcdefgh`;

// Fast enough for minutes to pass in seconds, slow enough for a busy machine to keep Discord's shortest windows.
const RATE = 12;
/** For what depends on a close frame: the bot gives a kept session's socket 400 ms, which at a high rate is a moment. */
export const UNHURRIED = { rate: 3 };
// A hang ends a test here, in real ms, below the test's own limit; no test waits for it.
const HANG_MS = 90_000;
const WORLD_ENDS_MS = 110_000;
const TEST_ENDS_MS = 120_000;

/** GUILDS and GUILD_MEMBERS, of which the second is privileged (events/gateway#privileged-intents). */
export const REMOTE_MEMBERS = (1 << 0) | (1 << 1);

export type Line = Readonly<Record<string, unknown>>;
export type Environment = Readonly<Record<string, string>>;

export interface FaceBot {
  readonly pid: number;
  /** Log lines and metric lines, as printed. */
  readonly lines: Line[];
  readonly told: Told[];
  stdout(): string;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** The first line of that event, past and to come; rejects when the bot ends without it. */
  event(name: string, fits?: (line: Line) => boolean): Promise<Line>;
  events(name: string): Line[];
  metrics(): Line[];
  /** Resolves when `condition` gives something; looks again after each line and each word of the module. */
  until<Value>(what: string, condition: () => Value | undefined | false): Promise<Value>;
  /** Calls a function of the module's bot. */
  call(path: string, ...given: readonly unknown[]): Promise<unknown>;
  get(route: string): Promise<{ readonly status: number; readonly body: Line }>;
  kill(signal: NodeJS.Signals): void;
  /** No one reads stdout any more. */
  closeStdout(): void;
}

export interface World {
  readonly clock: Clock;
  readonly discord: SimulatedDiscord;
  /** A directory of this world's own. */
  readonly home: string;
  /** Starts a bot on the remote module; what is given goes over the usual variables, undefined takes one away. */
  bot(environment?: Readonly<Record<string, string | undefined>>, cwd?: string): FaceBot;
}

export interface WorldOptions extends Partial<Omit<SimulatedDiscordOptions, "clock" | "token">> {
  /** Breaches that the test itself brings about. */
  readonly excused?: readonly RuleName[];
  /** How fast this world's time runs; slower where something must be seen before it passes. */
  readonly rate?: number;
}

// Ten seconds for a dial are less than one at a high rate: a machine that is busier than that looks like a dead resume
// host, and the bot is right to leave it.
const HURRIED: readonly RuleName[] = ["resume.generic-host"];

/** One promise of the outer face as a test: runs beside its neighbours, and holds every line and file to the rules. */
export function promise(title: string, options: WorldOptions, body: (world: World) => Promise<void>): void {
  it.concurrent(
    title,
    async () => {
      const { excused = [], rate = RATE, ...simulated } = options;
      const tolerated = rate > UNHURRIED.rate ? [...excused, ...HURRIED] : excused;
      const originMs = Date.now();
      const clock = systemClock(rate, originMs);
      const discord = await startSimulatedDiscord({
        clock,
        token: TOKEN,
        privilegedIntents: (1 << 1) | (1 << 15),
        // At this rate a busy machine's scheduling is what arrives late, not the bot.
        inFlightGraceMs: 10_000,
        // Nor is it the bot's fault when a process takes seconds to start.
        sessionLifetimeMs: 3_600_000,
        ...simulated,
      });
      const home = mkdtempSync(path.join(tmpdir(), "mooring-face-"));
      const bots: FaceBot[] = [];
      let over = false;
      const endAll = async (): Promise<void> => {
        over = true;
        for (const bot of bots) bot.kill("SIGKILL");
        await Promise.all(bots.map(({ ended }) => ended));
      };
      const { promise: hung, reject: hang } = Promise.withResolvers<never>();
      const late = setTimeout(() => hang(new Error("the world hung: what its bots printed follows")), WORLD_ENDS_MS);
      const usual = {
        ...NODE_ENVIRONMENT,
        DISCORD_TOKEN: TOKEN,
        DISCORD_API_URL: discord.apiUrl,
        DISCORD_GATEWAY_URL: discord.gatewayUrl,
        BOT_MODULE: REMOTE,
        STATUS_PORT: "0",
        CLOCK_RATE: String(rate),
        CLOCK_ORIGIN_MS: String(originMs),
      };
      try {
        const lived = body({
          clock,
          discord,
          home,
          bot(environment = {}, cwd = ROOT) {
            if (over) throw new Error("the world has ended");
            const started = startFaceBot({ ...usual, ...environment }, cwd);
            bots.push(started.bot);
            return started.bot;
          },
        });
        await Promise.race([lived, hung]);
        await endAll();
        for (const { stdout } of bots) checkOutput(stdout());
        checkFiles(home);
        expect(discord.violations.filter(({ rule }) => !tolerated.includes(rule))).toEqual([]);
      } catch (error) {
        const printed = bots.map((bot) => bot.stdout().slice(-6_000)).join("\n--\n");
        throw new Error(
          `${error instanceof Error ? error.message : error}\n${printed}\n${JSON.stringify(discord.counts)}`,
          {
            cause: error,
          },
        );
      } finally {
        clearTimeout(late);
        await endAll();
        await discord.stop();
        rmSync(home, { recursive: true, force: true });
      }
    },
    TEST_ENDS_MS,
  );
}

/** Someone writes into a shard's first channel. Returns the message's id. */
export function say(discord: SimulatedDiscord, content: string, shard = 0): string {
  const guild = [...discord.world.guilds.values()][shard];
  const channel = guild?.channels[0];
  if (guild === undefined || channel === undefined) throw new Error(`no server lies on shard ${shard}`);
  return discord.sendMessage({ guildId: guild.id, channelId: channel.id, authorId: guild.ownerId, content });
}

/** The message's handler has come that far. */
export async function handler(bot: FaceBot, kind: "handling" | "handled" | "aborted", id: string): Promise<void> {
  await bot.until(`${kind} ${id}`, () => bot.told.some((told) => told.kind === kind && told.id === id));
}

/** Looks again and again until it is so, for what nothing tells by itself. */
export async function soon(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const hung = AbortSignal.timeout(HANG_MS);
  while (!(await isSo())) {
    if (hung.aborted) throw new Error(`never came: ${what}`);
    await realMilliseconds(50);
  }
}

/** How clients closed, by code; a connection that just ended, as when a slow dial is given up, is left out. */
export function clientCloses({ counts }: SimulatedDiscord): Record<string, number> {
  const { 1006: _ended, ...sent } = counts.clientCloses;
  return sent;
}

/** How often the message was handled. */
export const timesHandled = (bots: readonly FaceBot[], id: string): number => handledBy(bots).get(id) ?? 0;

/** How often each message was handled, by id. */
export function handledBy(bots: readonly FaceBot[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const { told } of bots) {
    for (const one of told) if (one.kind === "handled") times.set(one.id, (times.get(one.id) ?? 0) + 1);
  }
  return times;
}

function startFaceBot(given: Readonly<Record<string, string | undefined>>, cwd: string): { readonly bot: FaceBot } {
  const env = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const child = spawn(process.execPath, [path.join(ROOT, "bot/main.ts")], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("the child has no pipes");
  let out = "";
  let errors = "";
  let rest = "";
  let ask = 0;
  let over = false;
  const lines: Line[] = [];
  const told: Told[] = [];
  const watchers = new Set<() => void>();
  const look = (): void => {
    for (const watcher of [...watchers]) watcher();
  };
  stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) lines.push(parsed(part));
    look();
  });
  stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.on("message", (message: Told) => {
    told.push(message);
    look();
  });
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on("close", (code, signal) => {
      over = true;
      resolve(code ?? signal ?? -1);
      look();
    });
  });

  const until = <Value>(what: string, condition: () => Value | undefined | false): Promise<Value> =>
    new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        watchers.delete(watcher);
        clearTimeout(timer);
        end();
      };
      const watcher = (): void => {
        const value = condition();
        if (value !== undefined && value !== false) settle(() => resolve(value));
        else if (over) settle(() => reject(new Error(`the bot ended before: ${what}`)));
      };
      const timer = setTimeout(() => settle(() => reject(new Error(`never came: ${what}`))), HANG_MS);
      watchers.add(watcher);
      watcher();
    });

  const event = (name: string, fits: (line: Line) => boolean = () => true): Promise<Line> =>
    until(`event ${name}`, () => lines.find((line) => line["event"] === name && fits(line)));

  const bot: FaceBot = {
    pid: child.pid ?? -1,
    lines,
    told,
    stdout: () => (errors === "" ? out : `${out}\nstderr: ${errors}`),
    ended,
    until,
    event,
    events: (name) => lines.filter((line) => line["event"] === name),
    metrics: () => lines.filter((line) => line["_aws"] !== undefined),
    async call(name, ...given) {
      const id = ++ask;
      const asked: Asked = { id, path: name, arguments: given };
      child.send(asked);
      const answer = await until(`answer of ${name}`, () => told.find((one) => one.kind === "answer" && one.id === id));
      if (answer.kind !== "answer") return undefined;
      if (answer.error !== undefined) throw Object.assign(new Error(answer.error.message), { kind: answer.error.kind });
      return answer.value;
    },
    async get(route) {
      const { statusPort } = await event("bot.started");
      const response = await fetch(`http://127.0.0.1:${statusPort}${route}`);
      return { status: response.status, body: (await response.json()) as Line };
    },
    kill: (signal) => void child.kill(signal),
    closeStdout: () => void stdout.destroy(),
  };
  return { bot };
}

function parsed(text: string): Line {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Line;
  } catch {
    // Told by the check of the whole output, with the text in it.
  }
  return {};
}

const KINDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  text: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  texts: (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
};

/** Every line is one JSON object, every event has its declared fields and no others, and nobody's token shows. */
export function checkOutput(out: string, token = TOKEN): void {
  expect(out).not.toContain(token);
  for (const encoding of ["base64", "base64url", "hex"] as const) {
    expect(out).not.toContain(Buffer.from(token).toString(encoding).replace(/=+$/, ""));
  }
  if (out === "") return;
  expect(out.endsWith("\n"), `the last line is whole, and stderr is empty: ${out.slice(-500)}`).toBe(true);
  for (const text of out.slice(0, -1).split("\n")) {
    const line = parsed(text);
    expect(Object.keys(line).length, `a JSON object: ${text}`).toBeGreaterThan(0);
    if (typeof line["event"] !== "string") continue;
    const declared: LogEvent | undefined = Object.entries(EVENTS).find(([name]) => name === line["event"])?.[1];
    if (declared === undefined) throw new Error(`an event that is not declared: ${text}`);
    const { fields, level } = declared;
    expect(Object.keys(line).sort(), text).toEqual(["level", "time", "event", ...Object.keys(fields)].sort());
    expect(line["level"], text).toBe(level);
    for (const [field, kind] of Object.entries(fields)) {
      const fits = KINDS[kind.replace("?", "")]?.(line[field]) || (kind.endsWith("?") && line[field] === null);
      expect(fits, `${field} is ${kind}: ${text}`).toBe(true);
    }
  }
}

function checkFiles(home: string): void {
  for (const entry of readdirSync(home, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const text = readFileSync(path.join(entry.parentPath, entry.name), "latin1");
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(Buffer.from(TOKEN).toString("base64url"));
  }
}
