// ECS events against the patterns: each golden event matches the rules it should, and no other.

import { describe, expect, it } from "vitest";
import { eventPattern, TASK_EVENTS, type TaskEventName } from "../../infra/taskEvents.ts";
import { matchesPattern } from "../cloudwatch/eventPattern.ts";

const CLUSTER = "arn:aws:ecs:us-east-1:111111111111:cluster/mooring-prod";
const SERVICE = "arn:aws:ecs:us-east-1:111111111111:service/mooring-prod/mooring-prod";

/** A task state change as ECS sends it. */
function task(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    version: "0",
    source: "aws.ecs",
    "detail-type": "ECS Task State Change",
    region: "us-east-1",
    resources: ["arn:aws:ecs:us-east-1:111111111111:task/mooring-prod/0123456789abcdef0123456789abcdef"],
    detail: {
      clusterArn: CLUSTER,
      group: "service:mooring-prod",
      launchType: "FARGATE",
      desiredStatus: "STOPPED",
      lastStatus: "STOPPED",
      containers: [{ name: "bot", lastStatus: "STOPPED", exitCode: 0 }],
      ...detail,
    },
  };
}

const exited = (exitCode: number, stopCode = "EssentialContainerExited") =>
  task({ stopCode, stoppedReason: "Essential container in task exited", containers: [{ name: "bot", exitCode }] });

function deployment(eventName: string, service = SERVICE): Record<string, unknown> {
  return {
    version: "0",
    source: "aws.ecs",
    "detail-type": "ECS Deployment State Change",
    resources: [service],
    detail: {
      eventType: eventName.endsWith("FAILED") ? "ERROR" : "INFO",
      eventName,
      deploymentId: "ecs-svc/1",
      reason: "",
    },
  };
}

const EVENTS: readonly (readonly [what: string, event: Record<string, unknown>, rules: readonly TaskEventName[]])[] = [
  ["a fault of the bot", exited(70), ["TaskCrashed"]],
  ["a wrong configuration", exited(78), ["TaskCrashed"]],
  ["an abort, as of a full heap", exited(134), ["TaskCrashed"]],
  ["a kill", exited(137), ["OutOfMemory"]],
  [
    "a kill for memory, told by the container",
    task({
      stopCode: "EssentialContainerExited",
      containers: [{ name: "bot", reason: "OutOfMemoryError: Container killed due to memory usage", exitCode: 137 }],
    }),
    ["OutOfMemory"],
  ],
  [
    "a kill for memory without an exit code, told by the task",
    task({ stopCode: "UserInitiated", stoppedReason: "OutOfMemoryError: killed", containers: [{ name: "bot" }] }),
    ["OutOfMemory"],
  ],
  ["an exit without error", exited(0), []],
  ["a deploy stopping the old task", exited(0, "ServiceSchedulerInitiated"), []],
  ["a deploy killing a task that would not end", exited(137, "ServiceSchedulerInitiated"), []],
  ["a stop by hand", exited(143, "UserInitiated"), []],
  [
    "an image that is not there",
    task({ stopCode: "TaskFailedToStart", containers: [{ name: "bot" }] }),
    ["TaskFailedToStart"],
  ],
  [
    "a crash of a container that never started",
    task({ stopCode: "EssentialContainerExited", containers: [{ name: "bot" }] }),
    [],
  ],
  ["a Spot interruption", task({ stopCode: "TerminationNotice", lastStatus: "RUNNING" }), ["TaskInterrupted"]],
  ["a task that starts", task({ lastStatus: "RUNNING", desiredStatus: "RUNNING" }), []],
  [
    "another service's crash",
    task({ stopCode: "EssentialContainerExited", group: "service:other", containers: [{ exitCode: 1 }] }),
    [],
  ],
  [
    "another cluster's crash",
    task({ stopCode: "EssentialContainerExited", clusterArn: `${CLUSTER}-2`, containers: [{ exitCode: 1 }] }),
    [],
  ],
  ["a failed deploy", deployment("SERVICE_DEPLOYMENT_FAILED"), ["DeployFailed"]],
  ["a finished deploy", deployment("SERVICE_DEPLOYMENT_COMPLETED"), []],
  ["another service's failed deploy", deployment("SERVICE_DEPLOYMENT_FAILED", `${SERVICE}-2`), []],
];

describe("task events", () => {
  it.each(EVENTS)("%s", (_, event, rules) => {
    const names = Object.keys(TASK_EVENTS).filter((name): name is TaskEventName => name in TASK_EVENTS);
    expect(names.filter((name) => matchesPattern(eventPattern(name, CLUSTER, SERVICE, "mooring-prod"), event))).toEqual(
      rules,
    );
  });

  it("each have an event that sets them off", () => {
    expect([...new Set(EVENTS.flatMap(([, , rules]) => rules))].sort()).toEqual(Object.keys(TASK_EVENTS).sort());
  });
});
