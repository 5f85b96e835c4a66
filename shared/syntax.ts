// How one configuration value is read from text: small named syntaxes that return the value or say what is wrong.

import { Secret } from "./secret.ts";

/** The outcome of reading one text: the value, or the reason with the fix (never the text of a secret). */
export type Reading<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string };

/** Reads a value of one kind from text; `expects` completes the sentence "NAME must be ...". */
export interface Syntax<Value> {
  readonly expects: string;
  read(text: string): Reading<Value>;
}

const good = <Value>(value: Value): Reading<Value> => ({ ok: true, value });
const bad = (problem: string): Reading<never> => ({ ok: false, problem });

/** Any non-empty text. */
export const text: Syntax<string> = {
  expects: "a non-empty text",
  read: (given) => (given.trim() === "" ? bad("is empty") : good(given.trim())),
};

/** One of the listed words, exactly. */
export function oneOf<const Word extends string>(words: readonly Word[]): Syntax<Word> {
  const expects = `one of ${words.join(", ")}`;
  return {
    expects,
    read(given) {
      const word = words.find((candidate) => candidate === given.trim());
      return word === undefined ? bad(`is "${given}"; it must be ${expects}`) : good(word);
    },
  };
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number): Syntax<number> {
  const expects = `a whole number from ${least} to ${most}`;
  return {
    expects,
    read(given) {
      const value = /^\d{1,15}$/.test(given.trim()) ? Number(given.trim()) : Number.NaN;
      return value >= least && value <= most ? good(value) : bad(`is "${given}"; it must be ${expects}`);
    },
  };
}

/** A decimal number above zero, up to `most`. */
export function positive(most: number): Syntax<number> {
  const expects = `a number above 0, up to ${most}`;
  return {
    expects,
    read(given) {
      const value = /^\d+(\.\d+)?$/.test(given.trim()) ? Number(given.trim()) : Number.NaN;
      return value > 0 && value <= most ? good(value) : bad(`is "${given}"; it must be ${expects}`);
    },
  };
}

/** `on` or `off`. */
export const onOff: Syntax<boolean> = {
  expects: "on or off",
  read(given) {
    const word = given.trim();
    if (word === "on" || word === "off") return good(word === "on");
    return bad(`is "${given}"; it must be on or off`);
  },
};

/**
 * A raw bot token. Discord's gateway takes it bare and REST adds "Bot " itself (events/gateway, reference#authentication);
 * a pasted prefix, quotes or blanks are the usual mistakes, so each is named. The text itself is never repeated.
 */
export const token: Syntax<Secret> = {
  expects: "the raw bot token from the Discord developer portal (locally: a line DISCORD_TOKEN=... in the file .env)",
  read(given) {
    const trimmed = given.trim();
    if (trimmed === "") return bad("is empty; set it to the raw bot token from the Discord developer portal");
    if (/^bot\s/i.test(trimmed)) return bad('starts with "Bot "; give the raw token without that prefix');
    if (/\s/.test(trimmed)) return bad("contains blanks; give the raw token alone");
    if (/["']/.test(trimmed)) return bad("contains quotes; give the raw token alone");
    // An HTTP header takes nothing else; what was pasted from a shortened text has an ellipsis.
    if (/[^\x21-\x7e]/.test(trimmed)) return bad("contains characters that no token has; copy it again, as a whole");
    return good(new Secret(trimmed));
  },
};

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Whether a URL points at this machine: only there may traffic go unencrypted or clocks run fast. */
export function isLoopback(address: string): boolean {
  try {
    const { hostname } = new URL(address);
    return LOOPBACK.has(hostname) || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  } catch {
    return false;
  }
}

/** A URL of the secure scheme, or of the plain one when `plainAllowed` says so for it; without a trailing slash. */
export function url(
  secure: "https" | "wss",
  plain: "http" | "ws",
  plainAllowed: (address: string) => boolean,
): Syntax<string> {
  const expects = `a ${secure}:// URL`;
  return {
    expects,
    read(given) {
      const trimmed = given.trim();
      if (!URL.canParse(trimmed)) return bad(`is "${given}"; it must be ${expects}`);
      const { protocol, username, password } = new URL(trimmed);
      if (username !== "" || password !== "") return bad("carries a user name or password; give the bare URL");
      const scheme = protocol.slice(0, -1);
      if (scheme !== secure && scheme !== plain) return bad(`is "${given}"; it must be ${expects}`);
      if (scheme === plain && !plainAllowed(trimmed)) {
        return bad(`is "${given}"; ${plain}:// is for loopback addresses only, use ${secure}://`);
      }
      return good(trimmed.replace(/\/+$/, ""));
    },
  };
}

/** `auto`, or a whole number from 1 to `most`. */
export function autoOrInteger(most: number): Syntax<"auto" | number> {
  const expects = `auto, or a whole number from 1 to ${most}`;
  const number = integer(1, most);
  return {
    expects,
    read(given) {
      if (given.trim() === "auto") return good("auto");
      const reading = number.read(given);
      return reading.ok ? reading : bad(`is "${given}"; it must be ${expects}`);
    },
  };
}

// Discord publishes no highest shard count; the bound only keeps a typing error from building a list of millions.
const HIGHEST_ID = 16_383;

/** Ids and ranges such as `0-3,8`, ascending and without repeats in the result. */
export const idRanges: Syntax<readonly number[]> = {
  expects: "ids and ranges such as 0-3,8",
  read(given) {
    const ids = new Set<number>();
    for (const part of given.split(",")) {
      const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
      const first = Number(match?.[1] ?? Number.NaN);
      const last = Number(match?.[2] ?? first);
      if (!(first <= last && last <= HIGHEST_ID)) {
        return bad(`has "${part.trim()}"; it must be ids and ranges such as 0-3,8, at most ${HIGHEST_ID}`);
      }
      for (let id = first; id <= last; id++) ids.add(id);
    }
    return good([...ids].sort((left, right) => left - right));
  },
};

/** Where state that outlives a process lives. */
export type LedgerLocation =
  | { readonly kind: "memory" }
  | { readonly kind: "file"; readonly directory: string }
  | { readonly kind: "dynamodb"; readonly table: string };

/** `memory`, `file:DIR` or `dynamodb:TABLE`. */
export const ledgerLocation: Syntax<LedgerLocation> = {
  expects: "memory, file:DIR or dynamodb:TABLE",
  read(given) {
    const trimmed = given.trim();
    if (trimmed === "memory") return good({ kind: "memory" });
    if (/^file:./.test(trimmed)) return good({ kind: "file", directory: trimmed.slice("file:".length) });
    // DynamoDB: a table's name has 3 to 255 of these characters.
    const table = /^dynamodb:([A-Za-z0-9_.-]{3,255})$/.exec(trimmed)?.[1];
    if (table !== undefined) return good({ kind: "dynamodb", table });
    return bad(`is "${given}"; it must be memory, file:DIR or dynamodb:TABLE`);
  },
};

/** A comma-separated list of IPv4 addresses. */
export const addresses: Syntax<readonly string[]> = {
  expects: "IPv4 addresses separated by commas",
  read(given) {
    const parts = given.split(",").map((part) => part.trim());
    const wrong = parts.find((part) => !/^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(part));
    return wrong === undefined ? good(parts) : bad(`has "${wrong}"; it must be IPv4 addresses separated by commas`);
  },
};
