// The twin as a whole: stdout lines in, transitions and notifications out, the same however time is stepped.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACCOUNT,
  alarm,
  base,
  composite,
  declared,
  filter,
  logGroup,
  MINUTE,
  metricLine,
  REGION,
  START,
  subscription,
  TOPIC_ARN,
  task,
  topic,
  topicPolicy,
} from "./fixtures.ts";
import { createTwin, type DeclaredResource, type Twin } from "./twin.ts";

const STACK = { Stack: "test" };

const twinOf = (resources: readonly DeclaredResource[], ingestLagMs = 0): Twin =>
  createTwin({ resources, region: REGION, account: ACCOUNT, ingestLagMs, createdAt: START });

/** "minutes alarm from>to". */
const changes = (twin: Twin): string[] =>
  twin.transitions.map(({ alarm: name, from, to, at }) => `${(at - START) / MINUTE} ${name} ${from}>${to}`);
const pages = (twin: Twin): string[] =>
  twin.notifications.map(
    ({ alarm: name, state, at, delivered }) => `${(at - START) / MINUTE} ${name} ${state} ${delivered}`,
  );

/** A line with this many 429s, stamped and received that many minutes and 1 s after the start. */
function limited(twin: Twin, minute: number, count: number): void {
  const at = START + minute * MINUTE + 1000;
  twin.receive(metricLine({ RateLimited: count }, at), at);
}

describe("a metric alarm", () => {
  it("pages when an embedded metric breaches, and clears afterwards", () => {
    const twin = twinOf([...base(), alarm("limited")]);
    limited(twin, 1, 11);
    twin.advance(START + 10 * MINUTE);
    // Three buckets are looked at (N + 2): the spike stays the newest real point until it leaves them.
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "2 limited OK>ALARM", "5 limited ALARM>OK"]);
    expect(twin.notifications[1]).toEqual({
      alarm: "limited",
      state: "ALARM",
      topicArn: TOPIC_ARN,
      at: START + 2 * MINUTE,
      text: "what limited means",
      delivered: true,
      why: "to email",
    });
  });

  it("clears at once when zeros are published", () => {
    const twin = twinOf([...base(), alarm("limited")]);
    for (const [minute, count] of [3, 11, 0, 0, 0].entries()) limited(twin, minute, count);
    twin.advance(START + 5 * MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "2 limited OK>ALARM", "3 limited ALARM>OK"]);
  });

  it("wants M of N datapoints", () => {
    const twin = twinOf([...base(), alarm("limited", { evaluationPeriods: 5, datapointsToAlarm: 3 })]);
    for (const [minute, count] of [0, 11, 0, 11, 0, 11, 0, 0].entries()) limited(twin, minute, count);
    twin.advance(START + 8 * MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "6 limited OK>ALARM", "7 limited ALARM>OK"]);
  });

  it("slides its window minute by minute, whatever the period", () => {
    const twin = twinOf([...base(), alarm("limited", { period: 300, threshold: 20 })]);
    for (let minute = 0; minute < 12; minute += 1) limited(twin, minute, minute === 3 || minute === 6 ? 11 : 0);
    twin.advance(START + 12 * MINUTE);
    // 11 + 11 fall into one window of five minutes that ends at minute 7 or 8, which no clock-aligned bucket holds.
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "7 limited OK>ALARM", "9 limited ALARM>OK"]);
  });

  it("takes the bucket from the document's stamp, and sees it only after the lag", () => {
    const twin = twinOf([...base(), alarm("limited")], 90_000);
    const stamp = START + 30_000;
    twin.receive(metricLine({ RateLimited: 11 }, stamp), START + 31_000);
    twin.advance(START + 3 * MINUTE);
    expect(twin.transitions.at(-1)).toMatchObject({ to: "ALARM", at: START + 3 * MINUTE });
    twin.advance(START + 4 * MINUTE);
    expect(twin.transitions.at(-1)).toMatchObject({ to: "OK", at: START + 4 * MINUTE });
  });

  it("evaluates every 10 s below one-minute periods", () => {
    const dead = alarm("dead", {
      period: 10,
      statistic: "SampleCount",
      comparisonOperator: "LessThanThreshold",
      threshold: 1,
    });
    const twin = twinOf([...base(), dead]);
    twin.advance(START + 30_000);
    expect(twin.transitions.map(({ to, at }) => [to, at])).toEqual([["OK", START + 10_000]]);
  });

  it("pages on first deploy when missing data is breaching, as CloudWatch does", () => {
    const twin = twinOf([...base(), alarm("dead", { treatMissingData: "breaching" })]);
    twin.advance(START + MINUTE);
    expect(pages(twin)).toEqual(["1 dead ALARM true"]);
  });

  it("neither moves nor pages during its warm-up", () => {
    const warmUpConfiguration = { warmUpPeriodDurationInMinutes: 5, onlyStartEvaluatingAfterWarmUpPeriodEnds: true };
    const twin = twinOf([...base(), alarm("dead", { treatMissingData: "breaching", warmUpConfiguration })]);
    limited(twin, 0, 11);
    twin.advance(START + 4 * MINUTE);
    expect(twin.transitions).toEqual([]);
    expect(twin.explain("dead")).toContain("warms up for another 1 min");
    twin.advance(START + 5 * MINUTE);
    expect(pages(twin)).toEqual(["5 dead ALARM true"]);
  });

  it("ends its warm-up early once its window is full of data, unless told not to", () => {
    const warmUpConfiguration = { warmUpPeriodDurationInMinutes: 10 };
    const twin = twinOf([...base(), alarm("limited", { evaluationPeriods: 2, warmUpConfiguration })]);
    limited(twin, 0, 11);
    limited(twin, 1, 11);
    twin.advance(START + 3 * MINUTE);
    expect(changes(twin)).toEqual(["2 limited INSUFFICIENT_DATA>ALARM"]);
  });

  it("holds its state on percentiles of too few samples, if told to", () => {
    const percentile = { statistic: undefined, extendedStatistic: "p50", threshold: 100 };
    const held = alarm("held", { ...percentile, evaluateLowSampleCountPercentiles: "ignore" });
    const judged = alarm("judged", percentile);
    const samples = (count: number): string =>
      metricLine({ RateLimited: Array.from({ length: count }, () => 500) }, START);
    const few = twinOf([...base(), held, judged]);
    few.receive(samples(19), START);
    few.advance(START + MINUTE);
    expect(changes(few)).toEqual(["1 judged INSUFFICIENT_DATA>ALARM"]);
    expect(few.explain("held")).toContain("too few samples for p50");
    const enough = twinOf([...base(), held]);
    enough.receive(samples(20), START);
    enough.advance(START + MINUTE);
    expect(changes(enough)).toEqual(["1 held INSUFFICIENT_DATA>ALARM"]);
  });

  it("has no actions when they are disabled", () => {
    const twin = twinOf([...base(), alarm("limited", { actionsEnabled: false })]);
    limited(twin, 0, 11);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>ALARM"]);
    expect(twin.notifications).toEqual([]);
    expect(twin.explain("limited")).toContain("actions are disabled");
  });

  it.each([
    ["GreaterThanThreshold", [9, 10, 11], [false, false, true]],
    ["GreaterThanOrEqualToThreshold", [9, 10, 11], [false, true, true]],
    ["LessThanThreshold", [9, 10, 11], [true, false, false]],
    ["LessThanOrEqualToThreshold", [9, 10, 11], [true, true, false]],
  ])("compares by %s", (comparisonOperator, counts, breaching) => {
    const alarmed = counts.map((count) => {
      const twin = twinOf([...base(), alarm("limited", { comparisonOperator })]);
      limited(twin, 0, count);
      twin.advance(START + MINUTE);
      return twin.alarms()[0]?.state === "ALARM";
    });
    expect(alarmed).toEqual(breaching);
  });

  it("sees datapoints stamped hours back only hours later, and long windows only on the hour", () => {
    const hour = 60 * MINUTE;
    const hours = (twin: Twin): string[] =>
      twin.transitions.filter(({ to }) => to === "ALARM").map(({ at }) => String(Math.floor((at - START) / hour)));
    const today = twinOf([...base(), alarm("limited", { period: 6 * 3600 })]);
    today.receive(metricLine({ RateLimited: 11 }, START - 4 * hour), START);
    today.advance(START + 4 * hour);
    expect(hours(today)).toEqual(["2"]);
    const days = twinOf([...base(), alarm("limited", { period: 86_400, evaluationPeriods: 3, datapointsToAlarm: 1 })]);
    days.receive(metricLine({ RateLimited: 11 }, START - 25 * hour), START);
    days.advance(START + 60 * hour);
    expect(hours(days)).toEqual(["48"]);
    expect(days.transitions.every(({ at }) => at % hour === 0)).toBe(true);
  });

  it("watches AWS's own metrics too", () => {
    const idle = {
      namespace: "AWS/ECS",
      metricName: "CPUUtilization",
      dimensions: { ServiceName: "bot" },
      statistic: "Average",
    };
    const twin = twinOf([...base(), alarm("busy", { ...idle, threshold: 80 })]);
    twin.putMetric("AWS/ECS", "CPUUtilization", { ServiceName: "bot" }, 95, START + 1000);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 busy INSUFFICIENT_DATA>ALARM"]);
  });
});

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

describe("composite alarms", () => {
  const child = (name: string, metricName: string) => alarm(name, { metricName, alarmActions: [], okActions: [] });
  const publish = (twin: Twin, minute: number, metrics: Readonly<Record<string, number>>): void => {
    const at = START + minute * MINUTE + 1000;
    twin.receive(metricLine(metrics, at), at);
  };

  it("follow their children in the same minute, through several layers in any order of declaration", () => {
    const layers = [
      composite("outer", "ALARM(inner)"),
      composite("inner", "ALARM(a) AND NOT ALARM(b)"),
      child("a", "A"),
      child("b", "B"),
    ];
    const twin = twinOf([...base(), ...layers]);
    publish(twin, 0, { A: 0, B: 0 });
    publish(twin, 1, { A: 11, B: 0 });
    publish(twin, 2, { A: 11, B: 11 });
    twin.advance(START + 3 * MINUTE);
    expect(pages(twin)).toEqual([
      "1 inner OK true",
      "1 outer OK true",
      "2 inner ALARM true",
      "2 outer ALARM true",
      "3 inner OK true",
      "3 outer OK true",
    ]);
  });

  it("hold their actions back while a suppressor is in ALARM", () => {
    const actionsSuppressor = { alarm: "deploying", waitPeriod: 90, extensionPeriod: 30 };
    const parts = [
      child("a", "A"),
      child("deploying", "Deploying"),
      composite("page", "ALARM(a)", { actionsSuppressor }),
    ];
    const twin = twinOf([...base(), ...parts]);
    const deploys = [0, 0, 0, 0, 11, 11, 0, 0];
    const failures = [0, 0, 0, 11, 11, 11, 11, 11];
    for (const [minute, count] of failures.entries())
      publish(twin, minute, { A: count, Deploying: deploys[minute] ?? 0 });
    twin.advance(START + 4.5 * MINUTE);
    expect(twin.explain("page")).toContain("wait for deploying");
    twin.advance(START + 6 * MINUTE);
    expect(twin.explain("page")).toContain("suppressed: deploying is in ALARM");
    twin.advance(START + 9 * MINUTE);
    // OK waits 1.5 min; ALARM at 4 is suppressed at 5; deploying clears at 7, and half a minute later the page goes out.
    expect(pages(twin)).toEqual(["2.5 page OK true", "7.5 page ALARM true"]);
  });

  it("wait for every child's first evaluation", () => {
    const quick = alarm("quick", { period: 10, metricName: "Quick", alarmActions: [], okActions: [] });
    const twin = twinOf([...base(), quick, child("a", "A"), composite("page", "ALARM(a) OR ALARM(quick)")]);
    twin.advance(START + 2 * MINUTE);
    expect(pages(twin)).toEqual(["1 page OK true"]);
  });

  it.each([
    ["a child that is not declared", [composite("page", "ALARM(nobody)")], "nobody"],
    ["a cycle", [composite("one", "ALARM(two)"), composite("two", "ALARM(one)")], "depends on itself"],
    ["a rule that AWS would reject", [composite("page", "ALARM(a")], "alarmRule"],
  ])("refuse %s", (_, resources, why) => {
    expect(() => twinOf([...base(), ...resources])).toThrow(why);
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

describe("an explanation", () => {
  const explain = (
    resources: readonly DeclaredResource[],
    work: (twin: Twin) => void = (twin) => limited(twin, 0, 3),
  ): string => {
    const twin = twinOf(resources);
    work(twin);
    twin.advance(START + 2 * MINUTE);
    return twin.explain("limited");
  };

  it.each<[string, readonly DeclaredResource[], ((twin: Twin) => void) | undefined, string]>([
    [
      "a metric that nobody publishes",
      [...base(), alarm("limited", { metricName: "RateLimitd" })],
      undefined,
      "nothing published Mooring/RateLimitd {Stack=test}; published names close to it: Mooring/RateLimited {Stack=test}",
    ],
    [
      "other dimensions",
      [...base(), alarm("limited", { dimensions: {} })],
      undefined,
      "close to it: Mooring/RateLimited {Stack=test}",
    ],
    [
      "a unit that differs",
      [...base(), alarm("limited", { unit: "None" })],
      undefined,
      "wants unit None, published are Count",
    ],
    [
      "lines that go nowhere",
      [task(), topic(), alarm("limited")],
      undefined,
      "log lines went nowhere (1 of them): log group /mooring/bot is not declared",
    ],
    ["no line at all", [...base(), alarm("limited")], () => {}, "no log line was received"],
    [
      "a threshold that was not met",
      [...base(), alarm("limited", { evaluationPeriods: 5, datapointsToAlarm: 4, threshold: 2 })],
      undefined,
      "highest datapoint 3, needs Sum > 2 in 4 of 5 periods of 60 s; at most 1 of 5 breached",
    ],
    [
      "seconds for milliseconds",
      [...base(), alarm("limited")],
      (twin) => twin.receive(metricLine({ RateLimited: 99 }, START / 1000), START),
      "is in seconds",
    ],
    [
      "an invalid document",
      [...base(), alarm("limited")],
      (twin) => twin.receive(metricLine({ RateLimited: "99" }, START), START),
      "embedded metric document refused: metric RateLimited is not a number",
    ],
    [
      "a filter on another group",
      [
        ...base(),
        logGroup("/other"),
        filter("ERROR", { name: "RateLimited", namespace: "Mooring" }, { logGroupName: "/other" }),
        alarm("limited"),
      ],
      (twin) => twin.receive("ERROR", START),
      "metric filter filter watches /other, the lines go to /mooring/bot",
    ],
    [
      "a lost notification",
      [...base(), topicPolicy({ Statement: [] }), alarm("limited", { threshold: 2 })],
      undefined,
      "a notification was lost: the policy of topic pages",
    ],
    ["an alarm that tells nobody", [...base(), alarm("limited", { alarmActions: [] })], undefined, "it tells nobody"],
  ])("names %s", (_, resources, work, expected) => {
    expect(explain(resources, work)).toContain(expected);
  });

  it("lists what is declared when asked for another name", () => {
    expect(twinOf([...base(), alarm("limited")]).explain("limitd")).toBe(
      "no alarm limitd is declared; declared are: limited",
    );
  });

  it("never tells an endpoint, which carries the integration's key", () => {
    const pager = declared("aws:sns/topicSubscription:TopicSubscription", "pager", {
      topic: TOPIC_ARN,
      protocol: "https",
      endpoint: "https://pager/key",
    });
    const twin = twinOf([task(), logGroup(), topic(), pager, alarm("limited")]);
    limited(twin, 0, 11);
    twin.advance(START + MINUTE);
    expect(twin.notifications[0]?.why).toBe("to https");
    expect(JSON.stringify(twin.notifications) + twin.explain("limited")).not.toContain("key");
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

describe("what the twin does not implement", () => {
  const query = {
    id: "m",
    returnData: true,
    metric: { metricName: "RateLimited", namespace: "Mooring", period: 60, stat: "Sum", dimensions: STACK },
  };
  const queried = {
    metricName: undefined,
    namespace: undefined,
    dimensions: undefined,
    statistic: undefined,
    period: undefined,
  };

  it.each<[string, DeclaredResource, string]>([
    [
      "metric math",
      alarm("x", { ...queried, metricQueries: [query, { id: "e", expression: "m * 2", returnData: true }] }),
      "metricQueries",
    ],
    ["anomaly bands", alarm("x", { thresholdMetricId: "e" }), "thresholdMetricId"],
    ["PromQL", alarm("x", { evaluationCriteria: {} }), "evaluationCriteria"],
    ["trimmed means", alarm("x", { statistic: undefined, extendedStatistic: "tm90" }), "extendedStatistic"],
    ["other actions", alarm("x", { alarmActions: ["arn:aws:lambda:eu-central-1:1:function:f"] }), "alarmActions"],
    ["six actions", alarm("x", { okActions: Array.from({ length: 6 }, () => TOPIC_ARN) }), "okActions"],
    ["a period that AWS rejects", alarm("x", { period: 45 }), "period"],
    ["more datapoints than periods", alarm("x", { datapointsToAlarm: 2 }), "datapointsToAlarm"],
    ["a window of more than a day", alarm("x", { period: 300, evaluationPeriods: 289 }), "evaluationPeriods"],
    ["another Region", alarm("x", { region: "us-east-1" }), "region"],
    ["a misspelt treatment", alarm("x", { treatMissingData: "notbreaching" }), "treatMissingData"],
    ["a value that is not resolved", alarm("x", { alarmActions: [undefined] }), "alarmActions"],
    [
      "mute rules",
      declared("aws:cloudwatch/alarmMuteRule:AlarmMuteRule", "x", {}),
      "aws:cloudwatch/alarmMuteRule:AlarmMuteRule",
    ],
    ["a default other than 0", filter("ERROR", { defaultValue: "1" }), "metricTransformation.defaultValue"],
    [
      "a default beside dimensions",
      filter("{ $.a = * }", { defaultValue: "0", dimensions: { A: "$.a" } }),
      "metricTransformation.defaultValue",
    ],
    ["a bare word as value", filter("ERROR", { value: "latency" }), "metricTransformation.value"],
    ["fields of unstructured text", filter("ERROR", { value: "$.latency" }), "metricTransformation.value"],
    ["a pattern that AWS rejects", filter('{ status = "401" }'), "pattern"],
  ])("%s", (_, resource, property) => {
    const refusal = expect.objectContaining({ kind: "cannot-rehearse", resource: resource.name, property });
    expect(() => twinOf([...base(), resource])).toThrow(refusal);
  });

  it("two alarms of one name", () => {
    expect(() => twinOf([...base(), alarm("x"), composite("x", "ALARM(x)")])).toThrow("a second alarm is called x");
  });

  it("but takes a query that is one plain metric", () => {
    const twin = twinOf([...base(), alarm("queried", { ...queried, metricQueries: [query] })]);
    limited(twin, 0, 11);
    twin.advance(START + MINUTE);
    expect(changes(twin)).toEqual(["1 queried INSUFFICIENT_DATA>ALARM"]);
  });

  it("an average of a metric whose filter has a default", () => {
    const average = alarm("average", { namespace: "Logs", metricName: "Hits", dimensions: {}, statistic: "Average" });
    expect(() => twinOf([...base(), filter("ERROR", { defaultValue: "0" }), average])).toThrow("average: statistic");
  });
});

describe("time", () => {
  it("may be stepped in any way: the outcome is the same", () => {
    const suppressed = { actionsSuppressor: { alarm: "deploying", waitPeriod: 25, extensionPeriod: 70 } };
    const resources = [
      ...base(),
      subscription("https"),
      alarm("limited", { evaluationPeriods: 3, datapointsToAlarm: 2 }),
      alarm("quick", { period: 10, metricName: "Quick", threshold: 4 }),
      alarm("sliding", { period: 180, threshold: 25, treatMissingData: "missing" }),
      alarm("deploying", { metricName: "Deploying", threshold: 0, treatMissingData: "ignore" }),
      composite("page", "ALARM(limited) OR ALARM(sliding)", suppressed),
    ];
    const arrivals = fc.array(
      fc.record({
        after: fc.integer({ min: 0, max: 50_000 }),
        metric: fc.constantFrom("RateLimited", "Quick", "Deploying"),
        value: fc.integer({ min: 0, max: 20 }),
        stampedBack: fc.integer({ min: 0, max: 90_000 }),
      }),
      { maxLength: 30 },
    );
    const outcome = (twin: Twin) => ({ transitions: twin.transitions, notifications: twin.notifications });
    const steps = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(arrivals, steps, fc.constantFrom(0, 5000, 70_000), (lines, sizes, lag) => {
        const stepped = twinOf(resources, lag);
        const leaping = twinOf(resources, lag);
        let at = START;
        let advanced = START;
        for (const [index, { after, metric, value, stampedBack }] of lines.entries()) {
          at += after;
          const line = metricLine({ [metric]: value }, at - stampedBack);
          // Steps never pass the next arrival: a clock does not run ahead of what it stamps.
          for (let size = sizes[index % sizes.length] ?? 1; advanced + size < at; advanced += size)
            stepped.advance(advanced + size);
          stepped.receive(line, at);
          leaping.receive(line, at);
        }
        const end = at + 20 * MINUTE;
        for (const [index] of Array.from({ length: 200 }).entries()) {
          advanced = Math.min(end, advanced + (sizes[index % sizes.length] ?? 1));
          stepped.advance(advanced);
        }
        stepped.advance(end);
        leaping.advance(end);
        expect(outcome(stepped)).toEqual(outcome(leaping));
      }),
      { numRuns: 60 },
    );
  });

  it("begins with the first line or step when no creation time is given", () => {
    const twin = createTwin({ resources: [...base(), alarm("limited")], region: REGION, account: ACCOUNT });
    twin.advance(START + 30_000);
    expect(twin.alarms()).toEqual([
      expect.objectContaining({
        name: "limited",
        resource: "limited",
        state: "INSUFFICIENT_DATA",
        since: START + 30_000,
      }),
    ]);
    twin.advance(START + MINUTE);
    expect(twin.alarms()[0]).toMatchObject({ state: "OK", since: START + MINUTE });
  });
});
