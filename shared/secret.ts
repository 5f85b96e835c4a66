// A value that must never be printed: a token or a key. Every way of turning it into text yields a placeholder.

const PLACEHOLDER = "[secret]";

/** Holds a secret string; `reveal()` is the only way to its content, so that `reveal` can be searched for. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The content. Call it only where the value leaves for its owner: a header, an IDENTIFY, a hash. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return PLACEHOLDER;
  }

  toJSON(): string {
    return PLACEHOLDER;
  }

  /** What `console.log` and `util.inspect` print. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return PLACEHOLDER;
  }
}
