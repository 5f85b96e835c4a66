// The Pulumi program, top to bottom like the diagram: settings, network, image, secrets, ledger, paging, alarms, service.

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { inviteUrl } from "../shared/application.ts";
import { Alarms } from "./alarms/alarms.ts";
import { dashboardBody } from "./alarms/dashboard.ts";
import { COMPOSITE_RULES } from "./alarms/rules.ts";
import { stackRules } from "./alarms/stackRules.ts";
import { BotLog } from "./botLog.ts";
import { DiscordChannel } from "./discordChannel.ts";
import { FlowLogs } from "./flowLogs.ts";
import { BotImage } from "./image.ts";
import { StackKey } from "./key.ts";
import { Ledger, ledgerStatement } from "./ledger.ts";
import { StaticEgress } from "./network.ts";
import { Paging } from "./paging.ts";
import { BotSecrets } from "./secrets.ts";
import { BotService } from "./service.ts";
import { loadSettings } from "./settings.ts";
import { TaskEvents } from "./taskEvents.ts";

/** Declares one stack and returns its outputs. Reads stack configuration and repository files, nothing else. */
export default async function mooring() {
  const { settings, secrets } = loadSettings();
  const { name, region } = settings;
  const account = aws.getCallerIdentityOutput().accountId;

  const keyArn = settings.customerKey ? new StackKey(name, { ...settings, account }).arn : undefined;
  const logged = { retentionInDays: settings.logRetentionDays, keyArn };

  const egress = new StaticEgress(name, settings);
  if (settings.flowLogs) new FlowLogs(name, { name, region, account, vpcId: egress.vpcId, ...logged });
  const image = new BotImage(name, settings);
  const botSecrets = new BotSecrets(name, {
    values: {
      DISCORD_TOKEN: secrets.discordToken,
      ...(secrets.egressProxy === undefined ? {} : { EGRESS_PROXY: secrets.egressProxy }),
      ...(secrets.upstreamKeys === undefined ? {} : { UPSTREAM_KEYS: secrets.upstreamKeys }),
    },
    disposable: settings.disposable,
    keyArn,
  });
  const ledger = settings.ledger ? new Ledger(name, settings) : undefined;
  const logGroupName = `/mooring/${name}/bot`;
  const log = new BotLog(name, { logGroupName, ...logged });

  const paging = new Paging(name, { ...settings, account, pagerUrl: secrets.pagerUrl, keyArn });
  const events = new TaskEvents(name, { name, region, account, ...logged });
  const nats = egress.nats.map((nat) => ({
    kind: nat.kind,
    zone: nat.zone,
    id: nat.kind === "gateway" ? nat.natGatewayId : nat.instanceId,
  }));
  const rules = stackRules<pulumi.Output<string>>({
    ...settings,
    hasUpstream: secrets.upstreamKeys !== undefined,
    logGroup: logGroupName,
    nats,
    undelivered: paging.undelivered?.name,
  });
  const alarms = new Alarms(name, {
    name,
    rules,
    composites: COMPOSITE_RULES,
    topics: paging.topics,
    runbookUrl: settings.runbookUrl,
  });
  if (secrets.discordWebhookUrl !== undefined) {
    const silentRules = rules.filter(({ reaction }) => reaction === "part").map((rule) => rule.name);
    new DiscordChannel(name, { name, region, account, webhookUrl: secrets.discordWebhookUrl, silentRules });
  }
  if (settings.dashboard) {
    new aws.cloudwatch.Dashboard(`${name}-dashboard`, {
      dashboardName: name,
      dashboardBody: pulumi.jsonStringify(
        dashboardBody<pulumi.Output<string>>({
          name,
          region,
          alarmArns: alarms.arns,
          logGroup: logGroupName,
          nats,
        }),
      ),
    });
  }

  const service = new BotService(name, {
    ...settings,
    account,
    logGroup: log.group,
    image: image.reference,
    repositoryArn: image.repositoryArn,
    environment: {
      ...settings.variables,
      STACK: name,
      ON_FATAL: "park",
      EGRESS_ADDRESSES: pulumi.concat(
        ...egress.addresses.flatMap((address, place) => (place === 0 ? [address] : [",", address])),
      ),
      ...(ledger === undefined
        ? {}
        : { LEDGER: pulumi.interpolate`dynamodb:${ledger.tableName}`, TASKS: String(settings.tasks) }),
      ...(settings.egressEchoUrl === undefined ? {} : { EGRESS_ECHO_URL: settings.egressEchoUrl }),
      DRAIN_MS: String(settings.drainMs),
      LOG_LEVEL: settings.logLevel,
      SHARD_COUNT: settings.shardCount,
    },
    taskRights: ledger === undefined ? [] : [ledgerStatement(ledger.tableArn)],
    secrets: botSecrets.references,
    secretArns: botSecrets.arns,
    keyArn,
    subnetIds: egress.privateSubnetIds,
    securityGroupId: egress.taskSecurityGroupId,
    // Alarms and topics too: a first deploy that fails must already page.
    after: [...egress.paths, ...(ledger === undefined ? [] : [ledger]), botSecrets, paging, events, alarms],
  });

  return {
    publicAddresses: egress.addresses,
    egressSlot: settings.egressSlot,
    parkedAddresses: egress.parked,
    parkedUsdPerMonth: egress.parkedUsdPerMonth,
    inviteLink:
      settings.applicationId === undefined
        ? "set applicationId to get the link that invites the bot"
        : inviteUrl(settings.applicationId),
    logGroup: log.group.name,
    eventLogGroup: events.logGroupName,
    pageTopic: paging.topics.page,
    notifyTopic: paging.topics.notify,
    undeliveredPages: paging.undelivered?.url ?? "no queue: pagerUrl is not set",
    dashboard: settings.dashboard ? name : "none, see the setting dashboard",
    repositoryUrl: image.repositoryUrl,
    cluster: service.clusterName,
    service: service.serviceName,
  };
}
