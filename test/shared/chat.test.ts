// How the chat bot's settings are read: what is wrong is named with its fix, and no key is repeated.

import { describe, expect, it } from "vitest";
import { keys, quotaOf, quotas, snowflakes } from "../../shared/chat.ts";

describe("ids", () => {
  it.each([
    ["1100000000000000000, 123456789012345", ["1100000000000000000", "123456789012345"]],
    ["general", undefined],
    ["1100000000000000000,", undefined],
  ])("%s", (given, value) => {
    const reading = snowflakes.read(given);
    expect(reading.ok ? reading.value : undefined).toEqual(value);
    if (!reading.ok) expect(reading.problem).toContain("Discord ids separated by commas");
  });
});

describe("keys", () => {
  it("come in their order, as secrets", () => {
    const reading = keys.read("hf_first_key, hf_second_key");
    expect(reading.ok && reading.value.map((key) => key.reveal())).toEqual(["hf_first_key", "hf_second_key"]);
    expect(JSON.stringify(reading)).not.toContain("hf_first_key");
  });

  it.each([
    ["short", "place 1"],
    ["hf_first_key,hf second key", "place 2"],
    ["hf_first_key,'hf_second_key'", "place 2"],
    ["hf_first_key,,hf_second_key", "place 2"],
    ["hf_first_key,hf_first_key", "twice"],
  ])("%s is told without the text", (given, told) => {
    const reading = keys.read(given);
    expect(reading).toMatchObject({ ok: false, problem: expect.stringContaining(told) });
    expect(JSON.stringify(reading)).not.toMatch(/hf_|_key/);
  });
});

describe("quotas", () => {
  it.each([
    ["none", [{}]],
    ["300 requests/hour", [{ requestsAnHour: 300 }]],
    [
      "300 requests/hour 900 requests/month, none, 5 tokens/hour 7 tokens/month",
      [{ requestsAnHour: 300, requestsAMonth: 900 }, {}, { tokensAnHour: 5, tokensAMonth: 7 }],
    ],
  ])("%s", (given, value) => {
    expect(quotas.read(given)).toEqual({ ok: true, value });
  });

  it.each(["300", "300 requests", "0 requests/hour", "300/hour", "many requests/hour", "300 requests/day"])(
    "%s is refused with an example",
    (given) => {
      expect(quotas.read(given)).toMatchObject({ ok: false, problem: expect.stringContaining("300 requests/hour") });
    },
  );

  it("hold for further keys", () => {
    const list = [{ requestsAnHour: 1 }, { requestsAnHour: 2 }];
    expect([0, 1, 2, 9].map((index) => quotaOf(list, index).requestsAnHour)).toEqual([1, 2, 2, 2]);
    expect(quotaOf([], 0)).toEqual({});
  });
});
