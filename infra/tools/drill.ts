// A drill of the live alarms: each is set off by hand until a person says that the message came, then left to its own
// evaluation. Time, AWS and the person come in as ports, so that every outcome can be tested.

import { type AlarmRule, type CompositeRule, raisingParts } from "../alarms/rule.ts";
import type { Severity } from "../paging.ts";

/** CloudWatch evaluates an alarm anew within seconds and takes the state back: it is set again until the page came. */
export const SET_EVERY_MS = 10_000;
/** How long a person may take to confirm, and an alarm to evaluate itself. */
export const LIMIT_MS = 15 * 60_000;

/** Alarms on a defect of the bot's own that no answer of Discord's provokes. */
const UNPROVOKED: ReadonlySet<string> = new Set(["RetryAfterViolations"]);

export interface DrillTarget {
  /** The alarm whose state is set. */
  readonly alarm: string;
  /** The alarm that sends the message: the same one, or the composite that it raises. */
  readonly sender: string;
  readonly severity: Severity;
  /** Whether `npm start` sets it off by a real fault, since the bot's own lines make its metric. */
  readonly rehearsed: boolean;
}

/** Every way from an alarm to a person, in the rules' order; what only holds others back has none. */
export function drillTargets(
  name: string,
  rules: readonly AlarmRule<unknown>[],
  composites: readonly CompositeRule[],
): readonly DrillTarget[] {
  return rules.flatMap((rule): DrillTarget[] => {
    const alarm = `${name}-${rule.name}`;
    const { namespace } = rule.source;
    // AWS's own metrics and ECS events come from no line of the bot; those on how lines are read do.
    const rehearsed = (!namespace.startsWith("AWS/") || namespace === "AWS/Logs") && !UNPROVOKED.has(rule.name);
    if (rule.reaction !== "part") return [{ alarm, sender: alarm, severity: rule.reaction, rehearsed }];
    return composites
      .filter(({ expression }) => raisingParts(expression).includes(rule.name))
      .map(({ name: composite, reaction }) => ({
        alarm,
        sender: `${name}-${composite}`,
        severity: reaction,
        rehearsed,
      }));
  });
}

/** The targets as a table for a person. */
export function targetTable(targets: readonly DrillTarget[]): readonly string[] {
  const rows = targets.map(({ alarm, sender, severity, rehearsed }) => [
    alarm,
    severity,
    sender === alarm ? "itself" : sender,
    rehearsed ? "npm start, and here" : "only here: no fault of a rehearsal sets it off",
  ]);
  const all = [["alarm", "reaches", "through", "proven by"], ...rows];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** An alarm as CloudWatch has it. */
export interface LiveAlarm {
  readonly name: string;
  readonly state: string;
  readonly reason: string;
  readonly actionsEnabled: boolean;
  readonly topics: readonly string[];
}

export interface DrillPorts {
  /** Milliseconds since 1970. */
  wall(): number;
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** The named alarms that exist. */
  alarms(names: readonly string[]): Promise<readonly LiveAlarm[]>;
  setState(name: string, state: "ALARM" | "OK", reason: string): Promise<void>;
  /** Asks the person whether the message came; rejects when `signal` aborts. */
  confirm(target: DrillTarget, signal: AbortSignal): Promise<"came" | "missing" | "skip">;
}

export interface DrillRecord extends DrillTarget {
  /** ISO 8601. */
  readonly startedAt: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** From the first setting to the person's word. */
  readonly confirmedAfterMs?: number;
  /** From the person's word to the alarm's own evaluation. */
  readonly evaluatedAfterMs?: number;
  /** Why it did not pass, and what to do. */
  readonly problem?: string;
}

/** Drills one target; resolves with what came of it, rejects only with an error of AWS's. */
export async function drill(target: DrillTarget, ports: DrillPorts): Promise<DrillRecord> {
  const began = ports.wall();
  const record = (outcome: DrillRecord["outcome"], more: Partial<DrillRecord>): DrillRecord => ({
    ...target,
    startedAt: new Date(began).toISOString(),
    outcome,
    ...more,
  });
  const names = [...new Set([target.alarm, target.sender])];
  const before = await ports.alarms(names);
  const gone = names.filter((name) => !before.some((alarm) => alarm.name === name));
  if (gone.length > 0)
    return record("failed", { problem: `${gone.join(", ")} does not exist; npx pulumi up makes it` });
  const firing = before.find(({ state }) => state === "ALARM");
  if (firing !== undefined) {
    return record("skipped", { problem: `${firing.name} is in ALARM by itself; mend the fault, then drill it` });
  }
  const silent = before.find(
    ({ name, actionsEnabled, topics }) => name === target.sender && !(actionsEnabled && topics.length > 0),
  );
  if (silent !== undefined) {
    return record("failed", {
      problem: `${silent.name} has no action that is switched on; npx pulumi up --refresh mends it`,
    });
  }

  const reason = `Drill of ${new Date(began).toISOString()}: no fault, please confirm the message to whoever drills.`;
  const answer = await setUntilAnswered(target, reason, ports);
  const answeredAt = ports.wall();
  const confirmedAfterMs = answeredAt - began;
  const problem = await awaitEvaluation(names, reason, ports);
  const evaluatedAfterMs = ports.wall() - answeredAt;
  if (answer === "skip") return record("skipped", { evaluatedAfterMs, problem: "skipped by hand" });
  if (answer !== "came") {
    const why =
      answer === "missing"
        ? "the message did not come"
        : `nobody confirmed the message within ${LIMIT_MS / 60_000} minutes`;
    return record("failed", {
      evaluatedAfterMs,
      problem: `${why}; look at the alarm's history (action), the topic's subscriptions and its key`,
    });
  }
  return problem === undefined
    ? record("passed", { confirmedAfterMs, evaluatedAfterMs })
    : record("failed", { confirmedAfterMs, evaluatedAfterMs, problem });
}

/** Sets the alarm off every ten seconds until the person answers or the limit is over. */
async function setUntilAnswered(
  target: DrillTarget,
  reason: string,
  ports: DrillPorts,
): Promise<"came" | "missing" | "skip" | "late"> {
  const over = new AbortController();
  const until = ports.wall() + LIMIT_MS;
  let answer: "came" | "missing" | "skip" | undefined;
  const answered = ports.confirm(target, over.signal).then(
    (given) => {
      answer = given;
    },
    (error: unknown) => {
      if (!over.signal.aborted) throw error;
    },
  );
  try {
    while (answer === undefined && ports.wall() < until) {
      await ports.setState(target.alarm, "ALARM", reason);
      await Promise.race([answered, ports.sleep(SET_EVERY_MS, over.signal)]);
    }
  } finally {
    over.abort(new Error("the drill of this alarm is over"));
  }
  return answer ?? "late";
}

/** Waits until no alarm is as the drill left it; a problem when one is in ALARM by itself, or never evaluated itself. */
async function awaitEvaluation(
  names: readonly string[],
  reason: string,
  ports: DrillPorts,
): Promise<string | undefined> {
  const until = ports.wall() + LIMIT_MS;
  for (;;) {
    const firing = (await ports.alarms(names)).filter(({ state }) => state === "ALARM");
    if (firing.length === 0) return undefined;
    const byItself = firing.find((alarm) => alarm.name === names[0] && alarm.reason !== reason);
    if (byItself !== undefined) return `${byItself.name} is now in ALARM by itself: ${byItself.reason}`;
    if (ports.wall() >= until) {
      for (const { name } of firing) await ports.setState(name, "OK", `${reason} Put back by hand.`);
      const stuck = firing.map(({ name }) => name).join(", ");
      return `${stuck} did not evaluate itself within ${LIMIT_MS / 60_000} minutes and was put back; does its metric come?`;
    }
    await ports.sleep(SET_EVERY_MS);
  }
}
