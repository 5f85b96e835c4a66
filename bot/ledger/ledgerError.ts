// What can go wrong with a ledger, as a caller needs to tell it apart.

/**
 * unreadable and unwritable: the place refuses (permissions, a full disk, a missing mount). unreachable: no clear answer,
 * it may pass, and a write may have happened. damaged: what is kept there is not ours or is broken.
 */
export type LedgerErrorKind = "unreadable" | "unwritable" | "unreachable" | "damaged";

/** Its message names the place and the fix; it never carries what is kept there. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly kind: LedgerErrorKind;

  constructor(kind: LedgerErrorKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}
