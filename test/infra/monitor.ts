// The one place that leans on Pulumi's insides: a mock engine that also sees each resource's options.

import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";

/** Options as the engine would receive them; `dependsOn` are URNs, inputs' own dependencies included. */
export interface ResourceOptions {
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly dependsOn: readonly string[];
  readonly ignoreChanges: readonly string[];
  readonly deleteBeforeReplace: boolean;
  readonly aliases: readonly string[];
}

/** One registration as it passed: the request's options with what the engine answered. */
export interface Registration {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly id: string;
  readonly parent: string | undefined;
  readonly options: ResourceOptions;
}

/** The getters of RegisterResourceRequest that are read here (pulumi/proto/resource.proto). */
interface Request {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProtect(): boolean;
  getRetainondelete(): boolean;
  getDependenciesList(): string[];
  getIgnorechangesList(): string[];
  getDeletebeforereplace(): boolean;
  getAliasurnsList(): string[];
  getTransformsList(): unknown[];
}

interface Response {
  getUrn(): string;
  getId(): string;
}

let listener: ((registration: Registration) => void) | undefined;

const register = MockMonitor.prototype.registerResource;
MockMonitor.prototype.registerResource = function (request: Request, callback) {
  const heard = listener;
  return register.call(this, request, (error: unknown, response: Response) => {
    if (heard !== undefined && !error) {
      heard({
        type: request.getType(),
        name: request.getName(),
        urn: response.getUrn(),
        id: response.getId(),
        parent: request.getParent() || undefined,
        options: {
          protect: request.getProtect(),
          retainOnDelete: request.getRetainondelete(),
          dependsOn: [...request.getDependenciesList()].sort(),
          ignoreChanges: request.getIgnorechangesList(),
          deleteBeforeReplace: request.getDeletebeforereplace(),
          aliases: request.getAliasurnsList(),
        },
      });
    }
    callback(error, response);
  });
};

/** One stack to declare, as the CLI would start it. */
export interface StackRun {
  readonly project: string;
  readonly stack: string;
  /** Every configuration key with its namespace, and which of them are secret. */
  readonly configuration: Readonly<Record<string, string>>;
  readonly secretKeys: readonly string[];
  readonly mocks: pulumi.runtime.Mocks;
  readonly program: () => Promise<Record<string, unknown>>;
}

/**
 * Runs a program under mocks and waits for its last registration. One run at a time: Pulumi's runtime is one per
 * process. Rejects with what the program threw.
 */
export async function runStack(run: StackRun, heard: (registration: Registration) => void): Promise<unknown> {
  await pulumi.runtime.setMocks(run.mocks, run.project, run.stack);
  pulumi.runtime.setAllConfig({ ...run.configuration }, [...run.secretKeys]);
  listener = heard;
  // Pulumi writes a stack trace for each of its thousands of promises, which is most of what a run takes.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let failure: { readonly cause: unknown } | undefined;
  // Pulumi rejects promises of its own when a program throws, which nobody else could catch.
  const guarded = async (): Promise<Record<string, unknown>> => {
    try {
      return await run.program();
    } catch (cause) {
      failure = { cause };
      return {};
    }
  };
  try {
    const outputs = await pulumi.runtime.runInPulumiStack(guarded);
    await pulumi.runtime.disconnect();
    if (failure !== undefined) throw failure.cause;
    return outputs;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    listener = undefined;
  }
}
