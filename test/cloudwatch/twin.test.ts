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
} from "./fixtures.ts";
import { CannotRehearse, createTwin, type DeclaredResource, type Twin } from "./twin.ts";

const twinOf = (resources: readonly DeclaredResource[], ingestLagMs = 0): Twin =>
  createTwin({ resources, region: REGION, account: ACCOUNT, ingestLagMs, createdAt: START });

const changes = (twin: Twin): string[] =>
  twin.transitions.map(({ alarm: name, from, to, at }) => `${(at - START) / MINUTE} ${name} ${from}>${to}`);

describe("a metric alarm", () => {
  it("pages when an embedded metric breaches, and clears afterwards", () => {
    const twin = twinOf([...base(), alarm("limited")]);
    twin.receive(metricLine({ RateLimited: 11 }, START + 61_000), START + 61_000);
    twin.advance(START + 10 * MINUTE);
    // Three buckets are looked at (N + 2): the spike stays the newest real point until it leaves them.
    expect(changes(twin)).toEqual(["1 limited INSUFFICIENT_DATA>OK", "2 limited OK>ALARM", "5 limited ALARM>OK"]);
    expect(twin.notifications.filter(({ state }) => state === "ALARM")).toEqual([
      {
        alarm: "limited",
        state: "ALARM",
        topicArn: TOPIC_ARN,
        at: START + 2 * MINUTE,
        text: "what limited means",
        delivered: true,
        why: "to email",
      },
    ]);
  });
});
