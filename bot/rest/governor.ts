// The limits above all buckets: the bot's global requests per second, and the budget of invalid requests per address.

import { STRAGGLING_MS } from "./bucket.ts";

// Discord counts the global limit over one second (topics/rate-limits#global-rate-limit).
const WINDOW_MS = 1000;
// After a global 429 that our own count does not explain, somebody else spends from the same limit: give way by 10 %,
// and take back 1 % of the full limit in each quiet 10 s, so that ten bad seconds are forgotten after two minutes.
const GIVE_WAY = 0.9;
const RECOVERY_MS = 10_000;
const RECOVERY_SHARE = 0.01;

/**
 * The global limit as slots: a request holds one from sending until a second after its answer. Discord counted it at
 * some moment in between, so no second of Discord's can see more than `limit` of them, however slow a connection was.
 */
export class GlobalLimit {
  #full: number;
  #limit: number;
  #inFlight = 0;
  #blockedUntil = 0;
  #recoverAt = 0;
  /** Times at which slots come free, ascending, from `#first` on. */
  #freeing: number[] = [];
  #first = 0;

  /** @param perSecond the bot's global limit, 50 unless Discord granted more. */
  constructor(perSecond: number) {
    this.#full = perSecond;
    this.#limit = perSecond;
  }

  /** Requests a second that it allows now. */
  get limit(): number {
    return Math.max(1, Math.floor(this.#limit));
  }

  /** Another part of the bot's limit is this process's from now on; what it has given way of it stays given. */
  share(perSecond: number): void {
    this.#limit = perSecond * (this.#limit / this.#full);
    this.#full = perSecond;
  }

  /** When the next request may go: a time (past ones mean now), or only after an answer to one in flight. */
  readyAt(now: number): number | "answer" {
    this.#expire(now);
    if (this.#blockedUntil > now) return this.#blockedUntil;
    const held = this.#freeing.length - this.#first;
    const excess = this.#inFlight + held - this.limit;
    if (excess < 0) return now;
    return excess < held ? (this.#freeing[this.#first + excess] ?? "answer") : "answer";
  }

  /** Takes a slot. */
  sent(): void {
    this.#inFlight += 1;
  }

  /** The request's answer is in. */
  settled(now: number): void {
    this.#inFlight -= 1;
    this.#free(now + WINDOW_MS);
  }

  /** The request was given up, or lost: it may still arrive a moment later. */
  lost(now: number): void {
    this.#inFlight -= 1;
    this.#free(now + STRAGGLING_MS + WINDOW_MS);
  }

  #free(at: number): void {
    let place = this.#freeing.length;
    while (place > this.#first && (this.#freeing[place - 1] ?? 0) > at) place -= 1;
    if (place === this.#freeing.length) this.#freeing.push(at);
    else this.#freeing.splice(place, 0, at);
  }

  /** A global 429: nothing before `until`. Several answers from one overrun lower the limit once. */
  blocked(now: number, until: number): void {
    if (this.#blockedUntil <= now) {
      this.#limit = Math.max(this.#limit * GIVE_WAY, 1);
      this.#recoverAt = until + RECOVERY_MS;
    }
    this.#blockedUntil = Math.max(this.#blockedUntil, until);
  }

  #expire(now: number): void {
    while (this.#first < this.#freeing.length && (this.#freeing[this.#first] ?? 0) <= now) this.#first += 1;
    if (this.#first > 1024 && this.#first * 2 > this.#freeing.length) {
      this.#freeing = this.#freeing.slice(this.#first);
      this.#first = 0;
    }
    if (this.#limit < this.#full && now >= this.#recoverAt) {
      const quiet = 1 + Math.floor((now - this.#recoverAt) / RECOVERY_MS);
      this.#limit = Math.min(this.#full, this.#limit + this.#full * RECOVERY_SHARE * quiet);
      this.#recoverAt += quiet * RECOVERY_MS;
    }
  }
}

/** How close the address is to a ban: each level adds a reaction to the one before. */
export type InvalidLevel = "ok" | "warn" | "shed" | "page" | "stop";

/** 10,000 answers of 401, 403 or 429 (not shared) in 10 min ban the address (topics/rate-limits#invalid-request-limit). */
export const INVALID_LIMIT = 10_000;
const INVALID_WINDOW_MS = 600_000;
const CELL_MS = 1000;
const DEMAND_CELLS = 5;

// Shares of the limit. Others may leave by the same address uncounted, and a ban costs an hour to a day: stop at half.
const LEVELS: readonly (readonly [InvalidLevel, number])[] = [
  ["stop", 0.5],
  ["page", 0.4],
  ["shed", 0.25],
  ["warn", 0.1],
];

/** Invalid answers in the last 10 min, counted in cells of a second; a cell counts until its last moment has passed. */
export class InvalidBudget {
  readonly #cells: { readonly start: number; count: number }[] = [];
  #count = 0;
  /** Of other processes with the same address. */
  elsewhere = 0;

  /** Counts one invalid answer. */
  add(now: number): void {
    const start = Math.floor(now / CELL_MS) * CELL_MS;
    const last = this.#cells.at(-1);
    if (last?.start === start) last.count += 1;
    else this.#cells.push({ start, count: 1 });
    this.#count += 1;
  }

  /** Invalid answers from the address in the window that ends now. */
  count(now: number): number {
    return this.own(now) + this.elsewhere;
  }

  /** This process's own. */
  own(now: number): number {
    for (let first = this.#cells[0]; first !== undefined && expiry(first.start) <= now; first = this.#cells[0]) {
      this.#count -= first.count;
      this.#cells.shift();
    }
    return this.#count;
  }

  level(now: number): InvalidLevel {
    const count = this.count(now);
    if (count === 0) return "ok";
    return LEVELS.find(([, share]) => count >= share * INVALID_LIMIT)?.[0] ?? "ok";
  }

  /** Whether one more request could pass the stop, should every one of those `inFlight` be invalid too. */
  mayStop(now: number, inFlight: number): boolean {
    return this.count(now) + inFlight >= INVALID_LIMIT * 0.5;
  }

  /** When the count falls below the stop again: now, unless stopped. */
  stoppedUntil(now: number): number {
    let left = this.count(now) - INVALID_LIMIT * 0.5;
    for (const cell of this.#cells) {
      if (left < 0) break;
      left -= cell.count;
      if (left < 0) return expiry(cell.start);
    }
    // Of the others' it is only known that they are over in one window.
    return left < 0 ? now : now + INVALID_WINDOW_MS;
  }

  /** When the level may next fall, or undefined while nothing is counted. */
  nextChange(now: number): number | undefined {
    this.own(now);
    const first = this.#cells[0];
    return first === undefined ? undefined : expiry(first.start);
  }
}

/** Requests a second that would be sent if the limit allowed it. */
export class Demand {
  readonly #cells: number[] = [];
  #first = 0;

  /** A request under the limit is sent. */
  sent(now: number): void {
    const cell = this.#cellOf(now) - this.#first;
    this.#cells[cell] = (this.#cells[cell] ?? 0) + 1;
  }

  /**
   * Those of the last 5 s, and what waits for the limit alone. Who waits for answers in turn never has much waiting, and
   * asks for twice what it gets.
   * @param waiting requests that could go but for the limit
   */
  perSecond(now: number, waiting: number): number {
    this.#cellOf(now);
    const sent = this.#cells.reduce((sum, count) => sum + (count ?? 0), 0) / DEMAND_CELLS;
    return waiting === 0 ? sent : sent + Math.max(sent, waiting);
  }

  #cellOf(now: number): number {
    const cell = Math.floor(now / CELL_MS);
    const oldest = cell - DEMAND_CELLS + 1;
    if (oldest > this.#first) {
      this.#cells.splice(0, oldest - this.#first);
      this.#first = oldest;
    }
    return cell;
  }
}

function expiry(start: number): number {
  return start + CELL_MS + INVALID_WINDOW_MS;
}
