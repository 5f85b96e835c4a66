// What the twin says about a silent alarm, cause by cause.

import { describe, expect, it } from "vitest";
import {
  alarm,
  base,
  declared,
  filter,
  logGroup,
  MINUTE,
  metricLine,
  START,
  TOPIC_ARN,
  task,
  topic,
  topicPolicy,
} from "./fixtures.ts";
import { limited, twinOf } from "./harness.ts";
import type { DeclaredResource, Twin } from "./twin.ts";

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
