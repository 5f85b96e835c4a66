// Carries the budget of invalid requests out: shows it, says when it gets worse, refuses calls before the address is banned.

import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Call } from "./call.ts";
import { RestError } from "./errors.ts";
import { INVALID_LIMIT, InvalidBudget, type InvalidLevel } from "./governor.ts";

const SEVERITY: readonly InvalidLevel[] = ["ok", "warn", "shed", "page", "stop"];

export class InvalidWatch {
  readonly budget = new InvalidBudget();
  readonly #telemetry: Telemetry;
  #level: InvalidLevel = "ok";

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
    telemetry.level("InvalidRequests", 0);
  }

  /** Counts one invalid answer. */
  add(now: number): void {
    this.budget.add(now);
    this.refresh(now);
  }

  /** Shows the count as it is now, and says so when its level changed. */
  refresh(now: number): void {
    const count = this.budget.count(now);
    const level = this.budget.level(now);
    this.#telemetry.level("InvalidRequests", count);
    if (level === this.#level) return;
    const worse = SEVERITY.indexOf(level) > SEVERITY.indexOf(this.#level);
    this.#level = level;
    const loud = level === "page" || level === "stop" ? "error" : "warn";
    this.#telemetry.log(worse ? loud : "info", `invalid requests: ${count} in 10 min, ${effectOf(level)}`, {
      count,
      limit: INVALID_LIMIT,
      level,
    });
  }

  /** Whether any call is refused at this level. */
  refusing(now: number): boolean {
    const level = this.budget.level(now);
    return level !== "ok" && level !== "warn";
  }

  /** The error of a call that is refused at this level, or undefined. */
  refusal(call: Call, now: number, wallNow: number): RestError | undefined {
    const level = this.budget.level(now);
    const route = call.route.name;
    if (level === "stop") {
      const until = Math.ceil(wallNow + this.budget.stoppedUntil(now) - now);
      const problem = `stopped: ${this.budget.count(now)} requests were refused with 401, 403 or 429 in 10 min, and at ${INVALID_LIMIT} Discord bans the address; find what sends them`;
      return new RestError("invalidBudget", problem, { route, until });
    }
    if (call.priority === "background" && (level === "shed" || level === "page")) {
      return new RestError("shed", "background work waits while too many requests are refused by Discord", { route });
    }
    return undefined;
  }
}

function effectOf(level: InvalidLevel): string {
  switch (level) {
    case "ok":
      return "fine again";
    case "warn":
      return "Discord bans the address at 10,000";
    case "shed":
      return "background work is refused";
    case "page":
      return "close to being stopped";
    case "stop":
      return "everything is refused until it falls";
  }
}
