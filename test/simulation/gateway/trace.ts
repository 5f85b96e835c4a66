// What happened in a run: a hash of all of it, its last lines for a person, and the first rule that was broken.

const LINES_KEPT = 4000;

/** A rule that did not hold; the message carries the seed and what came before. */
export class BrokenRule extends Error {
  override readonly name = "BrokenRule";
}

export class Trace {
  readonly #now: () => number;
  readonly #lines: string[] = [];
  #hash = 0x811c9dc5;
  #steps = 0;
  #broken: string | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** One thing that happened. Whatever decides the course of a run is in it, so two runs of one seed hash alike. */
  note(text: string): void {
    const line = `${this.#now().toFixed(3)} ${text}`;
    let hash = this.#hash;
    for (let at = 0; at < line.length; at++) hash = Math.imul(hash ^ line.charCodeAt(at), 0x01000193);
    this.#hash = hash;
    this.#steps++;
    if (this.#lines.push(line) > 2 * LINES_KEPT) this.#lines.splice(0, LINES_KEPT);
  }

  /** Said at once, thrown at the next step: the bot may be on the stack and must not catch it. */
  broken(rule: string): void {
    this.note(`BROKEN ${rule}`);
    this.#broken ??= rule;
  }

  check(): void {
    if (this.#broken !== undefined) throw new BrokenRule(this.#broken);
  }

  /** FNV-1a of everything noted, and how much that was. */
  get hash(): string {
    return `${(this.#hash >>> 0).toString(16).padStart(8, "0")}-${this.#steps}`;
  }

  tail(lines = LINES_KEPT): string {
    return this.#lines.slice(-lines).join("\n");
  }
}
