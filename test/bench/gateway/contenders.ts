// The gateway clients side by side, behind one small face; each is loaded only in the process that runs it.

import { MODES, type Mode } from "./contexts.ts";

export interface Plan {
  readonly url: string;
  readonly shards: number;
  readonly mode: Mode;
  /** READY of one shard. */
  ready(): void;
  /** One dispatch after READY. */
  event(): void;
}

export type Client = (plan: Plan) => Promise<void> | void;

export interface Contender {
  readonly name: string;
  readonly peer: string | undefined;
  readonly modes: readonly Mode[];
  load(): Promise<Client>;
}

/** The first is what all are measured by. */
export const CONTENDERS: readonly Contender[] = [
  { name: "bare", peer: undefined, modes: MODES, load: async () => (await import("./clients/bare.ts")).bare },
  {
    name: "Mooring",
    peer: undefined,
    modes: MODES,
    load: async () => (await import("./clients/mooring.ts")).mooring({ handlers: false }),
  },
  {
    name: "Mooring with handlers",
    peer: undefined,
    modes: MODES,
    load: async () => (await import("./clients/mooring.ts")).mooring({ handlers: true }),
  },
  {
    name: "@discordjs/ws",
    peer: "@discordjs/ws",
    modes: ["none", "zlib-stream"],
    load: async () => (await import("./clients/discordjs.ts")).discordjs,
  },
  {
    name: "@discordeno/gateway",
    peer: "@discordeno/gateway",
    modes: MODES,
    load: async () => (await import("./clients/discordeno.ts")).discordeno({ preferSnakeCase: false }),
  },
  {
    name: "@discordeno/gateway, snake case",
    peer: "@discordeno/gateway",
    modes: MODES,
    load: async () => (await import("./clients/discordeno.ts")).discordeno({ preferSnakeCase: true }),
  },
  {
    name: "oceanic.js",
    peer: "oceanic.js",
    modes: MODES,
    load: async () => (await import("./clients/oceanic.ts")).oceanic,
  },
];

export const TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.bench.not-a-token-of-anybody";
export const INTENTS = 33_281;
/** All shards at once: how fast they start is no matter here. */
export const CONCURRENCY = 1_000;
export const STARTS = 1_000_000;

/** What is dialled: the address with the mode's parameter. */
export const socketAddress = ({ url, mode }: Plan): string =>
  `${url}?v=10&encoding=json${mode === "none" ? "" : `&compress=${mode}`}`;
