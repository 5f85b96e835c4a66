// Filter patterns against the examples of CloudWatch Logs' user guide, and what is refused because AWS does not document it.

import { describe, expect, it } from "vitest";
import { FilterPatternError, parseFilterPattern } from "./filterPattern.ts";

const EVENT_1 = JSON.stringify({
  eventType: "UpdateTrail",
  sourceIPAddress: "111.111.111.111",
  arrayKey: ["value", "another value"],
  objectList: [
    { name: "a", id: 1 },
    { name: "b", id: 2 },
  ],
  SomeObject: null,
  ThisFlag: true,
  "cluster.name": "c",
});
const EVENT_2 = JSON.stringify({
  user: { id: 1, email: "John.Stiles@example.com" },
  users: [
    { id: 2, email: "John.Doe@example.com" },
    { id: 3, email: "Jane.Doe@example.com" },
  ],
  actions: ["GET", "PUT", "DELETE"],
  coordinates: [
    [0, 1, 2],
    [4, 5, 6],
    [7, 8, 9],
  ],
});
const LINE_1 = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534';
const apache = (file: string, status: number) =>
  `127.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET /${file} HTTP/1.0" ${status} 2326`;
const APACHE = "[ip, id, user, timestamp, request, status_code=404, size]";

describe("terms and standalone regular expressions", () => {
  it.each([
    ["ERROR", "[ERROR 400] BAD REQUEST", true],
    ["ERROR", "[ERROR 401] UNAUTHORIZED REQUEST", true],
    ['"ERROR" -"Exiting"', "Exiting with ERRORCODE: -1", false],
    ["Error", "This message contains an Error", true],
    ["ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true],
    ["ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false],
    ["ERROR Exception", "[ERROR] Caught IllegalArgumentException", true],
    ["?Error ?fatal", "[Error] Unhandled Exception", true],
    ["?Error ?fatal", "[ERROR] A fatal exception has occurred", true],
    ["?Error ?fatal", "[ERROR] Caught IllegalArgumentException", false],
    ["?ERROR ?ARGUMENTS REQUEST", "[WARN] UNAUTHORIZED REQUEST", true],
    ["?WARN -REQUEST", "[INFO] nothing", true],
    ['"INTERNAL SERVER ERROR"', "[ERROR 500] INTERNAL SERVER ERROR", true],
    ['"Failed to process the request"', "[ERROR] Unable to continue: Failed to process the request", true],
    ["ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", true],
    ["ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", false],
    ['"say \\"hi\\""', 'they say "hi" twice', true],
    ['" "', "anything", true],
    ["", "anything", true],
    [" ", "anything", true],
    ["%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true],
    ["%AUTHORIZED%", "[SUCCESS 200] AUTHORIZED REQUEST", true],
    ["%^[hc]at%", "hat", true],
    ["%^[hc]at%", "a hat", false],
    ["%[hc]at$%", "a cat", true],
    ["%colou?r%", "colour", true],
    ["%gra|ey%", "grey", true],
    ["%^starting|^initializing|^shutting down%", "initializing ...", true],
    ["%\\[.\\]%", "[7]", true],
    ["%10\\.10\\.0\\.1%", "10.10.0.1", true],
    ["%10\\.10\\.0\\.1%", "10010,051", false],
    ["%10.10.0.1%", "10010,051", true],
    ["%ab*c%", "ac", true],
    ["%ab+c%", "ac", false],
    ["%\\x3A%", "a:b", true],
  ])("%s on %s is %s", (pattern, message, expected) => {
    expect(parseFilterPattern(pattern).match(message) !== undefined).toBe(expected);
  });
});

describe("JSON patterns", () => {
  it.each([
    ['{ $.eventType = "UpdateTrail" }', EVENT_1, true],
    ["{ $.sourceIPAddress != 123.123.* }", EVENT_1, true],
    ["{ $.sourceIPAddress != 111.111.* }", EVENT_1, false],
    ['{ $.arrayKey[0] = "value" }', EVENT_1, true],
    ["{ $.objectList[1].id = 2 }", EVENT_1, true],
    ["{ $.eventType = %Trail% }", EVENT_1, true],
    ["{ $.arrayKey[*] = %val.{2}% }", EVENT_1, true],
    ["{ $.objectList[*].id = 2 }", EVENT_1, true],
    ["{ $.objectList[*].id = 3 }", EVENT_1, false],
    ["{ $.['cluster.name'] = \"c\" }", EVENT_1, true],
    ["{ $.SomeObject IS NULL }", EVENT_1, true],
    ["{ $.SomeOtherObject IS NULL }", EVENT_1, false],
    ["{ $.SomeOtherObject NOT EXISTS }", EVENT_1, true],
    ["{ $.SomeObject NOT EXISTS }", EVENT_1, false],
    ["{ $.ThisFlag IS TRUE }", EVENT_1, true],
    ["{ $.ThisFlag IS FALSE }", EVENT_1, false],
    ['{ $.eventType = "*" && $.sourceIPAddress != 123.123.* }', EVENT_1, true],
    ['{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', EVENT_2, true],
    [
      '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }',
      EVENT_2,
      true,
    ],
    ['{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', EVENT_2, false],
    ["{$.users = 1}", '{"users":[1,2,3]}', false],
    ["{$.users != 1}", '{"users":[1,2,3]}', false],
    ['{ $.missing != "x" }', '{"present":"y"}', false],
    ['{ ($.f NOT EXISTS) || ($.f != "x") }', '{"present":"y"}', true],
    ["{ $.latency = * }", '{"latency":50,"requestType":"GET"}', true],
    ["{ $.latency = * }", '{"requestType":"GET"}', false],
    ['{ $.e = "*Event" }', '{"e":"PutEvent"}', true],
    ['{ $.e = "Event*" }', '{"e":"EventId"}', true],
    ['{ $.e = "*ven*" }', '{"e":"EventId"}', true],
    ['{ $.e = "Ev*ent" }', '{"e":"Ev*ent"}', true],
    ["{ $.bandwidth > 75 }", '{"bandwidth":75}', false],
    ["{ $.latency < 50 }", '{"latency":49.9}', true],
    ["{ $.refreshRate >= 60 }", '{"refreshRate":60}', true],
    ["{ $.responseTime <= 5 }", '{"responseTime":5}', true],
    ["{ $.errorCode = 400}", '{"errorCode":400}', true],
    ["{ $.errorCode = 4* }", '{"errorCode":404}', true],
    ["{ $.errorCode = 4* }", '{"errorCode":504}', false],
    ["{ $.number[0] = 1e+3 }", '{"number":[1000]}', true],
    ["{ $.number[0] != 1e-3 }", '{"number":[0.001]}', false],
    ['{ $.a = "b" }', 'prefix {"a":"b"}', false],
  ])("%s on %s is %s", (pattern, message, expected) => {
    expect(parseFilterPattern(pattern).match(message) !== undefined).toBe(expected);
  });

  it("hands out the fields that a metric's value and dimensions name", () => {
    expect(parseFilterPattern("{ $.latency = * }").match('{"latency":50}')?.field("$.latency")).toBe(50);
    const match = parseFilterPattern('{ $.eventType = "*" && $.sourceIPAddress != 123.123.* }').match(EVENT_1);
    expect(match?.field("$.eventType")).toBe("UpdateTrail");
    expect(match?.field("$.nothing")).toBeUndefined();
  });
});

describe("space-delimited patterns", () => {
  it.each([
    ["[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", LINE_1, true],
    ["[..., request =*.html*, status_code = 4*, bytes]", LINE_1, true],
    ["[..., request =*.html*, status_code = 5*, bytes]", LINE_1, false],
    ["[ip, user, username, timestamp, request =*.html*, status_code = 404 || status_code = 410, bytes]", LINE_1, true],
    ["[ip=%127\\.0\\.0\\.[1-9]%, user, username, timestamp, request =*.html*, status_code = 4*, bytes]", LINE_1, true],
    ["[ip, server, username, timestamp, request, status_code, bytes > 1000]", LINE_1, true],
    ["[ip, server, username, timestamp, request, status_code, bytes > 2000]", LINE_1, false],
    [APACHE, apache("apache_pb.gif", 404), true],
    [APACHE, apache("apache_pb2.gif", 200), false],
    ["[w1=ERROR, w2]", "ERROR 09/25/2014 12:00:02 Failed to process request", true],
    ["[w1=ERROR || w1=WARNING, w2]", "WARNING 09/25/2014 12:00:02 Invalid user request", true],
    ["[w1=ERROR || w1=%WARN%, w2]", "WARNING 09/25/2014 12:00:02 Invalid user request", true],
    [
      "[logLevel, date, time, method, url=%/service/resource/[0-9]+$%, response_time]",
      "INFO 09/25/2014 12:00:00 GET /service/resource/67 1200",
      true,
    ],
    [
      "[logLevel, date, time, method, url=%/service/resource/[0-9]+/part/[0-9]+$%, response_time]",
      "INFO 09/25/2014 12:00:01 POST /service/resource/67/part/111 1310",
      true,
    ],
    ["[a, b, c]", "one two", false],
  ])("%s on %s is %s", (pattern, message, expected) => {
    expect(parseFilterPattern(pattern).match(message) !== undefined).toBe(expected);
  });

  it("hands out its columns", () => {
    const pattern = "[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]";
    const match = parseFilterPattern(pattern).match(LINE_1);
    const names = ["$ip", "$user", "$username", "$timestamp", "$request", "$status_code", "$bytes"];
    expect(names.map((name) => match?.field(name))).toEqual([
      "127.0.0.1",
      "Prod",
      "frank",
      "10/Oct/2000:13:25:15 -0700",
      "GET /index.html HTTP/1.0",
      "404",
      "1534",
    ]);
  });
});

/** The kind of error that `work` throws. */
function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return error instanceof FilterPatternError ? error.kind : String(error);
  }
  return "none";
}

describe("what AWS rejects", () => {
  it.each([
    "%something!%",
    "%a(b)%",
    '{ status = "401" }',
    '{$.a = "b"',
    "{ $.a EXISTS }",
    "{ $.a IS NOT NULL }",
    '{ $.a > "b" }',
    "{ $ = 1 }",
    "{ $.a[*].b[*] = 1 }",
    '{ $.a = "b" ',
    '{ ($.a = "b" }',
    "{ $.a = %x% && $.b = %y% && $.c = %z% }",
    "{ $.a[*] = 1 && $.b[*] = 1 && $.c[*] = 1 && $.d[*] = 1 }",
    "[ip, user, username, timestamp, request, status_code = 4* && bytes > 1000]",
    "[a, ..., b, ...]",
    "[a",
    "Failed:",
    `${"x".repeat(1025)}`,
  ])("%s", (pattern) => {
    expect(refusal(() => parseFilterPattern(pattern))).toBe("invalid");
  });
});

describe("what AWS does not document", () => {
  it.each([
    ["a number against text", "{ $.status = 429 }", '{"status":"429"}'],
    ["text against a number", '{ $.status = "429" }', '{"status":429}'],
    ["a comparison with a boolean", "{ $.ok = true }", '{"ok":true}'],
    ["presence of null", "{ $.a = * }", '{"a":null}'],
    ["a regular expression against a number", "{ $.a = %4.% }", '{"a":42}'],
    ["* in the middle, where it matters", '{ $.e = "Ev*ent" }', '{"e":"Ev123ent"}'],
    ["!= over a wildcard", '{ $.a[*] != "x" }', '{"a":["x","y"]}'],
    ["a number above 2^53", "{ $.id = 9007199254740993 }", '{"id":9007199254740993}'],
    ["a condition on a column that takes the rest", "[w1, w2=x]", "a b c"],
  ])("%s", (_, pattern, message) => {
    expect(refusal(() => parseFilterPattern(pattern).match(message))).toBe("undocumented");
  });

  it("a regular expression beside terms", () => {
    expect(refusal(() => parseFilterPattern("%a% b"))).toBe("undocumented");
  });
});
