// What can go wrong with a ledger, as a caller needs to tell it apart.

/**
 * unreadable and unwritable: the place refuses (permissions, a full disk, a missing mount). damaged: what is kept there
 * is not ours or is broken; it has been set aside, and the next read finds nothing.
 */
export type LedgerErrorKind = "unreadable" | "unwritable" | "damaged";

/** Its message names the place and the fix; it never carries what is kept there. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly kind: LedgerErrorKind;

  constructor(kind: LedgerErrorKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}
