// Carries one drill out in a world of its own and judges it: the right alarm, its cause, its end, and silence otherwise.

import { type Drill, LIMITS, unnamed } from "./drill.ts";
import { Overdue, openWorld, type World, type WorldOptions } from "./world.ts";

/** What came of a drill; it passed when `problems` is empty. */
export interface Outcome {
  readonly drill: Drill;
  readonly rate: number;
  /** The topic that the alarm reached: page or notify. */
  readonly reached?: string;
  /** ms of the clock from the fault to the alarm. */
  readonly firedAfterMs?: number;
  /** ms of the clock from the end of the fault to OK. */
  readonly clearedAfterMs?: number;
  readonly falsePages: number;
  /** The cause first, then what followed from it. */
  readonly problems: readonly string[];
}

/** Tells a watcher how far a drill has come. */
export type Say = (step: string) => void;

export interface DrillOptions extends WorldOptions {
  /** An alarm's name in CloudWatch for a rule's name. */
  readonly nameOf: (rule: string) => string;
  readonly say: Say;
  readonly onOpen?: (changed: World["changed"]) => void;
  /** The bot is up: what takes a machine's whole power is over. */
  readonly onStarted?: (world: World) => void;
  /** What else is looked at while the bot runs, before it is stopped. */
  readonly inspect?: (world: World) => Promise<readonly string[]>;
}

export async function runDrill(drill: Drill, options: DrillOptions): Promise<Outcome> {
  const world = await openWorld(drill, options);
  options.onOpen?.(world.changed);
  const expected = [drill.alarm, ...(drill.also ?? [])].flatMap((rule) => (rule ? [options.nameOf(rule)] : []));
  const problems: string[] = [];
  let times: Times = {};
  try {
    times = await carryOut(drill, world, options);
    problems.push(...(drill.verify?.(world) ?? []), ...((await options.inspect?.(world)) ?? []));
    if (drill.tell !== undefined) options.say(drill.tell(world));
  } catch (error) {
    if (error instanceof Overdue) problems.push(error.message);
    else problems.push(`the rehearsal itself failed: ${error instanceof Error ? error.stack : String(error)}`);
  }
  const { how, complaints } = await world.close();
  const sent = world.twin.notifications.filter(({ state }) => state === "ALARM");
  const falsePages = sent.filter(({ alarm }) => !expected.includes(alarm));
  problems.push(
    ...unnamed(drill, world.lines),
    ...silent(drill, world, options),
    ...falsePages.map(({ alarm, at }) => `${reasons(world, at)}: ${alarm} fired, which this fault must not cause`),
    ...world.discord.violations
      .slice(0, 5)
      .map(({ rule, detail }) => `a rule of Discord's was broken: ${rule}: ${detail}`),
    ...world.strayLines.slice(0, 5).map((line) => `stdout carried a line that is no JSON object: ${line}`),
  );
  if (how !== 0) problems.push(`the bot ended with ${how}, not 0`);
  if (complaints !== "") problems.push(`the bot wrote to stderr: ${complaints}`);
  return { drill, rate: options.rate, ...times, falsePages: falsePages.length, problems };
}

type Times = Pick<Outcome, "firedAfterMs" | "clearedAfterMs" | "reached">;

async function carryOut(drill: Drill, world: World, options: DrillOptions): Promise<Times> {
  const { clock, say } = options;
  const count = (event: string): number => world.lines.filter((line) => line["event"] === event).length;

  drill.before?.(world);
  await world.start();
  options.onStarted?.(world);
  let faultAt = clock.now();
  if (drill.before === undefined) {
    await world.until("every shard was ready", () => count("bot.ready") > 0, LIMITS.readyMs);
    world.openTraffic();
    say(`ready (process ${world.bot().pid}), users ask`);
    await world.pass(drill.quietMs);
    if (drill.inflict !== undefined || drill.alarm !== undefined) say(`fault: ${drill.fault}`);
    await drill.inflict?.(world);
    faultAt = clock.now();
  } else say(`fault: ${drill.fault} (process ${world.bot().pid})`);

  if (drill.alarm === undefined) {
    if (drill.lastsMs === undefined) return {};
    await world.pass(drill.lastsMs);
    await drill.lift?.(world);
    await world.pass(LIMITS.afterwardsMs);
    return {};
  }
  const { firedAfterMs, reached } = await fire(drill, drill.alarm, world, options, faultAt);

  const starts = count("bot.started");
  const readies = count("bot.ready");
  if (drill.lift !== undefined) await drill.lift(world);
  else
    await world.until("the bot logged edge.cleared", () => count("edge.cleared") > 0, drill.firesMs ?? LIMITS.firesMs);
  const liftedAt = clock.now();
  if (drill.before !== undefined || count("bot.started") > starts) {
    const isReady = (): boolean => count("bot.ready") > (count("bot.started") > starts ? readies : 0);
    await world.until("every shard was ready", isReady, LIMITS.readyMs);
    world.openTraffic();
  }
  for (const rule of [drill.alarm, ...(drill.also ?? [])]) {
    const name = options.nameOf(rule);
    const isOk = (): boolean => world.twin.alarms().some((alarm) => alarm.name === name && alarm.state === "OK");
    await untilOrWhy(world, name, "was OK again", isOk, drill.clearsMs ?? LIMITS.clearsMs);
  }
  const clearedAfterMs = clock.now() - liftedAt;
  say(`${drill.alarm} was OK again after ${spoken(clearedAfterMs)}`);
  await world.pass(LIMITS.afterwardsMs);
  return { firedAfterMs, clearedAfterMs, reached };
}

async function fire(
  drill: Drill,
  rule: string,
  world: World,
  { clock, nameOf, say }: DrillOptions,
  faultAt: number,
): Promise<{ firedAfterMs: number; reached: string }> {
  const alarm = nameOf(rule);
  const delivered = () =>
    world.twin.notifications.find((sent) => sent.alarm === alarm && sent.state === "ALARM" && sent.delivered);
  await untilOrWhy(world, alarm, "reached anybody", () => delivered() !== undefined, drill.firesMs ?? LIMITS.firesMs);
  const reached = delivered()?.topicArn.split("-").at(-1) ?? "";
  const firedAfterMs = clock.now() - faultAt;
  say(`${rule} reached the ${reached} topic after ${spoken(firedAfterMs)}`);
  return { firedAfterMs, reached };
}

/** Waits for an alarm; in vain, says why first. */
async function untilOrWhy(
  world: World,
  alarm: string,
  what: string,
  condition: () => boolean,
  limitMs: number,
): Promise<void> {
  try {
    await world.until(`${alarm} ${what}`, condition, limitMs);
  } catch (error) {
    if (!(error instanceof Overdue)) throw error;
    throw new Overdue(`${world.twin.explain(alarm)}: ${error.message}`);
  }
}

/** Why whatever is in ALARM at a time is; a composite's reason is that of its parts. */
function reasons({ twin }: World, at: number): string {
  const latest = new Map(twin.transitions.filter((one) => one.at <= at).map((one) => [one.alarm, one]));
  const alarming = [...latest.values()].filter(({ to, reason }) => to === "ALARM" && !reason.includes("ALARM("));
  return alarming.map(({ alarm, reason }) => `${alarm}: ${reason}`).join("; ");
}

/** The further rules that should have fired and did not. */
function silent(drill: Drill, { twin }: World, { nameOf }: DrillOptions): string[] {
  const also = (drill.also ?? []).map(nameOf);
  const unsent = also.filter(
    (name) => !twin.notifications.some(({ alarm, state }) => alarm === name && state === "ALARM"),
  );
  const through = (drill.through ?? []).map(nameOf);
  const unmoved = through.filter((name) => !twin.transitions.some(({ alarm, to }) => alarm === name && to === "ALARM"));
  return [...unsent, ...unmoved].map((name) => `${twin.explain(name)}: ${name} did not fire`);
}

/** Milliseconds as a person says them. */
export function spoken(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}
