// Whether a message that an AWS service publishes to a topic arrives: topic, policy, encryption key, subscriptions.
// Sources: SNS developer guide, "Key management" and "Access policy use cases"; re:Post, "Why didn't I receive an SNS
// notification for my CloudWatch alarm trigger?" (a topic under alias/aws/sns never gets one).

import {
  awsArn,
  awsName,
  type DeclaredResource,
  document,
  ofType,
  optionalText,
  requiredText,
  texts,
} from "./declared.ts";
import { allows } from "./policy.ts";
import { CannotRehearse } from "./refusal.ts";

/** Who publishes where. */
export interface Publication {
  readonly service: "cloudwatch.amazonaws.com" | "events.amazonaws.com";
  /** ARN of the alarm or rule. */
  readonly sourceArn: string;
  readonly topicArn: string;
}

/** `why` tells either what stopped the message or who gets it. */
export interface Delivery {
  readonly delivered: boolean;
  readonly why: string;
}

export interface Place {
  readonly region: string;
  readonly account: string;
}

const lost = (why: string): Delivery => ({ delivered: false, why });

/** Follows a message to its topic. AWS reports none of these losses as an alarm state. */
export function publish(resources: readonly DeclaredResource[], place: Place, publication: Publication): Delivery {
  const { topicArn } = publication;
  const topic = ofType(resources, "aws:sns/topic:Topic").find((candidate) => arnOf(candidate, place) === topicArn);
  if (topic === undefined) return lost(`no topic ${topicArn} is declared`);
  const region = topicArn.split(":")[3];
  if (region !== place.region) return lost(`topic ${topic.name} is in Region ${region}, the alarm in ${place.region}`);
  if (!policyAllows(resources, topic, place, publication)) {
    return lost(`the policy of topic ${topic.name} does not let ${publication.service} publish`);
  }
  const locked = keyRefuses(resources, topic, place, publication);
  if (locked !== undefined) return lost(locked);
  const heard = listeners(resources, topicArn).join(", ");
  return {
    delivered: true,
    why: heard === "" ? `topic ${topic.name} has no subscription: nobody hears it` : `to ${heard}`,
  };
}

/** How the topic's messages go out. Endpoints carry integration keys, so only their protocols are told. */
function listeners(resources: readonly DeclaredResource[], topicArn: string): readonly string[] {
  const protocols = ofType(resources, "aws:sns/topicSubscription:TopicSubscription")
    .filter((subscription) => subscription.inputs["topic"] === topicArn)
    .map((subscription) => requiredText(subscription, "protocol"));
  const channels = ofType(resources, "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration")
    .filter((channel) => texts(channel, "snsTopicArns").includes(topicArn))
    .map(() => "slack");
  return [...protocols, ...channels];
}

function arnOf(topic: DeclaredResource, place: Place): string {
  return awsArn(topic, `arn:aws:sns:${place.region}:${place.account}:${awsName(topic)}`);
}

function policyAllows(
  resources: readonly DeclaredResource[],
  topic: DeclaredResource,
  place: Place,
  publication: Publication,
): boolean {
  const attached = ofType(resources, "aws:sns/topicPolicy:TopicPolicy").filter(
    (policy) => policy.inputs["arn"] === publication.topicArn,
  );
  const inline = document(topic, "policy");
  const [first, second] = attached;
  if (second !== undefined || (first !== undefined && inline !== undefined)) {
    throw new CannotRehearse(
      topic.name,
      "policy",
      "it is set more than once; the last writer wins, which is not determined",
    );
  }
  const holder = first ?? topic;
  const policy = inline ?? (first && document(first, "policy"));
  // The default policy lets the account's own alarms in, but says nothing for EventBridge.
  if (policy === undefined) return publication.service === "cloudwatch.amazonaws.com";
  return allows(
    policy,
    {
      service: publication.service,
      action: "sns:Publish",
      resource: publication.topicArn,
      sourceArn: publication.sourceArn,
      account: place.account,
    },
    { resource: holder.name, property: "policy" },
  );
}

/** Why the topic's encryption key keeps the service out, or `undefined` if it does not. */
function keyRefuses(
  resources: readonly DeclaredResource[],
  topic: DeclaredResource,
  place: Place,
  publication: Publication,
): string | undefined {
  const keyId = optionalText(topic, "kmsMasterKeyId");
  if (keyId === undefined || keyId === "") return undefined;
  if (/(^|:)alias\/aws\/sns$/.test(keyId)) {
    return `topic ${topic.name} is encrypted with alias/aws/sns, whose policy shuts ${publication.service} out; use a customer-managed key`;
  }
  const key = findKey(resources, keyId);
  if (key === undefined)
    throw new CannotRehearse(topic.name, "kmsMasterKeyId", "the key is not declared, so its policy is unknown");
  const policy = document(key, "policy");
  const allowed = (action: string): boolean =>
    policy !== undefined &&
    allows(
      policy,
      {
        service: publication.service,
        action,
        resource: awsArn(key, keyId),
        sourceArn: publication.sourceArn,
        account: place.account,
      },
      { resource: key.name, property: "policy" },
    );
  const missing = ["kms:Decrypt", "kms:GenerateDataKey"].filter((action) => !allowed(action));
  return missing.length === 0
    ? undefined
    : `key ${key.name} of topic ${topic.name} does not grant ${missing.join(" and ")} to ${publication.service}`;
}

function findKey(resources: readonly DeclaredResource[], keyId: string): DeclaredResource | undefined {
  const named = (id: string): DeclaredResource | undefined =>
    ofType(resources, "aws:kms/key:Key").find((key) => [key.id, key.outputs["arn"], key.outputs["keyId"]].includes(id));
  const alias = ofType(resources, "aws:kms/alias:Alias").find((candidate) =>
    [candidate.id, candidate.outputs["arn"], awsName(candidate)].includes(keyId),
  );
  return alias === undefined ? named(keyId) : named(requiredText(alias, "targetKeyId"));
}
