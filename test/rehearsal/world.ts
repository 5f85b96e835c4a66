// One rehearsed deployment: a simulated Discord, the bot as its own process, and the declared alarms, on one clock.

import type { Clock } from "../../bot/clock.ts";
import { METRIC_DIMENSION, METRIC_NAMESPACE } from "../../shared/metrics.ts";
import { createTwin, type Twin } from "../cloudwatch/twin.ts";
import { type SimulatedDiscord, startSimulatedDiscord } from "../discord/index.ts";
import type { DeclaredProgram } from "../infra/program.ts";
import { type BotProcess, startBot } from "./botProcess.ts";
import { type ChangedVariable, declaredContainer, rehearsedEnvironment } from "./container.ts";

export interface WorldOptions {
  readonly program: DeclaredProgram;
  readonly clock: Clock;
  readonly rate: number;
  /** Wall time at which the clock's fast time began; the bot is told, so that both agree on the time. */
  readonly originMs: number;
  /** Ends the world early. */
  readonly signal: AbortSignal;
}

// How often the alarms are looked at and time limits are checked, ms of the clock.
const LOOK_EVERY_MS = 1_000;
// How long ago the rehearsed stack was deployed: its alarms are past their warm-up, and its bot was healthy until now.
const DEPLOYED_AGO_MS = 30 * 60_000;
const MINUTE_MS = 60_000;
// Two servers with three channels each, and one question a channel every 30 s: enough that a REST fault is noticed within
// seconds, far below any limit.
const SERVERS = 2;
const CHANNELS = 3;
const QUESTION_EVERY_MS = 30_000 / (SERVERS * CHANNELS);
const MOST_EVENTS = 20_000;

/** A time limit of the rehearsal was passed; the message says what was waited for. */
export class Overdue extends Error {
  readonly kind = "overdue";
}

type Line = Readonly<Record<string, unknown>>;

export interface World {
  readonly discord: SimulatedDiscord;
  readonly twin: Twin;
  /** The variables that differ from what is declared. */
  readonly changed: readonly ChangedVariable[];
  /** The bot's log lines, oldest first; metric lines left out, the first 20,000. */
  readonly lines: readonly Line[];
  /** Whatever stdout carried that is no JSON object; the bot promises there is none. */
  readonly strayLines: readonly string[];
  bot(): BotProcess;
  start(): void;
  /** Resolves when `condition` holds; rejects with Overdue after `limitMs` of the clock. */
  until(what: string, condition: () => boolean, limitMs: number): Promise<void>;
  pass(milliseconds: number): Promise<void>;
  /** Users begin to ask the bot questions, evenly. */
  openTraffic(): void;
  /** Ends the bot as ECS would, and everything else; resolves to how the bot ended. */
  close(): Promise<number | NodeJS.Signals | undefined>;
}

/** Opens a world in which Discord and the alarms run and the bot has not been started yet. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { program, clock, signal } = options;
  const container = declaredContainer(program);
  const token = container.secrets["DISCORD_TOKEN"];
  if (token === undefined) throw new Error("the container gets no DISCORD_TOKEN; the bot could not log in");
  const discord = await startSimulatedDiscord({ clock, token, guilds: SERVERS, channelsPerGuild: CHANNELS });
  const { environment, changed } = rehearsedEnvironment(container, {
    DISCORD_API_URL: discord.apiUrl,
    DISCORD_GATEWAY_URL: discord.gatewayUrl,
    STATUS_PORT: "0",
    CLOCK_RATE: String(options.rate),
    CLOCK_ORIGIN_MS: String(options.originMs),
  });
  const twin = createTwin({ ...program, createdAt: clock.wall() - DEPLOYED_AGO_MS });
  const health = healthOf(program);
  for (let at = clock.wall() - DEPLOYED_AGO_MS; at < clock.wall(); at += MINUTE_MS) {
    twin.putMetric(METRIC_NAMESPACE, "Heartbeat", { [METRIC_DIMENSION]: environment["STACK"] ?? "" }, 1, at);
    health(twin, at);
    twin.advance(at);
  }

  const lines: Line[] = [];
  const strayLines: string[] = [];
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  let bot: BotProcess | undefined;
  let asked = 0;
  let healthAt = clock.wall();

  const look = (): void => {
    if (ended.aborted) return;
    const now = clock.wall();
    if (now - healthAt >= MINUTE_MS) {
      healthAt = now;
      health(twin, now);
    }
    twin.advance(now);
    clock.schedule(LOOK_EVERY_MS, look);
  };
  look();

  const onLine = (text: string): void => {
    twin.receive(text, clock.wall());
    const line = parseObject(text);
    if (line === undefined) strayLines.push(text);
    else if (!("_aws" in line) && lines.length < MOST_EVENTS) lines.push(line);
  };

  const places = [...discord.world.guilds.values()].flatMap(({ id, channels }) =>
    channels.map((channel) => ({ guildId: id, channelId: channel.id, authorId: discord.world.addMember(id).id })),
  );
  const ask = (): void => {
    const place = places[asked++ % places.length];
    if (ended.aborted || place === undefined) return;
    discord.sendMessage({ ...place, content: `question ${asked}`, mentionsBot: true });
    clock.schedule(QUESTION_EVERY_MS, ask);
  };

  return {
    discord,
    twin,
    changed,
    lines,
    strayLines,
    bot() {
      if (bot === undefined) throw new Error("the bot has not been started in this world");
      return bot;
    },
    start() {
      bot = startBot({ clock, environment, stopTimeoutMs: container.stopTimeoutSeconds * 1_000, onLine });
    },
    async until(what, condition, limitMs) {
      const limit = clock.now() + limitMs;
      while (!condition()) {
        if (clock.now() > limit) throw new Overdue(what);
        await clock.sleep(LOOK_EVERY_MS, ended);
      }
    },
    pass: (milliseconds) => clock.sleep(milliseconds, ended),
    openTraffic: ask,
    async close() {
      const how = await bot?.stop();
      over.abort(new Error("the drill is over"));
      await discord.stop();
      return how;
    },
  };
}

/** What AWS itself would publish about a healthy stack, for the alarms that take its silence for a fault. */
function healthOf(program: DeclaredProgram): (twin: Twin, at: number) => void {
  const sources = program.resources.flatMap(({ type, inputs }) => {
    const { namespace, metricName, dimensions, treatMissingData } = inputs;
    if (type !== "aws:cloudwatch/metricAlarm:MetricAlarm" || treatMissingData !== "breaching") return [];
    if (typeof namespace !== "string" || !namespace.startsWith("AWS/") || typeof metricName !== "string") return [];
    return [{ namespace, metricName, dimensions: textsOf(dimensions) }];
  });
  return (twin, at) => {
    for (const { namespace, metricName, dimensions } of sources)
      twin.putMetric(namespace, metricName, dimensions, 0, at);
  };
}

const textsOf = (value: unknown): Record<string, string> =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, text]) => [name, String(text)]))
    : {};

function parseObject(text: string): Line | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined;
  } catch {
    return undefined;
  }
}
