// The port to what several tasks share: small items, each with a version that every write must name.

import type { Kind } from "../../shared/table.ts";

/** One item. `body` is text, at most LONGEST_BODY bytes of it. */
export interface Item {
  readonly kind: Kind;
  readonly id: string;
  /** 1 at first, one more with every write: whoever writes has seen everything before. */
  readonly version: number;
  readonly body: string;
}

export interface NewItem {
  readonly kind: Kind;
  readonly id: string;
  readonly body: string;
  /** When it may be cleared away, ms since 1970; nothing may rely on that it is. */
  readonly expiresAt?: number;
}

/** Every call may reject with a LedgerError; after a write that rejected, nobody knows whether it happened. */
export interface Items {
  /** The item as it is now, never an older one. */
  get(kind: Kind, id: string): Promise<Item | undefined>;
  /** All items of a kind as they are now, ordered by id. */
  list(kind: Kind): Promise<readonly Item[]>;
  /**
   * Writes if the item is at version `expected`; undefined: if there is none. Of several at once one wins.
   * @returns the new version, or undefined: another write came first
   */
  swap(item: NewItem, expected: number | undefined): Promise<number | undefined>;
  /** Removes if the item is at version `expected`; whether it was. */
  remove(kind: Kind, id: string, expected: number): Promise<boolean>;
}

/** Bytes of a body: below DynamoDB's 400 KB an item, names and overhead included, with room to spare. */
export const LONGEST_BODY = 350_000;
