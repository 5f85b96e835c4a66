// What a request must be before it may wait for its turn.

import { expect, it } from "vitest";
import { requestProblem } from "../../../bot/rest/requestProblem.ts";

const GOOD = { method: "GET", path: "/channels/1/messages" };

it.each<[unknown, RegExp | undefined]>([
  [GOOD, undefined],
  [{ ...GOOD, priority: "background", deadlineMs: 0, signal: new AbortController().signal }, undefined],
  [undefined, /not an object/],
  [null, /not an object/],
  [{}, /method is undefined; it must be one of GET/],
  [{ ...GOOD, method: "get" }, /method is "get"/],
  [{ ...GOOD, method: Symbol("get") }, /method is of type symbol/],
  [{ method: "GET" }, /path is undefined/],
  [{ method: "GET", path: "channels" }, /path must start with/],
  [{ ...GOOD, priority: "high" }, /priority is "high"; it must be one of .*background/],
  [{ ...GOOD, deadlineMs: Number.NaN }, /deadlineMs is of type number/],
  [{ ...GOOD, deadlineMs: "5" }, /deadlineMs is "5"/],
  [{ ...GOOD, signal: {} }, /no AbortSignal/],
])("%j", (request, problem) => {
  const found = requestProblem(request);
  if (problem === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(problem);
});

it("shows nothing of what may be a token", () => {
  const secret = "a-token.that-was-put-in-the-wrong-place";
  for (const part of ["method", "priority", "deadlineMs"]) {
    expect(requestProblem({ ...GOOD, [part]: secret })).not.toContain(secret);
  }
});
