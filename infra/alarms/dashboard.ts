// The stack's dashboard, top to bottom: is it up, is Discord pushing back, is the address clean, is a deploy running.

import { METRIC_DIMENSION, METRIC_NAMESPACE, METRICS, type PublishedMetricName } from "../../shared/metrics.ts";

export interface DashboardArgs<Text> {
  readonly name: string;
  readonly region: string;
  readonly alarmArns: readonly Text[];
  readonly logGroup: string;
  readonly nats: readonly { readonly kind: "gateway" | "instance"; readonly zone: string; readonly id: Text }[];
}

// CloudWatch's grid is 24 columns wide; three graphs fill a row.
const WIDTH = 8;
const HEIGHT = 6;

const STATISTIC = { counter: "Sum", level: "Maximum", distribution: "p99" } as const;

type Row<Text> = readonly [title: string, metrics: readonly (readonly (string | Text | { stat: string })[])[]];

/** The dashboard's body, ready for JSON; `Text` may still be unknown. */
export function dashboardBody<Text>(args: DashboardArgs<Text | string>): { readonly widgets: readonly unknown[] } {
  const bot = (metric: PublishedMetricName) => [
    METRIC_NAMESPACE,
    metric,
    METRIC_DIMENSION,
    args.name,
    { stat: STATISTIC[METRICS[metric].kind] },
  ];
  const service = (metric: string) => [
    "AWS/ECS",
    metric,
    "ClusterName",
    args.name,
    "ServiceName",
    args.name,
    { stat: "Maximum" },
  ];
  const nat = args.nats.flatMap(({ kind, id }) =>
    kind === "gateway"
      ? [
          ["AWS/NATGateway", "ErrorPortAllocation", "NatGatewayId", id, { stat: "Sum" }],
          ["AWS/NATGateway", "PacketsDropCount", "NatGatewayId", id, { stat: "Sum" }],
        ]
      : [
          ["AWS/EC2", "StatusCheckFailed", "InstanceId", id, { stat: "Maximum" }],
          ["AWS/EC2", "CPUUtilization", "InstanceId", id, { stat: "Average" }],
        ],
  );
  const sections: readonly (readonly [question: string, rows: readonly Row<Text | string>[]])[] = [
    [
      "Is it up?",
      [
        ["Heartbeat, shards not ready", [bot("Heartbeat"), bot("ShardsNotReady"), bot("Fatal")]],
        ["Heartbeat acknowledgement", [bot("HeartbeatAckMilliseconds"), bot("MissedHeartbeatAcks")]],
        ["Task", [service("CPUUtilization"), service("MemoryUtilization")]],
      ],
    ],
    [
      "Is Discord pushing back?",
      [
        ["429s of the API", [bot("RateLimited"), bot("RateLimitedGlobal"), bot("RetryAfterViolations")]],
        ["Invalid requests in 10 min", [bot("InvalidRequests")]],
        ["IDENTIFYs left today", [bot("IdentifiesRemaining")]],
      ],
    ],
    [
      "Is the address clean?",
      [
        ["Edge bans", [bot("EdgeBanned"), bot("EdgeBannedRoutes")]],
        ["Seen from another address", [bot("EgressMismatch")]],
        ["NAT", nat],
      ],
    ],
    [
      "Is a deploy running?",
      [
        ["Deploy", [bot("DeployRunning")]],
        ["Errors", [bot("LogErrors"), bot("HandlersShed"), bot("LedgerUnreachable")]],
        ["Chat", [bot("UpstreamKeysSpent"), bot("UpstreamDown"), bot("IntentsDropped")]],
      ],
    ],
  ];

  const widgets: unknown[] = [
    { type: "alarm", x: 0, y: 0, width: 24, height: 4, properties: { title: args.name, alarms: args.alarmArns } },
  ];
  let y = 4;
  for (const [question, rows] of sections) {
    widgets.push({ type: "text", x: 0, y, width: 24, height: 1, properties: { markdown: `## ${question}` } });
    y += 1;
    rows.forEach(([title, metrics], column) => {
      widgets.push({
        type: "metric",
        x: column * WIDTH,
        y,
        width: WIDTH,
        height: HEIGHT,
        properties: { title, region: args.region, view: "timeSeries", period: 60, metrics },
      });
    });
    y += HEIGHT;
  }
  widgets.push({
    type: "log",
    x: 0,
    y,
    width: 24,
    height: HEIGHT,
    properties: {
      title: "Warnings and errors",
      region: args.region,
      view: "table",
      query: `SOURCE '${args.logGroup}' | fields @timestamp, event, @message | filter level >= 40 or level in ["warn", "error", "fatal"] | sort @timestamp desc | limit 50`,
    },
  });
  return { widgets };
}
