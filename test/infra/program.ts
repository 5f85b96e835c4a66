// Declares a stack in this process: the Pulumi program against mocks, without CLI, account or network.

import mooring from "../../infra/index.ts";
import { createdState, lookUp, type MockedAccount } from "./mocks.ts";
import { type Registration, type ResourceOptions, runStack } from "./monitor.ts";
import { readProject, readStackConfiguration } from "./stackFile.ts";

export type StackName = "dev" | "staging" | "prod";

export interface RecordedResource {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  readonly id: string;
  /** Resolved and plain; secrets are unwrapped, and their keys listed in `secretInputs`. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly parent?: string;
  readonly options: ResourceOptions;
  /** Top-level inputs that are secret, wholly or in a part. */
  readonly secretInputs: readonly string[];
}

export interface DeclaredProgram {
  readonly resources: readonly RecordedResource[];
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly stack: string;
  readonly project: string;
  readonly region: string;
  readonly account: string;
}

export interface DeclareOptions {
  readonly stack: StackName;
  /** Replaces or adds plain keys, by name without namespace (`aws:region` with it); lists and objects as JSON. */
  readonly config?: Readonly<Record<string, string>>;
  /** Replaces the placeholders for secret keys; an empty text leaves a key out. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** What stands in for the secrets that no repository holds. */
export const PLACEHOLDER_SECRETS = {
  discordToken: "placeholder.discord.token",
  pagerUrl: "https://events.pagerduty.com/integration/placeholder/enqueue",
} as const;

const ACCOUNT = "111111111111";
// Pulumi's wire format of a secret: this key with this value, beside `value` (pulumi/sdk, rpc.ts).
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isSecret = (value: unknown): boolean => isRecord(value) && value[SIGNATURE_KEY] === SECRET_SIGNATURE;

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isRecord(value)) return value;
  if (isSecret(value)) return plain(value["value"]);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}

function plainRecord(value: unknown): Record<string, unknown> {
  const result = plain(value);
  return isRecord(result) ? result : {};
}

// Pulumi's runtime is one per process: a second declaration waits for the first.
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs the Pulumi program for one stack, with the committed Pulumi.<stack>.yaml and placeholders for the secrets and
 * the pager. @throws what the program throws, a SettingsError for a wrong configuration.
 */
export function declareProgram(options: DeclareOptions): Promise<DeclaredProgram> {
  const run = last.then(() => declare(options));
  last = run.catch(() => undefined);
  return run;
}

const known = new Map<string, Promise<DeclaredProgram>>();

/** The same program for the same options, declared once; for whoever only looks at it. */
export function declaredOnce(options: DeclareOptions): Promise<DeclaredProgram> {
  const key = JSON.stringify(options);
  const program = known.get(key) ?? declareProgram(options);
  known.set(key, program);
  return program;
}

async function declare(options: DeclareOptions): Promise<DeclaredProgram> {
  const { name: project } = readProject();
  const qualified = (key: string): string => (key.includes(":") ? key : `${project}:${key}`);
  const configuration = readStackConfiguration(options.stack);
  for (const [key, value] of Object.entries(options.config ?? {})) configuration[qualified(key)] = value;
  const given: Readonly<Record<string, string>> = { ...PLACEHOLDER_SECRETS, ...options.secrets };
  const secrets = Object.entries(given).filter(([, value]) => value !== "");
  for (const [key, value] of secrets) configuration[qualified(key)] = value;
  const where: MockedAccount = { account: ACCOUNT, region: configuration["aws:region"] ?? "" };

  const states = new Map<string, { inputs: Record<string, unknown>; outputs: Record<string, unknown> }>();
  const registrations: Registration[] = [];
  const secretInputs = new Map<string, string[]>();
  const addressOf = addressBook();
  const identity = (type: string, name: string): string => `${type}::${name}`;

  const outputs = await runStack(
    {
      project,
      stack: options.stack,
      configuration,
      secretKeys: secrets.map(([key]) => qualified(key)),
      program: mooring,
      mocks: {
        newResource({ type, name, inputs }) {
          const given: Record<string, unknown> = isRecord(inputs) ? inputs : {};
          const key = identity(type, name);
          if (states.has(key)) throw new Error(`${type} ${name} is declared twice`);
          const { id, state } = createdState(where, type, name, plainRecord(given), addressOf);
          states.set(key, { inputs: plainRecord(given), outputs: state });
          secretInputs.set(
            key,
            Object.keys(given).filter((input) => isSecret(given[input])),
          );
          // What was a secret stays one on its way to whoever reads this resource.
          return {
            id,
            state: { ...state, ...Object.fromEntries(Object.entries(given).filter(([, value]) => isSecret(value))) },
          };
        },
        call: ({ token, inputs }) => lookUp(where, token, plainRecord(inputs), addressOf),
      },
    },
    (registration) => registrations.push(registration),
  );

  return {
    resources: registrations.map((registration) => {
      const key = identity(registration.type, registration.name);
      const state = states.get(key) ?? { inputs: {}, outputs: {} };
      const { parent, ...rest } = registration;
      return {
        ...rest,
        ...(parent === undefined ? {} : { parent }),
        inputs: state.inputs,
        outputs: state.outputs,
        secretInputs: secretInputs.get(key) ?? [],
      };
    }),
    outputs: plainRecord(outputs),
    stack: options.stack,
    project,
    region: where.region,
    account: where.account,
  };
}

/** Addresses of 203.0.113.0/24, which RFC 5737 keeps for documentation; the same name gets the same one in every run. */
function addressBook(): (name: string) => string {
  const given = new Map<string, number>();
  return (name) => {
    let place = given.get(name);
    if (place === undefined) {
      place = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 254, 7);
      while ([...given.values()].includes(place)) place = (place + 1) % 254;
      given.set(name, place);
    }
    return `203.0.113.${place + 1}`;
  };
}
