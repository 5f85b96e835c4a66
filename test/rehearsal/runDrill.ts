// Carries one drill out in a world of its own and judges it: the right page, its end, and silence otherwise.

import { type Drill, LIMITS } from "./drills.ts";
import { Overdue, openWorld, type World, type WorldOptions } from "./world.ts";

/** What came of a drill; it passed when `problems` is empty. */
export interface Outcome {
  readonly drill: Drill;
  readonly rate: number;
  /** ms of the clock from the fault to the page. */
  readonly firedAfterMs?: number;
  /** ms of the clock from the end of the fault to OK. */
  readonly clearedAfterMs?: number;
  readonly falsePages: number;
  readonly problems: readonly string[];
}

/** Tells a watcher how far a drill has come. */
export type Say = (step: string) => void;

/** @param nameOf an alarm's name in CloudWatch for a rule's name. */
export async function runDrill(
  drill: Drill,
  options: WorldOptions,
  nameOf: (rule: string) => string,
  say: Say,
  onOpen: (changed: World["changed"]) => void = () => {},
): Promise<Outcome> {
  const world = await openWorld(options);
  onOpen(world.changed);
  const alarm = drill.alarm === undefined ? undefined : nameOf(drill.alarm);
  const problems: string[] = [];
  let times: Times = {};
  let how: number | NodeJS.Signals | undefined;
  try {
    times = await carryOut(drill, world, options, alarm, say);
    problems.push(...drill.verify(world));
  } catch (error) {
    if (!(error instanceof Overdue)) throw error;
    problems.push(inWords(error, world, alarm));
  } finally {
    how = await world.close();
  }
  const falsePages = world.twin.notifications.filter(({ alarm: name, state }) => state === "ALARM" && name !== alarm);
  problems.push(
    ...falsePages.map(({ alarm: name }) => `${name} fired, which this fault must not cause`),
    ...world.discord.violations.map(({ rule, detail }) => `a rule of Discord's was broken: ${rule}: ${detail}`),
    ...world.strayLines.map((line) => `stdout carried a line that is no JSON object: ${line}`),
  );
  if (how !== 0) problems.push(`the bot ended with ${how}, not 0`);
  const complaints = world.bot().complaints().trim();
  if (complaints !== "") problems.push(`the bot wrote to stderr: ${complaints}`);
  return { drill, rate: options.rate, ...times, falsePages: falsePages.length, problems };
}

type Times = Pick<Outcome, "firedAfterMs" | "clearedAfterMs">;

async function carryOut(
  drill: Drill,
  world: World,
  { clock }: WorldOptions,
  alarm: string | undefined,
  say: Say,
): Promise<Times> {
  const logged = (event: string): boolean => world.lines.some((line) => line["event"] === event);
  const isReady = (): boolean => logged("bot.ready");

  drill.before?.(world);
  world.start();
  let faultAt = clock.now();
  if (drill.before === undefined) {
    await world.until("every shard was ready", isReady, LIMITS.readyMs);
    world.openTraffic();
    say("ready, users ask");
    await world.pass(drill.quietMs);
    drill.inflict?.(world);
    faultAt = clock.now();
  }
  if (alarm === undefined) return {};

  say(`fault: ${drill.fault}`);
  const paged = (): boolean =>
    world.twin.notifications.some((sent) => sent.alarm === alarm && sent.state === "ALARM" && sent.delivered);
  await world.until(`${alarm} paged`, paged, LIMITS.firesMs);
  const firedAfterMs = clock.now() - faultAt;
  say(`${alarm} paged after ${spoken(firedAfterMs)}`);

  if (drill.lift !== undefined) drill.lift(world);
  else await world.until("the bot logged edge.cleared", () => logged("edge.cleared"), LIMITS.firesMs);
  const liftedAt = clock.now();
  if (drill.before !== undefined) {
    await world.until("every shard was ready, without a restart", isReady, LIMITS.readyMs);
    world.openTraffic();
  }
  const isOk = (): boolean => world.twin.alarms().some(({ name, state }) => name === alarm && state === "OK");
  await world.until(`${alarm} was OK again`, isOk, LIMITS.clearsMs);
  const clearedAfterMs = clock.now() - liftedAt;
  say(`${alarm} cleared after ${spoken(clearedAfterMs)}`);
  await world.pass(LIMITS.afterwardsMs);
  return { firedAfterMs, clearedAfterMs };
}

/** What was waited for in vain, with the cause where the alarms know it. */
function inWords(overdue: Overdue, world: World, alarm: string | undefined): string {
  const isAlarm = alarm !== undefined && overdue.message.startsWith(alarm);
  return `waited in vain until ${overdue.message}${isAlarm ? `; ${world.twin.explain(alarm)}` : ""}`;
}

/** Milliseconds as a person says them. */
export function spoken(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}
