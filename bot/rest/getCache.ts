// Answers to GETs that callers agreed to share for a while; an event, or a write of ours, ends that at once.

/** Beyond this the oldest goes. */
const MOST_KEPT = 1_000;
/** A longer answer is not kept: all of them together stay below 64 MB. */
const LONGEST_TEXT = 65_536;
/** No answer is used for longer, whatever a caller allows: an event may be missed. */
const LONGEST_MS = 60_000;

interface Kept {
  readonly major: string;
  readonly key: string;
  /** Who asks, until the answer is there. */
  readonly asker: object;
  answer: { readonly text: string; readonly at: number } | undefined;
}

/** All times are monotonic milliseconds; `major` is a route's top-level resource, `key` the request below it. */
export class GetCache {
  readonly #byMajor = new Map<string, Map<string, Kept>>();
  /** Oldest first. */
  readonly #all = new Set<Kept>();

  get size(): number {
    return this.#all.size;
  }

  /** An answer not older than `mostMs`. */
  find(major: string, key: string, mostMs: number, now: number): string | undefined {
    const kept = this.#byMajor.get(major)?.get(key);
    if (kept?.answer === undefined) return undefined;
    return now - kept.answer.at <= Math.min(mostMs, LONGEST_MS) ? kept.answer.text : undefined;
  }

  /** An answer is asked for that may be kept, unless something changes before it comes. */
  expect(major: string, key: string, asker: object): void {
    const group = this.#byMajor.get(major) ?? new Map<string, Kept>();
    const before = group.get(key);
    if (before !== undefined) this.#all.delete(before);
    const kept: Kept = { major, key, asker, answer: undefined };
    this.#byMajor.set(major, group.set(key, kept));
    this.#all.add(kept);
    const [oldest] = this.#all;
    if (this.#all.size > MOST_KEPT && oldest !== undefined) this.#remove(oldest);
  }

  /** The answer has come, or, with undefined, none will. */
  settle(major: string, key: string, asker: object, text: string | undefined, now: number): void {
    const kept = this.#byMajor.get(major)?.get(key);
    if (kept?.asker !== asker) return;
    if (text === undefined || text.length > LONGEST_TEXT) this.#remove(kept);
    else kept.answer = { text, at: now };
  }

  /** Something about a top-level resource has changed. */
  drop(major: string): void {
    for (const kept of this.#byMajor.get(major)?.values() ?? []) this.#all.delete(kept);
    this.#byMajor.delete(major);
  }

  /** Forgets what is too old to be used. */
  sweep(now: number): void {
    for (const kept of this.#all)
      if (kept.answer !== undefined && now - kept.answer.at > LONGEST_MS) this.#remove(kept);
  }

  clear(): void {
    this.#byMajor.clear();
    this.#all.clear();
  }

  #remove(kept: Kept): void {
    this.#all.delete(kept);
    const group = this.#byMajor.get(kept.major);
    group?.delete(kept.key);
    if (group?.size === 0) this.#byMajor.delete(kept.major);
  }
}
