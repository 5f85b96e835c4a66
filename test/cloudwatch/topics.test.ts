// Which notifications reach their topic, and what loses the others.

import { describe, expect, it } from "vitest";
import type { DeclaredResource } from "./declared.ts";
import { ACCOUNT, declared, REGION, subscription, TOPIC_ARN, topic, topicPolicy } from "./fixtures.ts";
import { publish } from "./topics.ts";

const ALARM_ARN = `arn:aws:cloudwatch:${REGION}:${ACCOUNT}:alarm:limited`;
const RULE_ARN = `arn:aws:events:${REGION}:${ACCOUNT}:rule/stopped`;

const fromAlarm = (...resources: DeclaredResource[]) =>
  publish(
    resources,
    { region: REGION, account: ACCOUNT },
    { service: "cloudwatch.amazonaws.com", sourceArn: ALARM_ARN, topicArn: TOPIC_ARN },
  );
const fromRule = (...resources: DeclaredResource[]) =>
  publish(
    resources,
    { region: REGION, account: ACCOUNT },
    { service: "events.amazonaws.com", sourceArn: RULE_ARN, topicArn: TOPIC_ARN },
  );

const statement = (service: string, condition?: unknown, more: Readonly<Record<string, unknown>> = {}) => ({
  Effect: "Allow",
  Principal: { Service: service },
  Action: "sns:Publish",
  Resource: TOPIC_ARN,
  ...(condition === undefined ? {} : { Condition: condition }),
  ...more,
});
const policy = (...statements: unknown[]) => topicPolicy({ Version: "2012-10-17", Statement: statements });
const CLOUDWATCH = statement("cloudwatch.amazonaws.com", {
  ArnLike: { "aws:SourceArn": `arn:aws:cloudwatch:${REGION}:${ACCOUNT}:alarm:*` },
  StringEquals: { "aws:SourceAccount": ACCOUNT },
});
const EVENTS = statement("events.amazonaws.com", { ArnEquals: { "aws:SourceArn": RULE_ARN } });

describe("an alarm's notification", () => {
  it.each([
    ["under the default policy", [topic(), subscription("https"), subscription("email")], "to https, email"],
    ["under a policy for alarms", [topic(), subscription(), policy(CLOUDWATCH, EVENTS)], "to email"],
    [
      "under a policy written into the topic",
      [topic({ policy: JSON.stringify({ Statement: [CLOUDWATCH] }) })],
      "nobody hears it",
    ],
  ])("arrives %s", (_, resources, why) => {
    expect(fromAlarm(...resources)).toEqual({ delivered: true, why: expect.stringContaining(why) });
  });

  it.each([
    ["an undeclared topic", [], "no topic"],
    [
      "a custom policy that speaks of events only",
      [topic(), policy(EVENTS)],
      "does not let cloudwatch.amazonaws.com publish",
    ],
    [
      "another account's condition",
      [topic(), policy(statement("cloudwatch.amazonaws.com", { StringEquals: { "aws:SourceAccount": "1" } }))],
      "does not let",
    ],
    [
      "another Region's alarms",
      [
        topic(),
        policy(
          statement("cloudwatch.amazonaws.com", {
            ArnLike: { "aws:SourceArn": `arn:aws:cloudwatch:us-east-1:*:alarm:*` },
          }),
        ),
      ],
      "does not let",
    ],
    [
      "another topic's policy",
      [topic(), policy(statement("cloudwatch.amazonaws.com", undefined, { Resource: `${TOPIC_ARN}2` }))],
      "does not let",
    ],
    [
      "a denial",
      [topic(), policy(CLOUDWATCH, statement("cloudwatch.amazonaws.com", undefined, { Effect: "Deny" }))],
      "does not let",
    ],
    ["SNS's own key", [topic({ kmsMasterKeyId: "alias/aws/sns" })], "alias/aws/sns"],
  ])("is lost by %s", (_, resources, why) => {
    expect(fromAlarm(...resources)).toEqual({ delivered: false, why: expect.stringContaining(why) });
  });

  it("is lost by a topic in another Region", () => {
    const topicArn = `arn:aws:sns:us-east-1:${ACCOUNT}:far`;
    const far = declared("aws:sns/topic:Topic", "far", { name: "far" }, { arn: topicArn });
    const publication = { service: "cloudwatch.amazonaws.com", sourceArn: ALARM_ARN, topicArn } as const;
    expect(publish([far], { region: REGION, account: ACCOUNT }, publication)).toEqual({
      delivered: false,
      why: `topic far is in Region us-east-1, the alarm in ${REGION}`,
    });
  });

  it("reaches a chat channel", () => {
    const type = "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration";
    expect(fromAlarm(topic(), declared(type, "chat", { snsTopicArns: [TOPIC_ARN] }))).toEqual({
      delivered: true,
      why: "to slack",
    });
  });

  it("needs the customer-managed key's policy to let CloudWatch in", () => {
    const encrypted = topic({ kmsMasterKeyId: "key-1" });
    const key = (actions: readonly string[]) => {
      const grant = {
        Effect: "Allow",
        Principal: { Service: "cloudwatch.amazonaws.com" },
        Action: actions,
        Resource: "*",
      };
      return declared("aws:kms/key:Key", "key", { policy: JSON.stringify({ Statement: [grant] }) }, { keyId: "key-1" });
    };
    expect(fromAlarm(encrypted, key(["kms:Decrypt", "kms:GenerateDataKey*"]))).toMatchObject({ delivered: true });
    expect(fromAlarm(encrypted, key(["kms:Decrypt"]))).toEqual({
      delivered: false,
      why: "key key of topic pages does not grant kms:GenerateDataKey to cloudwatch.amazonaws.com",
    });
    expect(() => fromAlarm(encrypted)).toThrow("pages: kmsMasterKeyId cannot be rehearsed");
  });

  it.each([
    [
      "an unknown condition key",
      statement("cloudwatch.amazonaws.com", { StringEquals: { "aws:PrincipalOrgID": "o" } }),
      "aws:PrincipalOrgID",
    ],
    [
      "an unknown operator",
      statement("cloudwatch.amazonaws.com", { StringNotLike: { "aws:SourceAccount": "1" } }),
      "StringNotLike",
    ],
    ["NotAction", statement("cloudwatch.amazonaws.com", undefined, { NotAction: "sns:Subscribe" }), "NotAction"],
  ])("is not guessed about under %s", (_, given, why) => {
    expect(() => fromAlarm(topic(), policy(given))).toThrow(why);
  });

  it("is not guessed about when two policies compete", () => {
    expect(() => fromAlarm(topic({ policy: "{}" }), policy(CLOUDWATCH))).toThrow("more than once");
  });
});

describe("a rule's message", () => {
  it("needs a policy that names EventBridge", () => {
    expect(fromRule(topic(), subscription())).toMatchObject({ delivered: false });
    expect(fromRule(topic(), subscription(), policy(CLOUDWATCH, EVENTS))).toMatchObject({ delivered: true });
  });
});
