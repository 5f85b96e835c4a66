// Verdicts: one answer, one judgement, over the shapes that Discord's API and its edge have been seen to send.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isInvalid, judge, limitHeaders } from "../../../bot/rest/verdict.ts";
import { limits } from "./harness.ts";

const judged = (status: number, headers: Record<string, string>, json?: unknown, authenticated = true) =>
  judge({ status, headers, json, authenticated });
const block = {
  code: 0,
  message: "You are being blocked from accessing our API temporarily due to exceeding our rate limits",
};

describe("judge", () => {
  it.each([
    [
      "a page at the edge with Retry-After",
      429,
      { "retry-after": "3600" },
      undefined,
      { kind: "edge", retryAfterMs: 3_600_000 },
    ],
    ["a page at the edge without", 429, { server: "cloudflare" }, undefined, { kind: "edge", retryAfterMs: undefined }],
    ["the static JSON block", 429, {}, block, { kind: "edge", retryAfterMs: undefined }],
    [
      "403 with 40333",
      403,
      {},
      { message: "internal network error", code: 40333 },
      { kind: "edge", retryAfterMs: undefined },
    ],
    ["a 403 page", 403, {}, undefined, { kind: "edge", retryAfterMs: undefined }],
    [
      "a missing Via alone decides nothing",
      403,
      {},
      { code: 50001, message: "Missing Access" },
      { kind: "forbidden", code: 50001, message: "Missing Access" },
    ],
    [
      "API headers on a page are the API",
      429,
      { ...limits("h", 5, 0, 1500), "retry-after": "2" },
      undefined,
      { kind: "limited", scope: "user", retryAfterMs: 2000 },
    ],
    ["a 5xx is never the edge", 502, {}, undefined, { kind: "serverError" }],
    [
      "user",
      429,
      { ...limits("h", 5, 0, 64_570), "retry-after": "65", "x-ratelimit-scope": "user" },
      { retry_after: 64.57, global: false },
      { kind: "limited", scope: "user", retryAfterMs: 65_000 },
    ],
    [
      "the body's wait is longer",
      429,
      { ...limits("h", 5, 1, 500), "retry-after": "1", "x-ratelimit-scope": "user" },
      { retry_after: 1163.5, code: 20028 },
      { kind: "limited", scope: "sublimit", retryAfterMs: 1_163_500 },
    ],
    [
      "Reset-After is longer, nothing remaining",
      429,
      { ...limits("h", 5, 0, 9000), "retry-after": "1", "x-ratelimit-scope": "user" },
      { retry_after: 1 },
      { kind: "limited", scope: "user", retryAfterMs: 9000 },
    ],
    [
      "shared: Retry-After rules",
      429,
      { ...limits("h", 5, 0, 99_000), "retry-after": "45", "x-ratelimit-scope": "shared" },
      { retry_after: 44.2 },
      { kind: "limited", scope: "shared", retryAfterMs: 45_000 },
    ],
    [
      "shared with some remaining is not a sub-limit",
      429,
      { ...limits("h", 5, 4, 200), "retry-after": "45", "x-ratelimit-scope": "shared" },
      {},
      { kind: "limited", scope: "shared", retryAfterMs: 45_000 },
    ],
    [
      "global by header",
      429,
      { "x-ratelimit-global": "true", "retry-after": "1" },
      { retry_after: 0.3, global: true },
      { kind: "limited", scope: "global", retryAfterMs: 1000 },
    ],
    [
      "global by body alone",
      429,
      {},
      { message: "You are being rate limited.", retry_after: 0.25, global: true },
      { kind: "limited", scope: "global", retryAfterMs: 250 },
    ],
    [
      "a hidden sub-limit",
      429,
      { ...limits("h", 10, 7, 15_000), "retry-after": "600", "x-ratelimit-scope": "user" },
      { retry_after: 599.1 },
      { kind: "limited", scope: "sublimit", retryAfterMs: 600_000 },
    ],
    [
      "no wait anywhere",
      429,
      { "x-ratelimit-scope": "user" },
      {},
      { kind: "limited", scope: "user", retryAfterMs: undefined },
    ],
    [
      "a wait that is no number",
      429,
      { "x-ratelimit-scope": "user", "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" },
      { retry_after: "soon" },
      { kind: "limited", scope: "user", retryAfterMs: undefined },
    ],
    ["a bad token", 401, {}, { code: 0, message: "401: Unauthorized" }, { kind: "unauthorized" }],
    [
      "an interaction's dead token",
      401,
      {},
      { code: 50027, message: "Invalid Webhook Token" },
      { kind: "clientError", code: 50027 },
    ],
    ["not found", 404, {}, { code: 10008, message: "Unknown Message" }, { kind: "missing", code: 10008 }],
    ["a form error", 400, {}, { code: 50035, message: "Invalid Form Body" }, { kind: "clientError", code: 50035 }],
    ["success", 204, {}, undefined, { kind: "ok" }],
  ] satisfies [string, number, Record<string, string>, unknown, Record<string, unknown>][])(
    "%s",
    (_, status, headers, json, expected) => {
      expect(judged(status, headers, json)).toMatchObject(expected);
    },
  );

  it("does not blame the bot's token for a 401 that did not carry it", () => {
    expect(judged(401, {}, { code: 0 }, false).kind).toBe("clientError");
  });

  it("never throws, whatever headers and bodies say, and never names a wait that is no time", () => {
    const text = fc.oneof(fc.string(), fc.constantFrom("NaN", "-1", "1e309", "Infinity", "", "0", "12.5"));
    const headers = fc.dictionary(
      fc.constantFrom(
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset-after",
        "x-ratelimit-bucket",
        "x-ratelimit-scope",
      ),
      text,
    );
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), headers, fc.jsonValue(), (status, given, json) => {
        const verdict = judged(status, given, json);
        const wait = "retryAfterMs" in verdict ? verdict.retryAfterMs : undefined;
        if (wait !== undefined) expect(wait >= 0 && Number.isFinite(wait)).toBe(true);
        const bucket = limitHeaders(given);
        if (bucket !== undefined) {
          expect(bucket.limit).toBeGreaterThanOrEqual(1);
          expect(Number.isFinite(bucket.resetAfterMs)).toBe(true);
        }
      }),
    );
  });
});

describe("isInvalid", () => {
  it.each([
    [401, {}, { code: 0 }, true],
    [403, {}, { code: 50001 }, true],
    [429, { "x-ratelimit-scope": "user" }, {}, true],
    [429, { "x-ratelimit-scope": "shared" }, {}, false],
    [404, {}, {}, false],
    [500, {}, {}, false],
  ])("%i %j", (status, headers, json, counts) => {
    expect(isInvalid(status, judged(status, headers as Record<string, string>, json))).toBe(counts);
  });
});
