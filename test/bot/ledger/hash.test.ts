// Hashes stand for tokens without telling them.

import { expect, it } from "vitest";
import { fingerprintOf, tokenHash } from "../../../bot/ledger/hash.ts";
import { Secret } from "../../../shared/secret.ts";

it("a token's hash is the first 16 hex digits of its SHA-256", () => {
  // The SHA-256 of "abc" as FIPS 180 gives it begins so.
  expect(tokenHash(new Secret("abc"))).toBe("ba7816bf8f01cfea");
});

it("a fingerprint changes with the token, the intents and the shards", () => {
  const base = fingerprintOf(new Secret("abc"), 513, "auto");
  expect(base).toMatch(/^[0-9a-f]{16}$/);
  expect(fingerprintOf(new Secret("abc"), 513, "auto")).toBe(base);
  const others = [
    fingerprintOf(new Secret("abd"), 513, "auto"),
    fingerprintOf(new Secret("abc"), 512, "auto"),
    fingerprintOf(new Secret("abc"), 513, "0 of 1"),
  ];
  expect(new Set([base, ...others]).size).toBe(4);
});
