// What becomes of lines and events on their way: metric filters, flawed documents, masking, EventBridge rules.

import { describe, expect, it } from "vitest";
import {
  ACCOUNT,
  alarm,
  base,
  declared,
  filter,
  logGroup,
  MINUTE,
  metricLine,
  REGION,
  START,
  TOPIC_ARN,
  topicPolicy,
} from "./fixtures.ts";
import { changes, limited, pages, twinOf } from "./harness.ts";
import type { DeclaredResource } from "./twin.ts";

describe("metric filters", () => {
  const hits = (inputs: Readonly<Record<string, unknown>> = {}) =>
    alarm("hits", { namespace: "Logs", metricName: "Hits", dimensions: {}, threshold: 1, ...inputs });

  it("add matching events up by the minute", () => {
    const twin = twinOf([...base(), filter("{ $.level = 50 }", { defaultValue: "0" }), hits()]);
    for (const [index, level] of [50, 30, 50, 50, 30, 30].entries()) {
      twin.receive(JSON.stringify({ level }), START + index * 20_000);
    }
    twin.advance(START + 2 * MINUTE);
    expect(changes(twin)).toEqual(["1 hits INSUFFICIENT_DATA>ALARM", "2 hits ALARM>OK"]);
  });

  it("publish a field's value, under its dimensions", () => {
    const slow = filter("{ $.ms = * && $.route = * }", { value: "$.ms", dimensions: { Route: "$.route" } });
    const twin = twinOf([
      ...base(),
      slow,
      hits({ dimensions: { Route: "POST /x" }, statistic: "Maximum", threshold: 100 }),
    ]);
    twin.receive('{"ms":250,"route":"POST /x"}', START);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 hits INSUFFICIENT_DATA>ALARM"]);
  });

  it("make nothing of a matching event whose value is not a number", () => {
    const twin = twinOf([...base(), filter("{ $.ms = * }", { value: "$.ms" }), hits()]);
    twin.receive('{"ms":"250"}', START);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 hits INSUFFICIENT_DATA>OK"]);
    expect(twin.notes()).toEqual(["metric filter filter: an event matched but its value is missing or not a number"]);
  });

  it("add columns up, as the guide's Apache example does", () => {
    const twin = twinOf([
      ...base(),
      filter("[ip, id, user, timestamp, request, status_code, size]", { value: "$size" }),
      hits({ threshold: 1195 }),
    ]);
    for (const size of [4, 4, 4, 4, 590, 590]) {
      twin.receive(`127.0.0.1 - bob [10/Oct/2000:11:49:52 -0700] "GET /x HTTP/1.0" 200 ${size}`, START);
    }
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 hits INSUFFICIENT_DATA>ALARM"]);
  });

  it("refuse what AWS limits: values of dimensions, regular expressions to a log group", () => {
    const twin = twinOf([...base(), filter("{ $.user = * }", { dimensions: { User: "$.user" } })]);
    const publish = (): void => {
      for (let user = 0; user <= 1000; user += 1) twin.receive(JSON.stringify({ user: `u${user}` }), START);
    };
    expect(publish).toThrow("more than 1,000 values");
    expect(() => twinOf([...base(), ...Array.from({ length: 6 }, () => filter("%x%"))])).toThrow("at most 5");
    expect(() => twinOf([...base(), ...Array.from({ length: 101 }, () => filter("x"))])).toThrow("at most 100");
  });

  it("refuse a line on which AWS's answer is not documented", () => {
    const twin = twinOf([...base(), filter("{ $.level = 50 }")]);
    expect(() => twin.receive('{"level":"50"}', START)).toThrow("filter: pattern cannot be rehearsed: not documented");
  });
});

describe("events", () => {
  const statement = {
    Effect: "Allow",
    Principal: { Service: ["events.amazonaws.com", "cloudwatch.amazonaws.com"] },
    Action: "sns:Publish",
    Resource: TOPIC_ARN,
  };
  const rule = (pattern: unknown) =>
    declared("aws:cloudwatch/eventRule:EventRule", "rule", { name: "rule", eventPattern: JSON.stringify(pattern) });
  const target = declared("aws:cloudwatch/eventTarget:EventTarget", "target", {
    rule: "rule",
    arn: TOPIC_ARN,
    input: "it stopped",
  });

  it("reach a rule's topic", () => {
    const pattern = { source: ["aws.ecs"], detail: { lastStatus: ["STOPPED"] } };
    const twin = twinOf([...base(), rule(pattern), target, topicPolicy({ Statement: [statement] })]);
    twin.putEvent({ source: "aws.ecs", detail: { lastStatus: "RUNNING" } }, START);
    twin.putEvent({ source: "aws.ecs", detail: { lastStatus: "STOPPED" } }, START + 1);
    expect(twin.notifications).toEqual([
      {
        alarm: "rule",
        state: "EVENT",
        topicArn: TOPIC_ARN,
        at: START + 1,
        text: "it stopped",
        delivered: true,
        why: "to email",
      },
    ]);
  });

  it("tell of every alarm's change of state", () => {
    const pattern = { source: ["aws.cloudwatch"], detail: { state: { value: ["ALARM"] } } };
    const silent = alarm("limited", { alarmActions: [], okActions: [] });
    const twin = twinOf([...base(), rule(pattern), target, topicPolicy({ Statement: [statement] }), silent]);
    limited(twin, 1, 11);
    twin.advance(START + 5 * MINUTE);
    expect(pages(twin)).toEqual(["2 rule EVENT true"]);
  });
});

describe("rules that write events into a log group", () => {
  const LOG_ARN = `arn:aws:logs:${REGION}:${ACCOUNT}:log-group:/aws/events/bot`;
  const rule = declared("aws:cloudwatch/eventRule:EventRule", "crashed", {
    name: "crashed",
    eventPattern: JSON.stringify({ source: ["aws.ecs"], detail: { stopCode: ["EssentialContainerExited"] } }),
  });
  const target = declared("aws:cloudwatch/eventTarget:EventTarget", "crashed", { rule: "crashed", arn: LOG_ARN });
  const policy = declared("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", "events", {
    policyName: "events",
    policyDocument: JSON.stringify({
      Statement: [
        {
          Effect: "Allow",
          Principal: { Service: ["events.amazonaws.com", "delivery.logs.amazonaws.com"] },
          Action: "logs:PutLogEvents",
          Resource: `${LOG_ARN}:*`,
          Condition: { ArnEquals: { "aws:SourceArn": [`arn:aws:events:${REGION}:${ACCOUNT}:rule/crashed`] } },
        },
      ],
    }),
  });
  const counted = (name: string, metricName: string): DeclaredResource =>
    alarm(name, { namespace: "AWS/Events", metricName, dimensions: { RuleName: "crashed" }, threshold: 0 });
  const log = logGroup("/aws/events/bot");
  const alarms = [counted("triggered", "TriggeredRules"), counted("failed", "FailedInvocations")];
  const crash = { source: "aws.ecs", detail: { stopCode: "EssentialContainerExited" } };

  it("count the event in AWS/Events, and filters on that group see it", () => {
    const seen = filter('{ $.source = "aws.ecs" }', {}, { logGroupName: "/aws/events/bot" });
    const hits = alarm("hits", { namespace: "Logs", metricName: "Hits", dimensions: {}, threshold: 0 });
    const twin = twinOf([...base(), log, rule, target, policy, seen, hits, ...alarms]);
    twin.putEvent(crash, START + 1);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual([
      "1 hits INSUFFICIENT_DATA>ALARM",
      "1 triggered INSUFFICIENT_DATA>ALARM",
      "1 failed INSUFFICIENT_DATA>OK",
    ]);
  });

  it.each([
    ["without a resource policy", [log]],
    ["into a group that is not declared", [policy]],
  ])("count a failure %s", (_, parts) => {
    const twin = twinOf([...base(), rule, target, ...parts, ...alarms]);
    twin.putEvent(crash, START + 1);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toContain("1 failed INSUFFICIENT_DATA>ALARM");
  });

  it("are named when nothing matched them", () => {
    const twin = twinOf([...base(), log, rule, target, policy, ...alarms]);
    twin.putEvent({ source: "aws.ecs", detail: { stopCode: "ServiceSchedulerInitiated" } }, START + 1);
    twin.advance(START + MINUTE);
    expect(twin.explain("triggered")).toContain("no event matched rule crashed");
  });
});

describe("a data protection policy", () => {
  const protect = (statement: unknown) =>
    declared("aws:cloudwatch/logDataProtectionPolicy:LogDataProtectionPolicy", "masks", {
      logGroupName: "/mooring/bot",
      policyDocument: JSON.stringify({
        Configuration: { CustomDataIdentifier: [{ Name: "Token", Regex: "tok-[0-9]+" }] },
        Statement: [{ Operation: { Audit: {} }, DataIdentifier: ["Token"] }, statement],
      }),
    });
  const mask = (identifier: string) =>
    protect({ Operation: { Deidentify: { MaskConfig: {} } }, DataIdentifier: [identifier] });

  it("hides what it masks from metric filters", () => {
    const hits = alarm("hits", { namespace: "Logs", metricName: "Hits", dimensions: {}, threshold: 0 });
    const twin = twinOf([...base(), mask("Token"), filter("tok"), hits]);
    twin.receive("using tok-123", START);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 hits INSUFFICIENT_DATA>OK"]);
    expect(twin.notes()).toEqual(["CloudWatch Logs masked Token in a log event"]);
  });

  it("is not guessed about: in a metric document, or with an identifier of AWS's own", () => {
    const twin = twinOf([...base(), mask("Token")]);
    expect(() => twin.receive(metricLine({ RateLimited: 1 }, START, { note: "tok-1" }), START)).toThrow("masks: Token");
    expect(() => twinOf([...base(), mask("arn:aws:dataprotection::aws:data-identifier/EmailAddress")])).toThrow(
      "not published",
    );
  });
});

describe("flawed documents", () => {
  it("are kept as lines and counted in AWS/Logs, where an alarm can watch them", () => {
    const errors = (metricName: string) =>
      alarm(metricName, {
        namespace: "AWS/Logs",
        metricName,
        dimensions: { LogGroupName: "/mooring/bot" },
        threshold: 0,
      });
    const twin = twinOf([...base(), errors("EMFParsingErrors"), errors("EMFValidationErrors"), alarm("limited")]);
    twin.receive(metricLine({ RateLimited: "99" }, START), START);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toContain("1 EMFValidationErrors INSUFFICIENT_DATA>ALARM");
    expect(changes(twin)).toContain("1 EMFParsingErrors INSUFFICIENT_DATA>OK");
    expect(changes(twin)).toContain("1 limited INSUFFICIENT_DATA>OK");
  });
});
