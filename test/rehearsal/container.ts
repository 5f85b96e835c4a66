// The container as the Pulumi program declared it, read back the way ECS would read it to start a task.

import { rehearsalNames } from "../../shared/environment.ts";
import type { DeclaredProgram, RecordedResource } from "../infra/program.ts";
import type { Exception } from "./drill.ts";

/** What ECS needs to know to start and stop the bot. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Secret variables with the values that their references lead to. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly stopTimeoutSeconds: number;
  readonly user: string;
  readonly readonlyRoot: boolean;
  readonly init: boolean;
  readonly droppedCapabilities: readonly string[];
  /** Program and arguments. */
  readonly healthCommand: readonly string[];
}

/** A variable whose value in the rehearsal is not the declared one. */
export interface ChangedVariable {
  readonly name: string;
  readonly declared: string | undefined;
  readonly rehearsed: string;
  /** Why a drill sets it although it is not marked `rehearsal`; undefined where it is. */
  readonly why: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

function textOf(value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Error(`${what} is ${JSON.stringify(value)}; it must be a text known before anything is deployed`);
}

const textsOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isJson) : []);

/** The one resource of a type; the program is wrong when there are none or several. */
export function only(program: DeclaredProgram, type: string): RecordedResource {
  const found = program.resources.filter((resource) => resource.type === type);
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new Error(`stack ${program.stack} declares ${found.length} of ${type}; the rehearsal needs exactly one`);
  }
  return first;
}

/**
 * Reads the task definition's one container.
 * @throws Error naming the property when something that ECS needs is missing, or a secret's reference leads nowhere.
 */
export function declaredContainer(program: DeclaredProgram): Container {
  const task = only(program, "aws:ecs/taskDefinition:TaskDefinition");
  const definitions: unknown = JSON.parse(textOf(task.inputs["containerDefinitions"], "containerDefinitions"));
  const [definition, ...others] = listOf(definitions);
  if (definition === undefined || others.length > 0) {
    throw new Error(`the task definition has ${listOf(definitions).length} containers; the bot is exactly one`);
  }
  const environment = listOf(definition["environment"]).map(({ name, value }): [string, string] => [
    textOf(name, "a variable's name"),
    textOf(value, `the value of ${name}`),
  ]);
  const secrets = listOf(definition["secrets"]).map(({ name, valueFrom }): [string, string] => [
    textOf(name, "a secret's name"),
    secretValue(program, textOf(valueFrom, `valueFrom of ${name}`)),
  ]);
  const stopTimeout = definition["stopTimeout"];
  if (typeof stopTimeout !== "number")
    throw new Error("the container has no stopTimeout; ECS would kill it after 30 s");
  const linux: Json = Object(definition["linuxParameters"]);
  const healthCommand = textsOf(Object(definition["healthCheck"])["command"]);
  if (healthCommand[0] !== "CMD") throw new Error("the health check is no CMD; a shell need not be in the image");
  return {
    name: textOf(definition["name"], "the container's name"),
    image: textOf(definition["image"], "the container's image"),
    environment: Object.fromEntries(environment),
    secrets: Object.fromEntries(secrets),
    stopTimeoutSeconds: stopTimeout,
    user: textOf(definition["user"], "the container's user"),
    readonlyRoot: definition["readonlyRootFilesystem"] === true,
    init: linux["initProcessEnabled"] === true,
    droppedCapabilities: textsOf(Object(linux["capabilities"])["drop"]),
    healthCommand: healthCommand.slice(1),
  };
}

/** Follows `<secret ARN>:<json key>:<version stage>:<version id>` to a declared SecretVersion, as the ECS agent would. */
function secretValue(program: DeclaredProgram, valueFrom: string): string {
  const parts = valueFrom.split(":");
  const arn = parts.slice(0, 7).join(":");
  const [jsonKey, stage, versionId] = parts.slice(7);
  if (jsonKey || stage)
    throw new Error(`valueFrom ${valueFrom} uses a JSON key or a stage; only a version id is known here`);
  const version = program.resources.find(
    ({ type, inputs, outputs }) =>
      type === "aws:secretsmanager/secretVersion:SecretVersion" &&
      (inputs["secretId"] === arn || outputs["arn"] === arn) &&
      (!versionId || outputs["versionId"] === versionId),
  );
  if (version === undefined) throw new Error(`valueFrom ${valueFrom} leads to no declared secret version`);
  return textOf(version.inputs["secretString"], `the secret behind ${valueFrom}`);
}

/**
 * The environment of the rehearsed process: everything as declared but the given replacements, and the exceptions of a
 * drill that cannot do without. @throws Error for a replacement that shared/environment.ts does not mark `rehearsal`.
 */
export function rehearsedEnvironment(
  container: Container,
  replacements: Readonly<Record<string, string>>,
  exceptions: readonly Exception[] = [],
): { environment: Record<string, string>; changed: readonly ChangedVariable[] } {
  const allowed: readonly string[] = rehearsalNames();
  const forbidden = Object.keys(replacements).filter((name) => !allowed.includes(name));
  if (forbidden.length > 0) throw new Error(`${forbidden.join(", ")} must be as declared, also in a rehearsal`);
  const changed = [
    ...Object.entries(replacements).map(([name, rehearsed]) => ({ name, rehearsed, why: undefined })),
    ...exceptions.map(({ name, value, why }) => ({ name, rehearsed: value, why })),
  ].map((change) => ({ ...change, declared: container.environment[change.name] }));
  return {
    environment: {
      ...container.environment,
      ...container.secrets,
      ...Object.fromEntries(changed.map(({ name, rehearsed }) => [name, rehearsed])),
    },
    changed,
  };
}
